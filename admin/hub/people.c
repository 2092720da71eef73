/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/people.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/digest.h"
#include "daemon/model/repo_id.h"

#define ID_HEX 24 /* as long as the hub's own ids are, which some clients check */

void people_write_id(struct jwrite *w, const char *key, const char *what)
{
	char name[REPO_KEY_MAX + 1], hex[2 * 20 + 1];
	uint8_t digest[20];

	account_key(what, name);
	if (digest_git_object("account", name, strlen(name), digest) < 0)
		return;
	hex_print(digest, sizeof(digest), hex);
	hex[ID_HEX] = '\0';
	jwrite_text(w, key, hex);
}

void people_write_name(struct jwrite *w, const char *key, const struct account *a)
{
	jwrite_text(w, key, a->name);
	jwrite_text(w, "fullname", *a->full_name ? a->full_name : a->name);
}

int people_write(struct db_txn *t, struct jwrite *w, const char *key, const char *name)
{
	struct account a;
	int r = account_get(t, name, &a);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	jwrite_object(w, key);
	people_write_id(w, "_id", a.name);
	people_write_name(w, "name", &a);
	jwrite_text(w, "type", a.kind == ACCOUNT_USER ? "user" : "org");
	jwrite_text(w, "avatarUrl", "");
	jwrite_bool(w, "isPro", false);
	jwrite_bool(w, "isHf", false);
	jwrite_object_end(w);
	return 0;
}
