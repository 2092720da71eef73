/* SPDX-License-Identifier: Apache-2.0 */
/* LMDB forbids to resize a map while transactions run, so each transaction holds `resize` shared
 * and growth takes it exclusively. Writers of one process are put in a row by LMDB's own mutex.
 *
 * Reads use MDB_NOTLS: a reader slot belongs to the transaction, so a thread that has ended, or
 * reads while it writes, is no special case. Commits use the default flags, which sync before
 * they return. */
#include "daemon/base/kv_priv.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/digest.h"
#include "daemon/base/err.h"

/* Reads at one time; LMDB's default of 126 is fewer than the threads a busy mount may have. */
#define READERS_MAX 1024
#define READER_BYTES 72 /* in the table of readers, its head shared out */
#define MAP_STEP 65536  /* a multiple of every page size we run on */

struct kv {
	MDB_env *env;
	MDB_dbi tables[KV_TABLES_MAX];
	const char *const *names;
	unsigned table_count;
	bool sums;
	pthread_rwlock_t resize;
	/* Guarded by resize. */
	uint64_t map_bytes;
	int broken; /* why the map could not be mapped again, or 0; LMDB has no map then */
};

struct kv_txn {
	struct kv *kv;
	MDB_txn *txn;
	int full; /* the map has no room: grow and run again, whatever fn makes of it */
};

int kv_translate(int rc)
{
	switch (rc) {
	case MDB_SUCCESS:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_KEYEXIST:
		return -EEXIST;
	case MDB_BAD_VALSIZE:
		return -EINVAL;
	case MDB_MAP_FULL:
		return -ENOSPC;
	case MDB_READERS_FULL:
		return -EAGAIN;
	case MDB_MAP_RESIZED:
		return -ESTALE;
	case MDB_INVALID:
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_VERSION_MISMATCH:
	case MDB_INCOMPATIBLE:
		return ERR_CORRUPT;
	default:
		return rc > 0 ? -rc : -EIO;
	}
}

/* LMDB takes pointers to what it only reads as pointers to what it may write. */
static MDB_val as_val(const void *data, size_t len)
{
	return (MDB_val){ .mv_size = len, .mv_data = (void *)(uintptr_t)data };
}

static int translate_in(struct kv_txn *t, int rc)
{
	if (rc == MDB_MAP_FULL)
		t->full = 1;
	return kv_translate(rc);
}

static void note_size_locked(struct kv *kv)
{
	MDB_envinfo info;

	mdb_env_info(kv->env, &info);
	kv->map_bytes = info.me_mapsize;
}

/* Maps anew: with the given size, or with 0 the size another process gave the map. */
static int remap_locked(struct kv *kv, uint64_t bytes)
{
	if (!kv->broken)
		kv->broken = kv_translate(mdb_env_set_mapsize(kv->env, bytes));
	if (!kv->broken)
		note_size_locked(kv);
	return kv->broken;
}

/* Doubles the map, unless another thread has enlarged it since the caller saw `seen` bytes. */
static int grow(struct kv *kv, uint64_t seen)
{
	int r;

	pthread_rwlock_wrlock(&kv->resize);
	r = kv->map_bytes > seen ? 0 : remap_locked(kv, seen * 2);
	pthread_rwlock_unlock(&kv->resize);
	return r;
}

static int adopt_size(struct kv *kv)
{
	int r;

	pthread_rwlock_wrlock(&kv->resize);
	r = remap_locked(kv, 0);
	pthread_rwlock_unlock(&kv->resize);
	return r;
}

/* Begins a transaction and keeps `resize` shared; on failure it is dropped again. */
static int begin(struct kv *kv, unsigned flags, MDB_txn **ret)
{
	int r;

	do {
		pthread_rwlock_rdlock(&kv->resize);
		r = kv->broken;
		if (!r)
			r = kv_translate(mdb_txn_begin(kv->env, NULL, flags, ret));
		if (!r)
			return 0;
		pthread_rwlock_unlock(&kv->resize);
		if (r == -ESTALE)
			r = adopt_size(kv);
	} while (!r);
	return r;
}

/* Runs fn once. If *ret_full is set, the map of *ret_seen bytes was too small for it. */
static int write_once(struct kv *kv, kv_txn_fn fn, void *arg, int *ret_full, uint64_t *ret_seen)
{
	struct kv_txn t = { .kv = kv };
	int r = begin(kv, 0, &t.txn);

	*ret_full = 0;
	if (r < 0)
		return r;
	*ret_seen = kv->map_bytes;
	r = fn(&t, arg);
	if (t.full || r)
		mdb_txn_abort(t.txn);
	else
		r = translate_in(&t, mdb_txn_commit(t.txn));
	pthread_rwlock_unlock(&kv->resize);
	*ret_full = t.full;
	return r;
}

int kv_write(struct kv *kv, kv_txn_fn fn, void *arg)
{
	uint64_t seen;
	int full, r;

	for (;;) {
		r = write_once(kv, fn, arg, &full, &seen);
		if (!full)
			return r;
		r = grow(kv, seen);
		if (r < 0)
			return r;
	}
}

/* ---- sums ---- */

static int sum_of(struct kv_key key, const void *val, size_t len, uint64_t *ret)
{
	struct xxh3 *x;
	int r = xxh3_new(&x);

	if (r < 0)
		return r;
	xxh3_update(x, key.data, key.len);
	xxh3_update(x, val, len);
	*ret = htole64(xxh3_value(x));
	xxh3_free(x);
	return 0;
}

int kv_strip_sum(struct kv_key key, MDB_val *v)
{
	uint64_t sum, stored;
	int r;

	if (v->mv_size < sizeof(stored))
		return ERR_CORRUPT;
	v->mv_size -= sizeof(stored);
	memcpy(&stored, (const char *)v->mv_data + v->mv_size, sizeof(stored));
	r = sum_of(key, v->mv_data, v->mv_size, &sum);
	if (r < 0)
		return r;
	return sum == stored ? 0 : ERR_CORRUPT;
}

static int open_tables(struct kv_txn *t, void *arg)
{
	const struct kv_conf *conf = arg;

	for (unsigned i = 0; i < conf->table_count; i++) {
		int rc = mdb_dbi_open(t->txn, conf->tables[i], MDB_CREATE, &t->kv->tables[i]);

		if (rc)
			return translate_in(t, rc);
	}
	return 0;
}

/* glibc lets new readers pass a waiting writer by default: then growth could wait forever. */
static int init_resize(pthread_rwlock_t *resize)
{
	pthread_rwlockattr_t attr;
	int r = pthread_rwlockattr_init(&attr);

	if (r)
		return -r;
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	r = pthread_rwlock_init(resize, &attr);
	pthread_rwlockattr_destroy(&attr);
	return -r;
}

/* LMDB maps its table of readers: if the disk has no room for that, a look at it is a SIGBUS. */
static int reserve_lock_file(const char *dir)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	CLEANUP(closep) int fd = -1;

	if (buf_printf(&path, "%s/lock.mdb", dir) < 0)
		return -ENOMEM;
	fd = open(buf_str(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : -posix_fallocate(fd, 0, READERS_MAX * READER_BYTES);
}

static int open_env(struct kv *kv, const struct kv_conf *conf)
{
	uint64_t bytes = (conf->map_bytes + MAP_STEP - 1) / MAP_STEP * MAP_STEP;
	int rc = reserve_lock_file(conf->dir);

	if (rc < 0)
		return rc;
	rc = mdb_env_create(&kv->env);
	if (!rc)
		rc = mdb_env_set_maxdbs(kv->env, KV_TABLES_MAX);
	if (!rc)
		rc = mdb_env_set_maxreaders(kv->env, READERS_MAX);
	if (!rc)
		rc = mdb_env_set_mapsize(kv->env, bytes ? bytes : MAP_STEP);
	if (!rc)
		rc = mdb_env_open(kv->env, conf->dir, MDB_NOTLS, 0600);
	return kv_translate(rc);
}

/* A file that was cut short would end us by SIGBUS: what lies beyond reads as zeros, which LMDB
 * calls damaged. */
static int fill_up(MDB_env *env)
{
	MDB_envinfo info;
	MDB_stat stat;
	struct stat st;
	mdb_filehandle_t fd;
	off_t need;

	if (mdb_env_info(env, &info) || mdb_env_stat(env, &stat) || mdb_env_get_fd(env, &fd) ||
	    fstat(fd, &st) < 0)
		return -EIO;
	need = (off_t)((info.me_last_pgno + 1) * stat.ms_psize);
	return st.st_size < need && ftruncate(fd, need) < 0 ? -errno : 0;
}

static void kv_closep(struct kv **kv)
{
	kv_close(*kv);
}

int kv_open(const struct kv_conf *conf, struct kv **ret)
{
	CLEANUP(freep) struct kv *raw = calloc(1, sizeof(*raw));
	CLEANUP(kv_closep) struct kv *kv = NULL;
	struct kv_conf tables = *conf;
	int r;

	assert(conf->table_count <= KV_TABLES_MAX);
	if (!raw)
		return -ENOMEM;
	r = init_resize(&raw->resize);
	if (r < 0)
		return r;
	kv = steal(raw);
	kv->names = conf->tables;
	kv->table_count = conf->table_count;
	kv->sums = conf->sums;
	r = open_env(kv, conf);
	if (r == 0)
		r = fill_up(kv->env);
	if (r < 0)
		return r;
	note_size_locked(kv);
	r = kv_write(kv, open_tables, &tables);
	if (r < 0)
		return r;
	*ret = steal(kv);
	return 0;
}

void kv_close(struct kv *kv)
{
	if (!kv)
		return;
	if (kv->env)
		mdb_env_close(kv->env);
	pthread_rwlock_destroy(&kv->resize);
	free(kv);
}

static MDB_dbi table_of(const struct kv *kv, unsigned table)
{
	assert(table < kv->table_count);
	return kv->tables[table];
}

int kv_txn_get(struct kv_txn *t, unsigned table, struct kv_key key, struct buf *ret)
{
	MDB_val k = as_val(key.data, key.len), v;
	int r = translate_in(t, mdb_get(t->txn, table_of(t->kv, table), &k, &v));

	if (!r && t->kv->sums)
		r = kv_strip_sum(key, &v);
	return r ? r : buf_add(ret, v.mv_data, v.mv_size);
}

static int begin_read(struct kv *kv, struct kv_txn *t)
{
	*t = (struct kv_txn){ .kv = kv };
	return begin(kv, MDB_RDONLY, &t->txn);
}

/* Ends it, and gives on what came of it. */
static int end_read(struct kv_txn *t, int r)
{
	mdb_txn_abort(t->txn);
	pthread_rwlock_unlock(&t->kv->resize);
	return r;
}

int kv_read(struct kv *kv, kv_txn_fn fn, void *arg)
{
	struct kv_txn t;
	int r = begin_read(kv, &t);

	return r < 0 ? r : end_read(&t, fn(&t, arg));
}

int kv_get(struct kv *kv, unsigned table, struct kv_key key, struct buf *ret)
{
	struct kv_txn t;
	int r = begin_read(kv, &t);

	return r < 0 ? r : end_read(&t, kv_txn_get(&t, table, key, ret));
}

static void cursor_closep(MDB_cursor **c)
{
	if (*c)
		mdb_cursor_close(*c);
}

static int has_prefix(const MDB_val *k, const struct kv_key *prefix)
{
	if (k->mv_size < prefix->len)
		return 0;
	return !prefix->len || !memcmp(k->mv_data, prefix->data, prefix->len);
}

/* The first key behind `after` that begins with prefix. */
static int seek(MDB_cursor *cursor, struct kv_key prefix, struct kv_key after, MDB_val *k,
		MDB_val *v)
{
	struct kv_key from = after.len ? after : prefix;
	int rc;

	*k = as_val(from.data, from.len);
	rc = mdb_cursor_get(cursor, k, v, from.len ? MDB_SET_RANGE : MDB_FIRST);
	if (!rc && after.len && k->mv_size == after.len &&
	    !memcmp(k->mv_data, after.data, after.len))
		rc = mdb_cursor_get(cursor, k, v, MDB_NEXT);
	return rc;
}

/* Who is called for each row, and whether also for those that are damaged. */
struct visitor {
	kv_each_fn fn;
	void *arg;
	bool all;
};

/* Calls it for the row the cursor stands at, and for those behind it or before it (`step`), as long
 * as they begin with prefix. `rc` is what came of going there. */
static int walk(struct kv_txn *t, MDB_cursor *cursor, int rc, struct kv_key prefix, MDB_val *k,
		MDB_val *v, MDB_cursor_op step, const struct visitor *to)
{
	while (!rc && has_prefix(k, &prefix)) {
		struct kv_key key = { .data = k->mv_data, .len = k->mv_size };
		int r = t->kv->sums ? kv_strip_sum(key, v) : 0;

		if (r == 0)
			r = to->fn(to->arg, &key, v->mv_data, v->mv_size);
		else if (r == ERR_CORRUPT)
			r = to->all ? to->fn(to->arg, &key, NULL, 0) : 0;
		if (r)
			return r;
		rc = mdb_cursor_get(cursor, k, v, step);
	}
	return rc == MDB_NOTFOUND ? 0 : translate_in(t, rc);
}

static int go_on(struct kv_txn *t, unsigned table, struct kv_key prefix, struct kv_key after,
		 const struct visitor *to)
{
	CLEANUP(cursor_closep) MDB_cursor *cursor = NULL;
	MDB_val k, v;
	int rc = mdb_cursor_open(t->txn, table_of(t->kv, table), &cursor);

	if (rc)
		return translate_in(t, rc);
	rc = seek(cursor, prefix, after, &k, &v);
	return walk(t, cursor, rc, prefix, &k, &v, MDB_NEXT, to);
}

int kv_txn_each(struct kv_txn *t, unsigned table, struct kv_key prefix, struct kv_key after,
		kv_each_fn fn, void *arg)
{
	return go_on(t, table, prefix, after, &(struct visitor){ fn, arg, false });
}

int kv_txn_each_all(struct kv_txn *t, unsigned table, struct kv_key prefix, kv_each_fn fn,
		    void *arg)
{
	return go_on(t, table, prefix, (struct kv_key){ 0 }, &(struct visitor){ fn, arg, true });
}

/* The last key before `end`; of all if that is empty. */
static int seek_before(MDB_cursor *cursor, struct kv_key end, MDB_val *k, MDB_val *v)
{
	int rc = MDB_NOTFOUND;

	*k = as_val(end.data, end.len);
	if (end.len)
		rc = mdb_cursor_get(cursor, k, v, MDB_SET_RANGE);
	if (rc == MDB_NOTFOUND)
		return mdb_cursor_get(cursor, k, v, MDB_LAST);
	return rc ? rc : mdb_cursor_get(cursor, k, v, MDB_PREV);
}

/* The first key behind all that begin with prefix, in `room`; empty: there can be none. */
static struct kv_key end_of(struct kv_key prefix, uint8_t room[static KV_KEY_MAX])
{
	size_t len = prefix.len;

	if (len)
		memcpy(room, prefix.data, len);
	while (len && room[len - 1] == UINT8_MAX)
		len--;
	if (len)
		room[len - 1]++;
	return (struct kv_key){ room, len };
}

int kv_txn_each_back(struct kv_txn *t, unsigned table, struct kv_key prefix, struct kv_key before,
		     kv_each_fn fn, void *arg)
{
	CLEANUP(cursor_closep) MDB_cursor *cursor = NULL;
	uint8_t room[KV_KEY_MAX];
	MDB_val k, v;
	int rc = mdb_cursor_open(t->txn, table_of(t->kv, table), &cursor);

	if (rc)
		return translate_in(t, rc);
	rc = seek_before(cursor, before.len ? before : end_of(prefix, room), &k, &v);
	return walk(t, cursor, rc, prefix, &k, &v, MDB_PREV, &(struct visitor){ fn, arg, false });
}

int kv_each(struct kv *kv, unsigned table, struct kv_key prefix, kv_each_fn fn, void *arg)
{
	struct kv_txn t;
	int r = begin_read(kv, &t);

	if (r < 0)
		return r;
	return end_read(&t, kv_txn_each(&t, table, prefix, (struct kv_key){ 0 }, fn, arg));
}

int kv_txn_put(struct kv_txn *t, unsigned table, struct kv_key key, const void *val, size_t len)
{
	size_t sum_len = t->kv->sums ? sizeof(uint64_t) : 0;
	MDB_val k = as_val(key.data, key.len), v = { .mv_size = len + sum_len };
	uint64_t sum = 0;
	int r = sum_len ? sum_of(key, val, len, &sum) : 0;

	if (r == 0)
		r = translate_in(t, mdb_put(t->txn, table_of(t->kv, table), &k, &v, MDB_RESERVE));
	if (r < 0)
		return r;
	memcpy(v.mv_data, val, len);
	memcpy((char *)v.mv_data + len, &sum, sum_len);
	return 0;
}

int kv_txn_del(struct kv_txn *t, unsigned table, struct kv_key key)
{
	MDB_val k = as_val(key.data, key.len);
	int rc = mdb_del(t->txn, table_of(t->kv, table), &k, NULL);

	return rc == MDB_NOTFOUND ? 0 : translate_in(t, rc);
}

struct one {
	unsigned table;
	struct kv_key key;
	const void *val;
	size_t len;
};

static int put_one(struct kv_txn *t, void *arg)
{
	const struct one *one = arg;

	return kv_txn_put(t, one->table, one->key, one->val, one->len);
}

static int del_one(struct kv_txn *t, void *arg)
{
	const struct one *one = arg;

	return kv_txn_del(t, one->table, one->key);
}

int kv_put(struct kv *kv, unsigned table, struct kv_key key, const void *val, size_t len)
{
	struct one one = { .table = table, .key = key, .val = val, .len = len };

	return kv_write(kv, put_one, &one);
}

int kv_del(struct kv *kv, unsigned table, struct kv_key key)
{
	struct one one = { .table = table, .key = key };

	return kv_write(kv, del_one, &one);
}

const char *kv_table_name(const struct kv *kv, unsigned table)
{
	return kv->names[table];
}

int kv_copy(struct kv *kv, const char *dir)
{
	int r;

	pthread_rwlock_rdlock(&kv->resize);
	r = kv->broken ? kv->broken : kv_translate(mdb_env_copy2(kv->env, dir, MDB_CP_COMPACT));
	pthread_rwlock_unlock(&kv->resize);
	return r;
}

uint64_t kv_map_bytes(struct kv *kv)
{
	uint64_t bytes;

	pthread_rwlock_rdlock(&kv->resize);
	bytes = kv->map_bytes;
	pthread_rwlock_unlock(&kv->resize);
	return bytes;
}
