/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit_witness.h"

#include <errno.h>
#include <string.h>

#include "admin/audit/audit_files.h"
#include "daemon/base/err.h"

#define KEY "audit" /* in DB_META */

static int get(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct audit_mark *ret = arg;
	int r = db_get(t, DB_META, db_text(KEY), &text);

	return r < 0 ? r : audit_mark_parse(buf_str(&text), text.len, ret);
}

static int put(struct db_txn *t, void *arg)
{
	const struct audit_mark *mark = arg;
	char text[AUDIT_MARK_BYTES + 1];
	struct audit_mark old;
	int r = get(t, &old);

	if (r < 0 && r != -ENOENT && r != ERR_CORRUPT)
		return r;
	if (r == 0 && old.seq >= mark->seq)
		return 0;
	audit_mark_print(mark, text);
	return db_put(t, DB_META, db_text(KEY), text, strcspn(text, " \n"));
}

int audit_witness_get(struct db *db, struct audit_mark *ret)
{
	*ret = (struct audit_mark){ .hash = AUDIT_NO_HASH };
	return db_read(db, get, ret);
}

int audit_witness_put(struct db *db, const struct audit_mark *mark)
{
	struct audit_mark copy = *mark;

	return db_write(db, put, &copy);
}
