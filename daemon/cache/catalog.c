/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and rows (all integers little-endian; each is followed by its sum, see kv.h):
 *   meta    "version", "cache"  u32
 *   repo    key                 canonical key
 *   ref     key NUL ref         commit (40 hex), u64 checked_s
 *   commit  key NUL commit      u64 date_s, packed manifest
 *   blob    etag                u8 state, u64 size, source
 *   pin     key NUL revision    u64 since_s, commit (40 hex, or nothing)
 *   docs                        see catalog_docs.c */
#include "daemon/cache/catalog.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/kv.h"
#include "daemon/cache/catalog_mend.h"
#include "daemon/cache/catalog_priv.h"
#include "daemon/cache/format.h"

#define CATALOG_VERSION 2
#define MAP_BYTES_FIRST (UINT64_C(16) << 20)

enum row_state { ROW_SEALED = 1, ROW_DISTRUSTED = 2 }; /* of a blob: bits */
static const char *const table_names[] = { FORMAT_TABLE, "repo", "ref", "commit",
					   "blob",       "pin",  "docs" };

/* "key NUL name", the key of rows that belong to a repository. */
struct row_key {
	char text[REPO_KEY_MAX + 1 + 256];
	size_t len;
};

static int row_key(struct row_key *k, const char *key, const char *name)
{
	size_t key_len = strlen(key), name_len = strlen(name);

	if (key_len + 1 + name_len > sizeof(k->text))
		return -ENAMETOOLONG;
	memcpy(k->text, key, key_len + 1);
	memcpy(k->text + key_len + 1, name, name_len);
	k->len = key_len + 1 + name_len;
	return 0;
}

static struct kv_key as_key(const struct row_key *k)
{
	return (struct kv_key){ k->text, k->len };
}

static struct kv_key str_key(const char *s)
{
	return (struct kv_key){ s, strlen(s) };
}

static uint64_t get_u64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* Copies the part of a row's key behind "repo key NUL" into a string. */
static void name_of(const struct kv_key *key, size_t prefix, char *ret, size_t cap)
{
	size_t len = key->len - prefix;

	if (len >= cap)
		len = cap - 1;
	memcpy(ret, (const char *)key->data + prefix, len);
	ret[len] = '\0';
}

/* Newer ones were refused before. */
static int put_version(struct catalog *c, const char *key, uint32_t version)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	uint32_t le = htole32(version);
	int r = kv_get(c->kv, TABLE_META, str_key(key), &row);

	if (r == 0 && row.len == sizeof(le) && memcmp(row.data, &le, sizeof(le)) == 0)
		return 0;
	return r == 0 || r == -ENOENT ? kv_put(c->kv, TABLE_META, str_key(key), &le, sizeof(le))
				      : r;
}

int catalog_open(const char *dir, struct catalog **ret, struct buf *why)
{
	struct kv_conf conf = {
		.dir = dir,
		.tables = table_names,
		.table_count = ARRAY_LEN(table_names),
		.map_bytes = MAP_BYTES_FIRST,
		.sums = true,
	};
	struct catalog *c = calloc(1, sizeof(*c));
	int r = c ? catalog_mend(&conf, CATALOG_VERSION, why) : -ENOMEM;

	if (r == 0)
		c->dir = strdup(dir);
	if (r == 0)
		r = c->dir ? kv_open(&conf, &c->kv) : -ENOMEM;
	if (r == 0)
		r = put_version(c, FORMAT_KEY_INDEX, CATALOG_VERSION);
	if (r == 0)
		r = put_version(c, FORMAT_KEY_CACHE, FORMAT_VERSION);
	if (r == 0) {
		*ret = c;
		return 0;
	}
	if (!why->len)
		buf_printf(why, "cannot open the index in %s: %s: %s", dir, err_text(r),
			   err_is_full(r) ? "make room on its disk"
					  : "move the cache away to start an empty one");
	if (c)
		kv_close(c->kv);
	free(c ? c->dir : NULL);
	free(c);
	return r;
}

void catalog_close(struct catalog *c)
{
	if (!c)
		return;
	kv_close(c->kv);
	catalog_vouch(c->dir);
	free(c->dir);
	free(c);
}

int catalog_put_repo(struct catalog *c, const char *key, const char *canonical)
{
	return kv_put(c->kv, TABLE_REPO, str_key(key), canonical, strlen(canonical));
}

struct each_repo {
	catalog_repo_fn fn;
	void *arg;
};

static int repo_row(void *arg, const struct kv_key *key, const void *val, size_t val_len)
{
	struct each_repo *e = arg;
	char name[REPO_KEY_MAX + 1], canonical[REPO_KEY_MAX + 1];

	name_of(key, 0, name, sizeof(name));
	name_of(&(struct kv_key){ val, val_len }, 0, canonical, sizeof(canonical));
	return e->fn(e->arg, name, canonical);
}

int catalog_each_repo(struct catalog *c, catalog_repo_fn fn, void *arg)
{
	struct each_repo e = { fn, arg };

	return kv_each(c->kv, TABLE_REPO, (struct kv_key){ "", 0 }, repo_row, &e);
}

int catalog_put_ref(struct catalog *c, const char *key, const char *ref, const char *commit,
		    int64_t checked_s)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct row_key k;
	int r = row_key(&k, key, ref);

	if (r < 0)
		return r;
	buf_add(&row, commit, COMMIT_HEX);
	buf_add_u64(&row, (uint64_t)checked_s);
	if (row.failed)
		return row.failed;
	return kv_put(c->kv, TABLE_REF, as_key(&k), row.data, row.len);
}

int catalog_del_ref(struct catalog *c, const char *key, const char *ref)
{
	struct row_key k;
	int r = row_key(&k, key, ref);

	return r < 0 ? r : kv_del(c->kv, TABLE_REF, as_key(&k));
}

struct each_ref {
	size_t prefix;
	catalog_ref_fn fn;
	void *arg;
};

static int ref_row(void *arg, const struct kv_key *key, const void *val, size_t val_len)
{
	struct each_ref *e = arg;
	char ref[256], commit[COMMIT_HEX + 1];

	if (val_len != COMMIT_HEX + sizeof(uint64_t))
		return 0; /* damaged: as if never asked */
	name_of(key, e->prefix, ref, sizeof(ref));
	memcpy(commit, val, COMMIT_HEX);
	commit[COMMIT_HEX] = '\0';
	return e->fn(e->arg, ref, commit, (int64_t)get_u64((const char *)val + COMMIT_HEX));
}

int catalog_each_ref(struct catalog *c, const char *key, catalog_ref_fn fn, void *arg)
{
	struct each_ref e = { strlen(key) + 1, fn, arg };
	struct row_key k;
	int r = row_key(&k, key, "");

	return r < 0 ? r : kv_each(c->kv, TABLE_REF, as_key(&k), ref_row, &e);
}

int catalog_put_commit(struct catalog *c, const char *key, const char *commit, int64_t date_s,
		       const struct manifest *m)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct row_key k;
	int r = row_key(&k, key, commit);

	if (r < 0)
		return r;
	buf_add_u64(&row, (uint64_t)date_s);
	r = manifest_pack(m, &row);
	if (r < 0)
		return r;
	return kv_put(c->kv, TABLE_COMMIT, as_key(&k), row.data, row.len);
}

int catalog_get_commit(struct catalog *c, const char *key, const char *commit, int64_t *ret_date_s,
		       struct manifest **ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct row_key k;
	int r = row_key(&k, key, commit);

	if (r == 0)
		r = kv_get(c->kv, TABLE_COMMIT, as_key(&k), &row);
	if (r < 0)
		return r;
	if (row.len < sizeof(uint64_t))
		return ERR_CORRUPT;
	*ret_date_s = (int64_t)get_u64(row.data);
	return manifest_unpack(row.data + sizeof(uint64_t), row.len - sizeof(uint64_t), ret);
}

struct each_commit {
	size_t prefix;
	catalog_commit_fn fn;
	void *arg;
};

static int commit_row(void *arg, const struct kv_key *key, const void *val UNUSED,
		      size_t val_len UNUSED)
{
	struct each_commit *e = arg;
	char commit[COMMIT_HEX + 1];

	name_of(key, e->prefix, commit, sizeof(commit));
	return commit_valid(commit) ? e->fn(e->arg, commit) : 0;
}

int catalog_each_commit(struct catalog *c, const char *key, catalog_commit_fn fn, void *arg)
{
	struct each_commit e = { strlen(key) + 1, fn, arg };
	struct row_key k;
	int r = row_key(&k, key, "");

	return r < 0 ? r : kv_each(c->kv, TABLE_COMMIT, as_key(&k), commit_row, &e);
}

int catalog_put_pin(struct catalog *c, const char *key, const char *revision, const char *commit,
		    int64_t since_s)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct row_key k;
	int r = row_key(&k, key, revision);

	if (r < 0)
		return r;
	buf_add_u64(&row, (uint64_t)since_s);
	buf_add_str(&row, commit);
	if (row.failed)
		return row.failed;
	return kv_put(c->kv, TABLE_PIN, as_key(&k), row.data, row.len);
}

int catalog_del_pin(struct catalog *c, const char *key, const char *revision)
{
	struct row_key k;
	int r = row_key(&k, key, revision);

	return r < 0 ? r : kv_del(c->kv, TABLE_PIN, as_key(&k));
}

struct each_pin {
	catalog_pin_fn fn;
	void *arg;
};

static int pin_row(void *arg, const struct kv_key *key, const void *val, size_t val_len)
{
	struct each_pin *e = arg;
	char repo[REPO_KEY_MAX + 1], revision[256], commit[COMMIT_HEX + 1] = "";
	size_t repo_len = strnlen(key->data, key->len);

	if (repo_len == key->len || repo_len >= sizeof(repo) || val_len < sizeof(uint64_t) ||
	    val_len > sizeof(uint64_t) + COMMIT_HEX)
		return 0; /* damaged: as if never asked */
	memcpy(repo, key->data, repo_len + 1);
	name_of(key, repo_len + 1, revision, sizeof(revision));
	memcpy(commit, (const char *)val + sizeof(uint64_t), val_len - sizeof(uint64_t));
	return e->fn(e->arg, repo, revision, commit_valid(commit) ? commit : "",
		     (int64_t)get_u64(val));
}

int catalog_each_pin(struct catalog *c, catalog_pin_fn fn, void *arg)
{
	struct each_pin e = { fn, arg };

	return kv_each(c->kv, TABLE_PIN, (struct kv_key){ "", 0 }, pin_row, &e);
}

int catalog_put_blob(struct catalog *c, const char *etag, const struct catalog_blob *row)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	char state =
		(char)((row->sealed ? ROW_SEALED : 0) | (row->distrusted ? ROW_DISTRUSTED : 0));

	buf_add(&b, &state, 1);
	buf_add_u64(&b, row->size);
	buf_add_str(&b, row->source);
	if (b.failed)
		return b.failed;
	return kv_put(c->kv, TABLE_BLOB, str_key(etag), b.data, b.len);
}

int catalog_get_blob(struct catalog *c, const char *etag, struct catalog_blob *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = kv_get(c->kv, TABLE_BLOB, str_key(etag), &row);

	if (r < 0)
		return r;
	if (row.len < 1 + sizeof(uint64_t))
		return ERR_CORRUPT;
	ret->sealed = row.data[0] & ROW_SEALED;
	ret->distrusted = row.data[0] & ROW_DISTRUSTED;
	ret->size = get_u64(row.data + 1);
	snprintf(ret->source, sizeof(ret->source), "%s", row.data + 1 + sizeof(uint64_t));
	return 0;
}

int catalog_del_blob(struct catalog *c, const char *etag)
{
	return kv_del(c->kv, TABLE_BLOB, str_key(etag));
}

int catalog_unseal_blob(struct catalog *c, const char *etag)
{
	struct catalog_blob row = { 0 };
	int r = catalog_get_blob(c, etag, &row);

	if (r < 0 && r != ERR_CORRUPT)
		return r == -ENOENT ? 0 : r;
	row.sealed = false;
	return row.distrusted ? catalog_put_blob(c, etag, &row) : catalog_del_blob(c, etag);
}

struct sweep {
	bool (*is_kept)(void *arg, const char *etag);
	void *arg;
	struct buf gone; /* etags, each with its NUL */
};

static int sweep_row(void *arg, const struct kv_key *key, const void *val, size_t val_len)
{
	struct sweep *s = arg;
	char etag[DIGEST_HEX_MAX + 1];

	name_of(key, 0, etag, sizeof(etag));
	if (val_len && *(const char *)val & ROW_DISTRUSTED)
		return 0; /* that does not hang on a file */
	return s->is_kept(s->arg, etag) ? 0 : buf_add(&s->gone, etag, strlen(etag) + 1);
}

static int del_swept(struct kv_txn *t, void *arg)
{
	const struct buf *gone = &((const struct sweep *)arg)->gone;
	int r = 0;

	for (size_t at = 0; r == 0 && at < gone->len; at += strlen(gone->data + at) + 1)
		r = kv_txn_del(t, TABLE_BLOB, str_key(gone->data + at));
	return r;
}

int catalog_sweep_blobs(struct catalog *c, bool (*is_kept)(void *arg, const char *etag), void *arg)
{
	struct sweep s = { .is_kept = is_kept, .arg = arg };
	int r = kv_each(c->kv, TABLE_BLOB, (struct kv_key){ "", 0 }, sweep_row, &s);

	if (r == 0 && s.gone.len)
		r = kv_write(c->kv, del_swept, &s);
	buf_free(&s.gone);
	return r;
}

uint64_t catalog_map_bytes(struct catalog *c)
{
	return kv_map_bytes(c->kv);
}
