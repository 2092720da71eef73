/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/leavers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/num.h"

int leaver_note(struct db_txn *t, const char *key)
{
	char row[32];
	int len = snprintf(row, sizeof(row), "%" PRId64, clock_wall_s());

	return db_put(t, DB_LEAVERS, db_text(key), row, (size_t)len);
}

int leaver_find(struct db_txn *t, const char *key, int64_t *ret_s)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = db_get(t, DB_LEAVERS, db_text(key), &row);

	*ret_s = 0;
	if (r < 0 && r != ERR_CORRUPT)
		return r == -ENOENT ? 0 : r;
	*ret_s = max_i64(strtoll(buf_str(&row), NULL, 10), 1);
	return 0;
}

int leaver_forget(struct db_txn *t, const char *key)
{
	return db_del(t, DB_LEAVERS, db_text(key));
}
