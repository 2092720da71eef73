/* SPDX-License-Identifier: Apache-2.0 */
/* Input: rows of the index, as a disk may have them: table, length of the key, length of the value
 * (two bytes), key, value. The door to LMDB is played by this file, and so is what looks at its
 * pages first. A value that begins with 'S' in the table of commits gets a right sum, so that a
 * manifest's insides are reached, too. Whatever the rows say, what is known from them is
 * well-formed. */
#include "daemon/names/known.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/kv.h"
#include "daemon/base/log.h"
#include "daemon/cache/catalog_docs.h"
#include "daemon/cache/catalog_mend.h"
#include "daemon/cache/shelf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define ROWS_MAX 32
#define TABLES 7
#define TABLE_COMMIT 3
#define KEY_MAX 511

/* --- the door, played */

struct row {
	unsigned table;
	struct kv_key key;
	struct buf val;
};

static struct row rows[ROWS_MAX];
static unsigned count;

struct kv {
	int unused;
};
static struct kv door;

int kv_open(const struct kv_conf *conf UNUSED, struct kv **ret)
{
	*ret = &door;
	return 0;
}

void kv_close(struct kv *kv UNUSED)
{
}

int kv_get(struct kv *kv UNUSED, unsigned table, struct kv_key key, struct buf *ret)
{
	for (unsigned i = 0; i < count; i++) {
		if (rows[i].table == table && rows[i].key.len == key.len &&
		    memcmp(rows[i].key.data, key.data, key.len) == 0)
			return buf_add(ret, rows[i].val.data, rows[i].val.len);
	}
	return -ENOENT;
}

int kv_each(struct kv *kv UNUSED, unsigned table, struct kv_key prefix, kv_each_fn fn, void *arg)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < count; i++) {
		if (rows[i].table == table && rows[i].key.len >= prefix.len &&
		    memcmp(rows[i].key.data, prefix.data, prefix.len) == 0)
			r = fn(arg, &rows[i].key, rows[i].val.data, rows[i].val.len);
	}
	return r;
}

int kv_put(struct kv *kv UNUSED, unsigned table UNUSED, struct kv_key key UNUSED,
	   const void *val UNUSED, size_t len UNUSED)
{
	return 0;
}

int kv_del(struct kv *kv UNUSED, unsigned table UNUSED, struct kv_key key UNUSED)
{
	return 0;
}

int kv_write(struct kv *kv UNUSED, kv_txn_fn fn, void *arg)
{
	return fn(NULL, arg);
}

int kv_txn_put(struct kv_txn *t UNUSED, unsigned table UNUSED, struct kv_key key UNUSED,
	       const void *val UNUSED, size_t len UNUSED)
{
	return 0;
}

int kv_txn_del(struct kv_txn *t UNUSED, unsigned table UNUSED, struct kv_key key UNUSED)
{
	return 0;
}

uint64_t kv_map_bytes(struct kv *kv UNUSED)
{
	return 0;
}

int catalog_mend(const struct kv_conf *conf UNUSED, uint32_t version UNUSED, struct buf *why UNUSED)
{
	return 0;
}

void catalog_vouch(const char *dir UNUSED)
{
}

/* --- rows */

static int fill(struct row *row, const uint8_t *val, size_t len)
{
	bool summed = row->table == TABLE_COMMIT && len > 9 && val[0] == 'S';

	if (!summed)
		return buf_add(&row->val, val, len);
	/* A date, the packed manifest, and the sum at its end. */
	if (buf_add(&row->val, val + 1, len - 1) < 0)
		return -ENOMEM;
	return buf_add_u64(&row->val, xxh3_of(val + 9, len - 9));
}

static void parse(const uint8_t *at, size_t left)
{
	count = 0;
	while (left >= 4 && count < ROWS_MAX) {
		size_t key_len = at[1], val_len = at[2] | (size_t)at[3] << 8;
		struct row *row = &rows[count];

		at += 4;
		left -= 4;
		if (key_len > left || val_len > left - key_len)
			return;
		*row = (struct row){ at[-4] % TABLES, { at, key_len }, { 0 } };
		if (key_len && fill(row, at + key_len, val_len) == 0)
			count++;
		at += key_len + val_len;
		left -= key_len + val_len;
	}
}

/* --- what is known from them */

static struct known *known;

static int on_ref(void *arg, const char *ref, const char *commit)
{
	struct known_ref state;

	assert(known_get_ref(known, arg, ref, &state));
	assert(strlen(commit) == COMMIT_HEX && strcmp(state.commit, commit) == 0);
	assert(state.checked_ms >= 0 && state.checked_ms <= clock_ms());
	return 0;
}

static int on_commit(void *arg, const char *commit)
{
	struct snapshot *s = NULL;

	assert(commit_valid(commit));
	if (known_snapshot(known, arg, commit, &s) == 0)
		snapshot_unref(s);
	return 0;
}

static int on_repo(void *arg UNUSED, struct repo *r)
{
	struct repo_id again;

	assert(repo_canonical(r) == r);
	assert(repo_id_parse_key(repo_key(r), &again) == 0);
	known_each_ref(known, r, on_ref, r);
	known_each_commit(known, r, on_commit, r);
	return 0;
}

static void look_at_blobs(struct catalog *c)
{
	for (unsigned i = 0; i < count; i++) {
		CLEANUP(buf_free) struct buf etag = { 0 };
		struct catalog_blob row;

		if (buf_add(&etag, rows[i].key.data, rows[i].key.len) == 0 &&
		    catalog_get_blob(c, buf_str(&etag), &row) == 0)
			assert(memchr(row.source, '\0', sizeof(row.source)));
	}
}

static int on_pin(void *arg UNUSED, const char *key, const char *revision, const char *commit,
		  int64_t since_s UNUSED)
{
	assert(strlen(key) <= REPO_KEY_MAX && strlen(revision) < 256);
	assert(!*commit || commit_valid(commit));
	return 0;
}

static int on_doc(void *arg, const struct catalog_doc *doc)
{
	assert(hex_is(doc->name, DOC_NAME_HEX));
	return buf_add(arg, doc->name, sizeof(doc->name));
}

static void look_at_docs(struct catalog *c)
{
	CLEANUP(buf_free) struct buf names = { 0 };
	struct shelf *s = NULL;

	assert(catalog_each_doc(c, on_doc, &names) == 0 && shelf_new(c, 1 << 20, &s) == 0);
	for (size_t at = 0; at < names.len; at += DOC_NAME_HEX + 1) {
		CLEANUP(buf_free) struct buf text = { 0 };
		CLEANUP(buf_free) struct buf next = { 0 };
		struct shelf_note note;

		if (shelf_find(s, names.data + at, &note) == 0) {
			assert(note.age_ms >= 0);
			if (shelf_get(s, names.data + at, &text, &next) == 0)
				assert(strlen(buf_str(&text)) == text.len);
		}
	}
	shelf_free(s);
}

static void look(struct catalog *c)
{
	look_at_docs(c);
	look_at_blobs(c);
	catalog_each_pin(c, on_pin, NULL);
	if (known_new(c, &known) < 0)
		return;
	known_each_repo(known, on_repo, NULL);
	known_free(steal(known));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct catalog *c = NULL;

	log_set_level(LOG_LEVEL_ERR);
	parse(data, len);
	if (catalog_open("index", &c, &why) == 0) {
		look(c);
		catalog_close(c);
	}
	for (unsigned i = 0; i < count; i++)
		buf_free(&rows[i].val);
	return 0;
}
