/* SPDX-License-Identifier: Apache-2.0 */
/* An environment that may be damaged: no lock file, no table of readers, nothing written. */
#include <errno.h>
#include <lmdb.h>
#include <stdint.h>

#include "daemon/base/err.h"
#include "daemon/base/kv_priv.h"

static void cursor_closep(MDB_cursor **c)
{
	if (*c)
		mdb_cursor_close(*c);
}

struct kv_old {
	MDB_env *env;
	MDB_txn *txn;
};

void kv_old_close(struct kv_old *old)
{
	if (!old)
		return;
	if (old->txn)
		mdb_txn_abort(old->txn);
	if (old->env)
		mdb_env_close(old->env);
	free(old);
}

int kv_old_open(const char *dir, struct kv_old **ret)
{
	struct kv_old *old = calloc(1, sizeof(*old));
	int rc;

	if (!old)
		return -ENOMEM;
	rc = mdb_env_create(&old->env);
	if (!rc)
		rc = mdb_env_set_maxdbs(old->env, KV_TABLES_MAX);
	if (!rc)
		rc = mdb_env_open(old->env, dir, MDB_RDONLY | MDB_NOLOCK, 0600);
	if (!rc)
		rc = mdb_txn_begin(old->env, NULL, MDB_RDONLY, &old->txn);
	if (rc) {
		kv_old_close(old);
		return kv_translate(rc);
	}
	*ret = old;
	return 0;
}

int kv_old_get(struct kv_old *old, const char *table, struct kv_key key, struct buf *ret)
{
	MDB_val k = { key.len, (void *)(uintptr_t)key.data }, v;
	MDB_dbi dbi;
	int r = kv_translate(mdb_dbi_open(old->txn, table, 0, &dbi));

	if (r == 0)
		r = kv_translate(mdb_get(old->txn, dbi, &k, &v));
	return r == 0 ? buf_add(ret, v.mv_data, v.mv_size) : r;
}

int kv_old_get_sound(struct kv_old *old, const char *table, struct kv_key key, struct buf *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = kv_old_get(old, table, key, &row);
	MDB_val v = { row.len, row.data };

	if (r == 0)
		r = kv_strip_sum(key, &v);
	return r == 0 ? buf_add(ret, v.mv_data, v.mv_size) : r;
}

struct copy {
	struct kv_old *old;
	MDB_dbi from;
	unsigned table;
	bool sums;
	uint64_t copied;
};

static int copy_row(struct kv_txn *t, struct copy *c, const MDB_val *k, MDB_val *v)
{
	struct kv_key key = { .data = k->mv_data, .len = k->mv_size };
	int r = c->sums ? kv_strip_sum(key, v) : 0;

	if (r == 0)
		r = kv_txn_put(t, c->table, key, v->mv_data, v->mv_size);
	c->copied += r == 0;
	return r == ERR_CORRUPT || r == -EINVAL ? 0 : r;
}

/* What cannot be read any further ends the table, not the copy. */
static int copy_rows(struct kv_txn *t, void *arg)
{
	CLEANUP(cursor_closep) MDB_cursor *cursor = NULL;
	struct copy *c = arg;
	MDB_val k, v;
	int r = kv_translate(mdb_cursor_open(c->old->txn, c->from, &cursor));

	c->copied = 0;
	while (r == 0 && !mdb_cursor_get(cursor, &k, &v, MDB_NEXT))
		r = copy_row(t, c, &k, &v);
	return r;
}

int kv_old_copy(struct kv_old *old, struct kv *to, unsigned table, bool sums, uint64_t *ret_lost)
{
	struct copy c = { .old = old, .table = table, .sums = sums };
	MDB_stat stat;
	int r = kv_translate(mdb_dbi_open(old->txn, kv_table_name(to, table), 0, &c.from));

	*ret_lost = r == 0 || r == -ENOENT ? 0 : 1;
	if (r < 0)
		return 0; /* not there, or not to be found */
	r = kv_write(to, copy_rows, &c);
	if (r == 0 && !mdb_stat(old->txn, c.from, &stat) && stat.ms_entries > c.copied)
		*ret_lost = stat.ms_entries - c.copied;
	return r;
}
