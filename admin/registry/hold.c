/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/hold.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY "hold"

int hold_set(struct db_txn *t, int64_t until_s)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRId64, until_s);

	return until_s ? db_put(t, DB_META, db_text(KEY), text, (size_t)len)
		       : db_del(t, DB_META, db_text(KEY));
}

int hold_get(struct db_txn *t, int64_t now_s, int64_t *ret_until_s)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = db_get(t, DB_META, db_text(KEY), &row);

	*ret_until_s = r == 0 ? strtoll(buf_str(&row), NULL, 10) : 0;
	if (*ret_until_s <= now_s)
		*ret_until_s = 0;
	return r == -ENOENT ? 0 : r;
}
