/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/backup.h"

#include <errno.h>
#include <unistd.h>

#include "admin/registry/hold.h"
#include "daemon/base/clock.h"
#include "daemon/base/file.h"

static int hold(struct db_txn *t, void *arg)
{
	return hold_set(t, *(const int64_t *)arg);
}

static int dir_of(const struct server *s, struct buf *ret)
{
	return buf_printf(ret, "%s/backup/hub", s->data);
}

static int remove_copy(const char *dir)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	int r = buf_printf(&path, "%s/data.mdb", dir);

	if (r < 0)
		return r;
	return unlink(buf_str(&path)) < 0 && errno != ENOENT ? -errno : 0;
}

int backup_begin(struct server *s, struct buf *ret_dir, int64_t *ret_until_s)
{
	CLEANUP(buf_free) struct buf dir = { 0 };
	struct db *db = s->rights.db;
	int r = dir_of(s, &dir);

	*ret_until_s = clock_wall_s() + BACKUP_HOLD_S;
	if (r == 0)
		r = file_mkdirs(buf_str(&dir));
	if (r == 0)
		r = remove_copy(buf_str(&dir));
	if (r == 0)
		r = db_write(db, hold, ret_until_s);
	if (r == 0)
		r = db_copy(db, buf_str(&dir));
	return r < 0 ? r : buf_add(ret_dir, dir.data, dir.len);
}

int backup_end(struct server *s)
{
	CLEANUP(buf_free) struct buf dir = { 0 };
	int64_t none = 0;
	int r = dir_of(s, &dir);

	if (r == 0)
		r = db_write(s->rights.db, hold, &none);
	return r < 0 ? r : remove_copy(buf_str(&dir));
}
