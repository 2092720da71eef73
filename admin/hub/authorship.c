/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/authorship.h"

#include <strings.h>

#include "admin/account/accounts.h"
#include "admin/hub/writing.h"
#include "daemon/base/err.h"

int authorship_since(const struct ask *a, int64_t *ret_ms)
{
	struct account account;
	int r = accounts_get(a->server->rights.db, a->who.user, &account);

	if (r == 0)
		*ret_ms = 1000 * account.created_s;
	return r;
}

int authorship_is(const struct ask *a, const char *author, int64_t at_ms)
{
	struct account account;
	int r = strcasecmp(author, a->who.user) == 0
			? accounts_get(a->server->rights.db, a->who.user, &account)
			: ERR_FORBIDDEN;

	return r == 0 && !account_is_author(&account, at_ms) ? ERR_FORBIDDEN : r;
}

int authorship_or_write(const struct ask *a, const char *author, int64_t at_ms)
{
	int r = authorship_is(a, author, at_ms);

	return r == ERR_FORBIDDEN ? writing_may(a, ROLE_WRITE) : r;
}
