/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/leavers.h"

#include <inttypes.h>
#include <stdio.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

int leaver_note(struct db_txn *t, const char *key, int64_t made_s)
{
	char row[48];
	int len = snprintf(row, sizeof(row), "%" PRId64 " %" PRId64, made_s, clock_wall_s());

	return db_put(t, DB_LEAVERS, db_text(key), row, (size_t)len);
}

int leaver_find(struct db_txn *t, const char *key, struct leaver *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = db_get(t, DB_LEAVERS, db_text(key), &row);

	*ret = (struct leaver){ 0 };
	if (r < 0)
		return r == ERR_CORRUPT ? 0 : r;
	if (sscanf(buf_str(&row), "%" SCNd64 " %" SCNd64, &ret->made_s, &ret->left_s) != 2)
		*ret = (struct leaver){ 0 };
	return 0;
}

int leaver_forget(struct db_txn *t, const char *key)
{
	return db_del(t, DB_LEAVERS, db_text(key));
}
