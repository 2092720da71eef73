/* SPDX-License-Identifier: Apache-2.0 */
/* All tables lie in one of LMDB's, whose keys begin with the number of ours. */
#include "admin/db.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/kv.h"

#define VERSION 1
#define MAP_BYTES (16 * 1024 * 1024) /* it grows */

struct db {
	struct kv *kv;
	bool rehearse;
	bool borrowed; /* the kv is another's */
	db_fn also;    /* or NULL */
	void *also_arg;
};

struct db_txn {
	struct kv_txn *kv;
};

/* What goes through kv to a caller's function. */
struct call {
	const struct db *db;
	db_fn fn;
	void *arg;
	bool writes, rehearsal;
};

static int run(struct kv_txn *kv, void *arg)
{
	const struct call *c = arg;
	struct db_txn t = { kv };
	int r = c->fn(&t, c->arg);

	if (r == 0 && c->writes && c->db->also)
		r = c->db->also(&t, c->db->also_arg);
	return r == 0 && c->rehearsal ? -ECANCELED : r;
}

int db_read(struct db *db, db_fn fn, void *arg)
{
	struct call c = { db, fn, arg, false, false };

	return kv_read(db->kv, run, &c);
}

int db_write(struct db *db, db_fn fn, void *arg)
{
	struct call c = { db, fn, arg, true, db->rehearse };
	int r = c.rehearsal ? kv_write(db->kv, run, &c) : -ECANCELED;

	if (r != -ECANCELED)
		return r;
	c.rehearsal = false;
	return kv_write(db->kv, run, &c);
}

int db_copy(struct db *db, const char *dir)
{
	return kv_copy(db->kv, dir);
}

/* ---- rows ---- */

struct db_key db_text(const char *text)
{
	return (struct db_key){ text, strlen(text) };
}

struct db_key db_pair(struct buf *room, const char *first, const char *second)
{
	buf_clear(room);
	buf_add(room, first, strlen(first) + 1);
	buf_add_str(room, second);
	return (struct db_key){ room->data, room->failed ? 0 : room->len };
}

/* The key below; `room` has DB_KEY_MAX + 1 bytes. */
static struct kv_key key_of(enum db_table table, struct db_key key, char *room)
{
	room[0] = (char)table;
	if (key.len)
		memcpy(room + 1, key.data, key.len);
	return (struct kv_key){ room, key.len + 1 };
}

static bool is_key(struct db_key key)
{
	return key.len > 0 && key.len <= DB_KEY_MAX;
}

int db_get(struct db_txn *t, enum db_table table, struct db_key key, struct buf *ret)
{
	char room[DB_KEY_MAX + 1];

	return is_key(key) ? kv_txn_get(t->kv, 0, key_of(table, key, room), ret) : -ENOENT;
}

int db_put(struct db_txn *t, enum db_table table, struct db_key key, const void *val, size_t len)
{
	char room[DB_KEY_MAX + 1];

	return is_key(key) ? kv_txn_put(t->kv, 0, key_of(table, key, room), val, len) : -EINVAL;
}

int db_del(struct db_txn *t, enum db_table table, struct db_key key)
{
	char room[DB_KEY_MAX + 1];

	return is_key(key) ? kv_txn_del(t->kv, 0, key_of(table, key, room)) : 0;
}

struct each {
	db_each_fn fn;
	void *arg;
};

static int each_row(void *arg, const struct kv_key *key, const void *val, size_t len)
{
	const struct each *e = arg;

	return e->fn(e->arg, (struct db_key){ (const char *)key->data + 1, key->len - 1 }, val,
		     len);
}

typedef int (*walk_fn)(struct kv_txn *t, unsigned table, struct kv_key prefix, struct kv_key from,
		       kv_each_fn fn, void *arg);

static int walk(struct db_txn *t, enum db_table table, struct db_key prefix, struct db_key from,
		walk_fn go, struct each *e)
{
	char room[DB_KEY_MAX + 1], room_from[DB_KEY_MAX + 1];
	struct kv_key none = { 0 };

	if (prefix.len > DB_KEY_MAX || from.len > DB_KEY_MAX)
		return -EINVAL;
	return go(t->kv, 0, key_of(table, prefix, room),
		  from.len ? key_of(table, from, room_from) : none, each_row, e);
}

int db_each(struct db_txn *t, enum db_table table, struct db_key prefix, struct db_key after,
	    db_each_fn fn, void *arg)
{
	struct each e = { fn, arg };

	return walk(t, table, prefix, after, kv_txn_each, &e);
}

static int go_all(struct kv_txn *t, unsigned table, struct kv_key prefix, struct kv_key from UNUSED,
		  kv_each_fn fn, void *arg)
{
	return kv_txn_each_all(t, table, prefix, fn, arg);
}

int db_each_all(struct db_txn *t, enum db_table table, struct db_key prefix, db_each_fn fn,
		void *arg)
{
	struct each e = { fn, arg };

	return walk(t, table, prefix, (struct db_key){ 0 }, go_all, &e);
}

int db_each_back(struct db_txn *t, enum db_table table, struct db_key prefix, struct db_key before,
		 db_each_fn fn, void *arg)
{
	struct each e = { fn, arg };

	return walk(t, table, prefix, before, kv_txn_each_back, &e);
}

/* ---- opening ---- */

/* The version is a text, for people who look. */
static int read_version(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	long *ret = arg;
	int r = db_get(t, DB_META, db_text("version"), &text);

	*ret = 0;
	if (r == 0 && (*ret = strtol(buf_str(&text), NULL, 10)) == 0)
		return ERR_CORRUPT;
	return r == -ENOENT ? 0 : r;
}

static int write_version(struct db_txn *t, void *arg UNUSED)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = buf_printf(&text, "%d", VERSION);

	return r < 0 ? r : db_put(t, DB_META, db_text("version"), text.data, text.len);
}

static int check_version(struct db *db, const char *dir, struct buf *why)
{
	long version;
	int r = db_read(db, read_version, &version);

	if (r == 0 && version == 0)
		return db_write(db, write_version, NULL);
	if (r < 0 || version == VERSION)
		return r;
	buf_printf(why,
		   "%s has format version %ld, which this matrixhubd does not know (it knows %d): "
		   "use the newer one; nothing was changed",
		   dir, version, VERSION);
	return ERR_FORMAT;
}

static int open_kv(const char *dir, struct kv **ret)
{
	static const char *const tables[] = { "rows" };
	struct kv_conf conf = {
		.dir = dir,
		.tables = tables,
		.table_count = 1,
		.map_bytes = MAP_BYTES,
		.sums = true,
	};
	int r = file_mkdirs(dir);

	return r < 0 ? r : kv_open(&conf, ret);
}

int db_open(const struct db_conf *conf, struct db **ret, struct buf *why)
{
	struct db *db = calloc(1, sizeof(*db));
	int r = db ? open_kv(conf->dir, &db->kv) : -ENOMEM;

	if (r == 0)
		r = check_version(db, conf->dir, why);
	if (r == 0) {
		db->rehearse = conf->rehearse;
		*ret = db;
		return 0;
	}
	if (!why->len)
		buf_printf(why, "cannot open the accounts in %s: %s", conf->dir, err_text(r));
	db_close(db);
	return r;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	if (!db->borrowed)
		kv_close(db->kv);
	free(db);
}

int db_also(struct db *db, db_fn also, void *arg, struct db **ret)
{
	struct db *view = calloc(1, sizeof(*view));

	if (!view)
		return -ENOMEM;
	*view = (struct db){ db->kv, db->rehearse, true, also, arg };
	*ret = view;
	return 0;
}
