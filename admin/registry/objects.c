/* SPDX-License-Identifier: Apache-2.0 */
/* A key is a repository's uid, a NUL, and git's id in hex; a value is a letter and the object. */
#include "admin/registry/objects.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/registry/holdings.h"
#include "admin/registry/owners.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"

#define UID 24
#define ID_AT (UID + 1)
#define KEY_LEN (ID_AT + 2 * GIT_ID)

static struct db_key key_of(const char *uid, const uint8_t id[static GIT_ID],
			    char room[static KEY_LEN + 1])
{
	memcpy(room, uid, UID);
	room[UID] = '\0';
	hex_print(id, GIT_ID, room + ID_AT);
	return (struct db_key){ room, KEY_LEN };
}

/* The inverse: false if it is no object's. */
static bool id_of(struct db_key key, uint8_t ret[static GIT_ID])
{
	char hex[2 * GIT_ID + 1];

	if (key.len != KEY_LEN)
		return false;
	snprintf(hex, sizeof(hex), "%.*s", 2 * GIT_ID, (const char *)key.data + ID_AT);
	return hex_parse(hex, GIT_ID, ret) == 0;
}

/* The etag and the size of a file's bytes: false if the row is no file's. */
static bool is_file(struct db_key key, const char *val, size_t len,
		    char ret_etag[static DIGEST_HEX_MAX + 1], uint64_t *ret_size)
{
	uint8_t sha256[32];

	if (key.len != KEY_LEN || !len)
		return false;
	if (val[0] == REGISTRY_POINTER && git_pointer_parse(val + 1, len - 1, sha256, ret_size)) {
		hex_print(sha256, sizeof(sha256), ret_etag);
		return true;
	}
	snprintf(ret_etag, DIGEST_HEX_MAX + 1, "%.*s", 2 * GIT_ID, (const char *)key.data + ID_AT);
	*ret_size = 0;
	for (size_t i = 1; i < len && val[i] >= '0' && val[i] <= '9'; i++)
		*ret_size = *ret_size * 10 + (uint64_t)(val[i] - '0');
	return val[0] == REGISTRY_FILE;
}

static void uid_of(struct db_key key, char ret[static UID + 1])
{
	memcpy(ret, key.data, UID);
	ret[UID] = '\0';
}

/* "": the namespace of the repository. So it is where the row is damaged: counts are mended, and
 * what cannot be deleted or moved is worse. */
static int get_payer(struct db_txn *t, struct db_key key, char ret[static ACCOUNT_NAME_MAX + 1])
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = db_get(t, DB_PAYERS, key, &row);

	snprintf(ret, ACCOUNT_NAME_MAX + 1, "%s", r == 0 ? buf_str(&row) : "");
	return r == -ENOENT || r == ERR_CORRUPT ? 0 : r;
}

static int set_payer(struct db_txn *t, struct db_key key, const char *payer)
{
	return payer ? db_put(t, DB_PAYERS, key, payer, strlen(payer)) : db_del(t, DB_PAYERS, key);
}

static int hold(struct db_txn *t, const char *namespace, const char *etag, uint64_t size,
		bool limited)
{
	uint64_t count;
	int r;

	if (limited)
		return holdings_add(t, namespace, etag, size);
	r = holdings_count(t, namespace, etag, &count);
	return r < 0 ? r : holdings_set(t, namespace, etag, size, count + 1);
}

/* The bytes of a file, which `from` held, are held by `to` (NULL: the namespace of the repository)
 * from now on; limited: as far as that may hold so much. What nobody owns nobody holds. */
static int move_payer(struct db_txn *t, struct db_key key, const char *etag, uint64_t size,
		      const char *from, const char *to, bool limited)
{
	char uid[UID + 1];
	struct owner o;
	int r;

	uid_of(key, uid);
	r = owners_get(t, uid, &o);
	if (r == -ENOENT)
		return set_payer(t, key, to);
	if (r == 0)
		r = holdings_drop(t, holdings_payer(from, o.namespace), etag);
	if (r == 0)
		r = set_payer(t, key, to);
	return r < 0 ? r : hold(t, holdings_payer(to, o.namespace), etag, size, limited);
}

/* It is there, and who may write names it: the namespace of the repository holds it from now on. */
static int take_over(struct db_txn *t, struct db_key key, const char *etag, uint64_t size)
{
	char was[ACCOUNT_NAME_MAX + 1];
	int r = get_payer(t, key, was);

	return r < 0 || !*was ? r : move_payer(t, key, etag, size, was, NULL, true);
}

int objects_charge(struct db_txn *t, const char *uid, const uint8_t id[static GIT_ID],
		   const char *payer)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char room[KEY_LEN + 1], etag[DIGEST_HEX_MAX + 1];
	struct db_key key = key_of(uid, id, room);
	uint64_t size;
	int r = db_get(t, DB_OBJECTS, key, &row);

	if (r < 0 && r != -ENOENT)
		return r;
	if (r < 0 || !is_file(key, row.data, row.len, etag, &size))
		return set_payer(t, key, payer);
	return payer ? 0 : take_over(t, key, etag, size);
}

int objects_come(struct db_txn *t, struct db_key key, const struct buf *row)
{
	char etag[DIGEST_HEX_MAX + 1], uid[UID + 1], payer[ACCOUNT_NAME_MAX + 1];
	uint64_t size;
	int r;

	if (!is_file(key, row->data, row->len, etag, &size))
		return 0;
	uid_of(key, uid);
	r = get_payer(t, key, payer);
	return r < 0 ? r : owners_add(t, uid, payer, etag, size);
}

int objects_remove(struct db_txn *t, const char *uid, const uint8_t id[static GIT_ID])
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char room[KEY_LEN + 1], etag[DIGEST_HEX_MAX + 1], payer[ACCOUNT_NAME_MAX + 1] = "";
	struct db_key key = key_of(uid, id, room);
	uint64_t size;
	int r = db_get(t, DB_OBJECTS, key, &row);

	if (r == 0)
		r = get_payer(t, key, payer);
	if (r == 0 && is_file(key, row.data, row.len, etag, &size))
		r = owners_drop(t, uid, payer, etag, size);
	if (r < 0 && r != ERR_CORRUPT)
		return r == -ENOENT ? 0 : r;
	r = set_payer(t, key, NULL);
	return r < 0 ? r : db_del(t, DB_OBJECTS, key);
}

/* ---- all that one pays for ---- */

static bool is_paid_by(struct db_key key, const char *val, size_t len, const char *payer)
{
	return key.len == KEY_LEN && len == strlen(payer) && memcmp(val, payer, len) == 0;
}

/* Keys of rows. */
struct paid {
	const char *payer;
	struct buf keys; /* KEY_LEN bytes each */
};

static int list_paid(void *arg, struct db_key key, const char *val, size_t len)
{
	struct paid *p = arg;

	return is_paid_by(key, val, len, p->payer) ? buf_add(&p->keys, key.data, KEY_LEN) : 0;
}

/* Counts that cannot be read are the collector's to mend: nobody stays for them. */
static int leave_one(struct db_txn *t, struct db_key key, const char *payer)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char etag[DIGEST_HEX_MAX + 1];
	uint64_t size;
	int r = db_get(t, DB_OBJECTS, key, &row);

	if (r == -ENOENT || (r == 0 && !is_file(key, row.data, row.len, etag, &size)))
		return set_payer(t, key, NULL);
	if (r == 0)
		r = move_payer(t, key, etag, size, payer, HOLDINGS_NOBODY, false);
	return r == ERR_CORRUPT ? set_payer(t, key, HOLDINGS_NOBODY) : r;
}

int objects_leave(struct db_txn *t, const char *payer)
{
	const struct db_key all = { 0 };
	struct paid p = { .payer = payer };
	int r = db_each(t, DB_PAYERS, all, all, list_paid, &p);

	for (size_t at = 0; r == 0 && at < p.keys.len; at += KEY_LEN)
		r = leave_one(t, (struct db_key){ p.keys.data + at, KEY_LEN }, payer);
	buf_free(&p.keys);
	return r;
}

struct each_paid {
	const char *payer;
	objects_id_fn fn;
	void *arg;
};

static int tell_paid(void *arg, struct db_key key, const char *val, size_t len)
{
	const struct each_paid *e = arg;
	uint8_t id[GIT_ID];

	return is_paid_by(key, val, len, e->payer) && id_of(key, id) ? e->fn(e->arg, id) : 0;
}

int objects_each_paid(struct db_txn *t, const char *uid, const char *payer, objects_id_fn fn,
		      void *arg)
{
	struct each_paid e = { payer, fn, arg };
	struct db_key prefix = { uid, ID_AT };

	return db_each(t, DB_PAYERS, prefix, (struct db_key){ 0 }, tell_paid, &e);
}

int objects_hand_over(struct db_txn *t, const char *uid, const uint8_t id[static GIT_ID],
		      const char *payer)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char room[KEY_LEN + 1], etag[DIGEST_HEX_MAX + 1], was[ACCOUNT_NAME_MAX + 1];
	struct db_key key = key_of(uid, id, room);
	uint64_t size;
	int r = db_get(t, DB_OBJECTS, key, &row);

	if (r == 0)
		r = get_payer(t, key, was);
	if (r != 0 || !*was || !is_file(key, row.data, row.len, etag, &size))
		return r == -ENOENT ? 0 : r;
	return move_payer(t, key, etag, size, was, payer, false);
}

/* ---- all of a repository ---- */

/* All are found before anything is written. */
struct file {
	char key[KEY_LEN];
	char etag[DIGEST_HEX_MAX + 1];
	uint64_t size;
};

static int list_file(void *arg, struct db_key key, const char *val, size_t len)
{
	struct file f;

	if (!is_file(key, val, len, f.etag, &f.size))
		return 0;
	memcpy(f.key, key.data, KEY_LEN);
	return buf_add(arg, &f, sizeof(f));
}

typedef int (*file_fn)(struct db_txn *t, const char *uid, const char *payer, const char *etag,
		       uint64_t size);

/* Without `all` those alone whose bytes the namespace of the repository holds. */
static int with_files(struct db_txn *t, const char *uid, bool all, file_fn fn)
{
	CLEANUP(buf_free) struct buf files = { 0 };
	struct db_key prefix = { uid, ID_AT };
	int r = db_each(t, DB_OBJECTS, prefix, (struct db_key){ 0 }, list_file, &files);

	for (size_t at = 0; r == 0 && at < files.len; at += sizeof(struct file)) {
		const struct file *f = (const void *)(files.data + at);
		char payer[ACCOUNT_NAME_MAX + 1];

		r = get_payer(t, (struct db_key){ f->key, KEY_LEN }, payer);
		if (r == 0 && (all || !*payer))
			r = fn(t, uid, payer, f->etag, f->size);
	}
	return r;
}

int objects_own(struct db_txn *t, const char *uid, const char *repo)
{
	struct owner old, new;
	int r = owners_get(t, uid, &old);
	bool first = r == -ENOENT;

	if (r < 0 && !first)
		return r;
	holdings_namespace(repo, new.namespace);
	if (!first && !strcmp(old.namespace, new.namespace))
		return owners_put(t, uid, repo);
	r = first ? 0 : with_files(t, uid, false, owners_drop);
	if (r == 0)
		r = owners_put(t, uid, repo);
	return r < 0 ? r : with_files(t, uid, first, owners_add);
}

int objects_disown(struct db_txn *t, const char *uid)
{
	int r = with_files(t, uid, true, owners_drop);

	return r < 0 ? r : owners_del(t, uid);
}

struct each {
	objects_fn fn;
	void *arg;
};

static int each_row(void *arg, struct db_key key, const char *val, size_t len)
{
	const struct each *e = arg;
	uint8_t id[GIT_ID];

	return len && id_of(key, id) ? e->fn(e->arg, id, val[0]) : 0;
}

int objects_each(struct db_txn *t, const char *uid, objects_fn fn, void *arg)
{
	struct each e = { fn, arg };
	struct db_key prefix = { uid, ID_AT };

	return db_each(t, DB_OBJECTS, prefix, (struct db_key){ 0 }, each_row, &e);
}

/* ---- all of all ---- */

struct scan {
	struct db_txn *txn;
	struct buf *place;
	unsigned left;
	objects_file_fn fn;
	void *arg;
};

#define SCAN_ENOUGH 1000000 /* no result of a caller's */

static int scan_row(void *arg, struct db_key key, const char *val, size_t len)
{
	struct scan *s = arg;
	char etag[DIGEST_HEX_MAX + 1], uid[UID + 1], payer[ACCOUNT_NAME_MAX + 1];
	uint64_t size;
	int r = 0;

	if (is_file(key, val, len, etag, &size)) {
		uid_of(key, uid);
		r = get_payer(s->txn, key, payer);
		if (r == 0)
			r = s->fn(s->arg, uid, payer, etag, size);
	}
	buf_clear(s->place);
	if (r == 0)
		r = buf_add(s->place, key.data, key.len);
	return r == 0 && --s->left == 0 ? SCAN_ENOUGH : r;
}

int objects_scan(struct db_txn *t, struct buf *place, unsigned rows, objects_file_fn fn, void *arg)
{
	CLEANUP(buf_free) struct buf after = { 0 };
	struct scan s = { t, place, rows, fn, arg };
	int r = buf_add(&after, place->data, place->len);

	if (r == 0)
		r = db_each(t, DB_OBJECTS, (struct db_key){ 0 },
			    (struct db_key){ after.data, after.len }, scan_row, &s);
	return r == SCAN_ENOUGH ? 1 : r;
}

/* Of a file of git-lfs its pointer has one, which is the same wherever it is. */
int objects_file_id(const char *etag, uint64_t size, uint8_t ret[static GIT_ID])
{
	CLEANUP(buf_free) struct buf text = { 0 };
	uint8_t sha256[32];
	int r;

	if (strlen(etag) == 2 * GIT_ID)
		return hex_parse(etag, GIT_ID, ret);
	r = hex_parse(etag, sizeof(sha256), sha256);
	if (r == 0)
		r = git_pointer_print(sha256, size, &text);
	return r < 0 ? r : digest_git_object("blob", buf_str(&text), text.len, ret);
}

/* 0 also if there is none. */
static int get_kind(struct db_txn *t, struct db_key key, char *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = db_get(t, DB_OBJECTS, key, &row);

	*ret = r == 0 && row.len ? row.data[0] : '\0';
	return r == -ENOENT ? 0 : r;
}

int objects_has_id(struct db_txn *t, const char *uid, const uint8_t id[static GIT_ID],
		   char ret_payer[static ACCOUNT_NAME_MAX + 1])
{
	char room[KEY_LEN + 1], kind;
	struct db_key key = key_of(uid, id, room);
	int r = get_kind(t, key, &kind);

	if (r == 0)
		r = get_payer(t, key, ret_payer);
	return r < 0 ? r : kind == REGISTRY_FILE || kind == REGISTRY_POINTER;
}

/* A text that reads as a pointer has its id, and brings nobody the bytes. */
int objects_has_file(struct db_txn *t, const char *uid, const char *etag, uint64_t size)
{
	bool is_lfs = strlen(etag) != 2 * GIT_ID;
	char room[KEY_LEN + 1], kind;
	uint8_t id[GIT_ID];
	int r = objects_file_id(etag, size, id);

	if (r == 0)
		r = get_kind(t, key_of(uid, id, room), &kind);
	return r != 0 ? r : kind == (is_lfs ? REGISTRY_POINTER : REGISTRY_FILE);
}
