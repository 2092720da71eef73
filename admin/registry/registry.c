/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of repositories are JSON, by the repository's key in small letters. Those of refs and
 * objects begin with its uid, so that a repository which is made under the name of one that went
 * has nothing of it. */
#include "admin/registry/registry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "admin/catalogue/catalogue.h"
#include "admin/registry/left_commits.h"
#include "admin/registry/owners.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/jwrite.h"

#define ROW_KEY_MAX (REGISTRY_UID + 1 + REGISTRY_REF_MAX + 1)
#define SHORT_MIN 7 /* digits of an id that name its commit */

/* ---- repositories ---- */

const char *registry_gating_word(enum registry_gating gating)
{
	static const char *const words[] = { NULL, "auto", "manual" };

	return words[gating];
}

/* What nobody understands is for nobody who was not let in. */
static enum registry_gating gating_of(const char *word)
{
	if (!word)
		return REGISTRY_OPEN;
	return strcmp(word, "auto") ? REGISTRY_GATED_MANUAL : REGISTRY_GATED_AUTO;
}

static void copy_text(const struct jval *v, const char *name, char *ret, size_t cap)
{
	const char *text = jval_get_str(v, name);

	snprintf(ret, cap, "%s", text ? text : "");
}

static int parse_repo(const char *key, const char *row, size_t len, struct registry_repo *ret)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct jval *v;
	struct repo_id id = { 0 };
	int r = jdoc_parse(row, len, &doc);

	if (r == 0)
		r = repo_id_parse_key(key, &id);
	if (r < 0)
		return r == -ENOMEM ? r : ERR_CORRUPT;
	v = jdoc_root(doc);
	*ret = (struct registry_repo){ .created_s = jval_get_size(v, "created") };
	copy_text(v, "uid", ret->uid, sizeof(ret->uid));
	copy_text(v, "creator", ret->creator, sizeof(ret->creator));
	copy_text(v, "sdk", ret->sdk, sizeof(ret->sdk));
	copy_text(v, "description", ret->description, sizeof(ret->description));
	ret->gating = gating_of(jval_get_str(v, "gated"));
	ret->discussions_disabled = jval_bool(jval_get(v, "discussionsDisabled")) == 1;
	r = jval_get_str(v, "name") ? repo_id_parse(id.type, jval_get_str(v, "name"), &ret->id)
				    : -1;
	return r == 0 && hex_is(ret->uid, REGISTRY_UID) ? 0 : ERR_CORRUPT;
}

int registry_get(struct db_txn *t, const struct repo_id *id, struct registry_repo *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char key[REPO_KEY_MAX + 1];
	int r;

	repo_id_key_small(id, key);
	r = db_get(t, DB_HOSTED, db_text(key), &row);
	return r < 0 ? r : parse_repo(key, buf_str(&row), row.len, ret);
}

int registry_change(struct db_txn *t, const struct registry_repo *repo)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct jwrite w = { .to = &row };
	char key[REPO_KEY_MAX + 1];
	int r;

	repo_id_key_small(&repo->id, key);
	r = objects_own(t, repo->uid, key);
	if (r < 0)
		return r;
	jwrite_object(&w, NULL);
	jwrite_text(&w, "uid", repo->uid);
	jwrite_text(&w, "name", repo->id.name);
	jwrite_text(&w, "creator", repo->creator);
	jwrite_int(&w, "created", repo->created_s);
	jwrite_text(&w, "sdk", repo->sdk);
	jwrite_text(&w, "description", repo->description);
	if (repo->gating)
		jwrite_text(&w, "gated", registry_gating_word(repo->gating));
	if (repo->discussions_disabled)
		jwrite_bool(&w, "discussionsDisabled", true);
	jwrite_object_end(&w);
	return row.failed ? row.failed : db_put(t, DB_HOSTED, db_text(key), row.data, row.len);
}

int registry_add(struct db_txn *t, const struct registry_repo *repo)
{
	struct registry_repo old;
	int r = registry_get(t, &repo->id, &old);

	if (r == 0)
		return -EEXIST;
	return r == -ENOENT ? registry_change(t, repo) : r;
}

int registry_rename(struct db_txn *t, struct registry_repo *repo, const struct repo_id *to)
{
	char key[REPO_KEY_MAX + 1];
	int r;

	repo_id_key_small(&repo->id, key);
	r = db_del(t, DB_HOSTED, db_text(key));
	if (r == 0)
		r = catalogue_remove(t, &repo->id); /* it comes back by its new name */
	repo->id = *to;
	return r < 0 ? r : registry_change(t, repo);
}

/* Notes the length and the bytes of a key: all are found before any is taken away. */
static int doom(void *arg, struct db_key key, const char *val UNUSED, size_t len UNUSED)
{
	struct buf *keys = arg;

	buf_add_u32(keys, (uint32_t)key.len);
	return buf_add(keys, key.data, key.len);
}

static int remove_all(struct db_txn *t, enum db_table table, const char *uid)
{
	CLEANUP(buf_free) struct buf keys = { 0 };
	struct db_key prefix = { uid, REGISTRY_UID + 1 };
	int r = db_each_all(t, table, prefix, doom, &keys);

	for (size_t at = 0; r == 0 && at < keys.len;) {
		uint32_t len;

		memcpy(&len, keys.data + at, sizeof(len));
		at += sizeof(len);
		r = db_del(t, table, (struct db_key){ keys.data + at, len });
		at += len;
	}
	return r;
}

int registry_remove_rows(struct db_txn *t, const char *uid)
{
	static const enum db_table tables[] = {
		DB_REFS,      DB_LEFT,        DB_OBJECTS,         DB_LOCK_RULES, DB_TAG_LOCKS,
		DB_REFLOG,    DB_CHECKS,      DB_PROMOTION_RULES, DB_GATE,       DB_DOWNLOADS,
		DB_FILE_USES, DB_DISCUSSIONS, DB_EVENTS,          DB_PAYERS
	};
	int r = objects_disown(t, uid);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(tables); i++)
		r = remove_all(t, tables[i], uid);
	return r;
}

int registry_remove(struct db_txn *t, const struct registry_repo *repo)
{
	char key[REPO_KEY_MAX + 1];
	int r = registry_remove_rows(t, repo->uid);

	repo_id_key_small(&repo->id, key);
	if (r == 0)
		r = catalogue_remove(t, &repo->id);
	return r < 0 ? r : db_del(t, DB_HOSTED, db_text(key));
}

struct each {
	registry_fn fn;
	void *arg;
};

static int each_row(void *arg, struct db_key key, const char *val, size_t len)
{
	const struct each *e = arg;
	char text[REPO_KEY_MAX + 1];
	struct registry_repo repo;
	int r;

	snprintf(text, sizeof(text), "%.*s", (int)key.len, (const char *)key.data);
	r = parse_repo(text, val, len, &repo);
	return r == -ENOMEM ? r : r < 0 ? 0 : e->fn(e->arg, &repo);
}

int registry_each(struct db_txn *t, registry_fn fn, void *arg)
{
	const struct db_key all = { 0 };
	struct each e = { fn, arg };

	return db_each(t, DB_HOSTED, all, all, each_row, &e);
}

int registry_each_in(struct db_txn *t, const char *namespace, registry_fn fn, void *arg)
{
	struct each e = { fn, arg };
	char prefix[REPO_KEY_MAX + 1];
	int r = 0;

	for (int type = 0; r == 0 && type < REPO_TYPE_COUNT; type++) {
		snprintf(prefix, sizeof(prefix), "%s/%s/", repo_type_plural((enum repo_type)type),
			 namespace);
		account_key(prefix, prefix);
		r = db_each(t, DB_HOSTED, db_text(prefix), (struct db_key){ 0 }, each_row, &e);
	}
	return r;
}

/* Rows of a time when there was none of the name are found by looking at all. */
struct search {
	const char *uid;
	struct repo_id *to;
};

static int is_it(void *arg, const struct registry_repo *repo)
{
	const struct search *s = arg;

	if (strcmp(repo->uid, s->uid) != 0)
		return 0;
	*s->to = repo->id;
	return 1;
}

int registry_name(struct db_txn *t, const char *uid, struct repo_id *ret)
{
	struct search s = { uid, ret };
	struct owner owner;
	int r = owners_get(t, uid, &owner);

	if (r == 0)
		return repo_id_parse_key(owner.repo, ret) < 0 ? ERR_CORRUPT : 0;
	if (r == -ENOENT)
		r = registry_each(t, is_it, &s);
	return r == 0 ? -ENOENT : r < 0 ? r : 0;
}

int registry_now(struct db_txn *t, const char *uid, struct registry_repo *ret)
{
	struct repo_id id;
	int r = registry_name(t, uid, &id);

	if (r == 0)
		r = registry_get(t, &id, ret);
	if (r == 0 && strcmp(ret->uid, uid) != 0)
		r = -ENOENT; /* another one has its name */
	return r == -ENOENT ? ERR_NOREPO : r;
}

int registry_make_uid(char ret[static REGISTRY_UID + 1])
{
	uint8_t bytes[REGISTRY_UID / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	hex_print(bytes, sizeof(bytes), ret);
	return 0;
}

/* ---- refs ---- */

/* The uid, a NUL, and what follows. */
static struct db_key row_key(const char *uid, const char *what, char room[static ROW_KEY_MAX])
{
	size_t len = strlen(what);

	if (len > REGISTRY_REF_MAX)
		len = REGISTRY_REF_MAX;
	memcpy(room, uid, REGISTRY_UID);
	room[REGISTRY_UID] = '\0';
	memcpy(room + REGISTRY_UID + 1, what, len);
	return (struct db_key){ room, REGISTRY_UID + 1 + len };
}

int registry_ref(struct db_txn *t, const char *uid, const char *ref,
		 char ret[static COMMIT_HEX + 1])
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char room[ROW_KEY_MAX];
	int r = db_get(t, DB_REFS, row_key(uid, ref, room), &row);

	if (r < 0)
		return r;
	if (!commit_valid(buf_str(&row)))
		return ERR_CORRUPT;
	memcpy(ret, row.data, COMMIT_HEX + 1);
	return 0;
}

/* A commit that a ref named is remembered as left, unless it is a parent of the next. */
static int leave(struct db_txn *t, const char *uid, const char *ref, const char *next)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	char old[COMMIT_HEX + 1], parent[COMMIT_HEX + 1];
	struct git_commit c = { .parent_count = 0 };
	int r = registry_ref(t, uid, ref, old);

	if (r < 0 || (next && !strcmp(old, next)))
		return r == -ENOENT || r == ERR_CORRUPT ? 0 : r;
	if (next && registry_commit(t, uid, next, &room, &c) < 0)
		c.parent_count = 0;
	for (unsigned i = 0; i < c.parent_count; i++) {
		hex_print(c.parents[i], GIT_ID, parent);
		if (!strcmp(parent, old))
			return 0;
	}
	return left_commits_put(t, uid, old, clock_wall_s());
}

int registry_put_ref(struct db_txn *t, const char *uid, const char *ref, const char *commit)
{
	char room[ROW_KEY_MAX];
	int r = leave(t, uid, ref, commit);

	return r < 0 ? r : db_put(t, DB_REFS, row_key(uid, ref, room), commit, COMMIT_HEX);
}

int registry_drop_ref(struct db_txn *t, const char *uid, const char *ref)
{
	char room[ROW_KEY_MAX];
	int r = leave(t, uid, ref, NULL);

	return r < 0 ? r : db_del(t, DB_REFS, row_key(uid, ref, room));
}

struct each_ref {
	registry_ref_fn fn;
	void *arg;
};

static int each_ref(void *arg, struct db_key key, const char *val, size_t len)
{
	const struct each_ref *e = arg;
	char ref[REGISTRY_REF_MAX + 1], commit[COMMIT_HEX + 1];

	snprintf(ref, sizeof(ref), "%.*s", (int)(key.len - REGISTRY_UID - 1),
		 (const char *)key.data + REGISTRY_UID + 1);
	snprintf(commit, sizeof(commit), "%.*s", (int)len, val);
	return commit_valid(commit) ? e->fn(e->arg, ref, commit) : 0;
}

int registry_each_ref(struct db_txn *t, const char *uid, const char *prefix, registry_ref_fn fn,
		      void *arg)
{
	struct each_ref e = { fn, arg };
	char room[ROW_KEY_MAX];

	return db_each(t, DB_REFS, row_key(uid, prefix, room), (struct db_key){ 0 }, each_ref, &e);
}

/* ---- revisions ---- */

struct short_id {
	char found[COMMIT_HEX + 1];
	unsigned count;
};

static int note_commit(void *arg, struct db_key key, const char *val, size_t len)
{
	struct short_id *s = arg;

	if (!len || val[0] != REGISTRY_COMMIT || key.len != REGISTRY_UID + 1 + COMMIT_HEX)
		return 0;
	snprintf(s->found, sizeof(s->found), "%.*s", COMMIT_HEX,
		 (const char *)key.data + REGISTRY_UID + 1);
	return ++s->count > 1;
}

static int find_commit(struct db_txn *t, const char *uid, const char *digits,
		       char ret[static COMMIT_HEX + 1])
{
	struct short_id s = { .count = 0 };
	size_t len = strlen(digits);
	char room[ROW_KEY_MAX];
	int r;

	if (len < SHORT_MIN || len > COMMIT_HEX || !hex_is(digits, len))
		return ERR_NOREV;
	r = db_each(t, DB_OBJECTS, row_key(uid, digits, room), (struct db_key){ 0 }, note_commit,
		    &s);
	if (r < 0)
		return r;
	memcpy(ret, s.found, sizeof(s.found));
	return s.count == 1 ? 0 : ERR_NOREV;
}

int registry_find(struct db_txn *t, const char *uid, const char *revision,
		  char ret[static COMMIT_HEX + 1])
{
	static const char *const places[] = { REGISTRY_BRANCHES, REGISTRY_TAGS, "" };
	char ref[REGISTRY_REF_MAX + 1];
	int r = -ENOENT;

	if (strlen(revision) > REVISION_MAX)
		return ERR_NOREV;
	for (size_t i = 0; r == -ENOENT && i < ARRAY_LEN(places); i++) {
		snprintf(ref, sizeof(ref), "%s%s", places[i], revision);
		r = registry_ref(t, uid, ref, ret);
	}
	return r == -ENOENT ? find_commit(t, uid, revision, ret) : r;
}

/* ---- objects ---- */

static struct db_key object_key(const char *uid, const uint8_t id[static GIT_ID],
				char room[static ROW_KEY_MAX])
{
	char hex[2 * GIT_ID + 1];

	hex_print(id, GIT_ID, hex);
	return row_key(uid, hex, room);
}

static int get_object(struct db_txn *t, const char *uid, const uint8_t id[static GIT_ID],
		      struct buf *ret)
{
	char room[ROW_KEY_MAX];
	int r = db_get(t, DB_OBJECTS, object_key(uid, id, room), ret);

	return r == 0 && !ret->len ? ERR_CORRUPT : r;
}

int registry_object(struct db_txn *t, const char *uid, enum registry_kind kind,
		    const uint8_t id[static GIT_ID], struct buf *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = get_object(t, uid, id, &row);

	if (r < 0)
		return r;
	return row.data[0] == (char)kind ? buf_add(ret, row.data + 1, row.len - 1) : -ENOENT;
}

int registry_put_object(struct db_txn *t, const char *uid, enum registry_kind kind,
			const uint8_t id[static GIT_ID], const void *data, size_t len)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char room[ROW_KEY_MAX], letter = (char)kind;
	struct db_key key = object_key(uid, id, room);
	int r = db_get(t, DB_OBJECTS, key, &row);

	if (r != -ENOENT && (r < 0 || !row.len || row.data[0] != REGISTRY_GONE))
		return r;
	buf_clear(&row);
	buf_add(&row, &letter, 1);
	buf_add(&row, data, len);
	r = row.failed ? row.failed : objects_come(t, key, &row);
	return r < 0 ? r : db_put(t, DB_OBJECTS, key, row.data, row.len);
}

struct each_object {
	registry_object_fn fn;
	void *arg;
};

static int each_object(void *arg, struct db_key key, const char *val, size_t len)
{
	const struct each_object *e = arg;
	const char *hex = (const char *)key.data + REGISTRY_UID + 1;
	char text[2 * GIT_ID + 1];
	uint8_t id[GIT_ID];

	if (!len || key.len != REGISTRY_UID + 1 + 2 * GIT_ID)
		return 0;
	memcpy(text, hex, 2 * GIT_ID);
	text[2 * GIT_ID] = '\0';
	if (hex_parse(text, GIT_ID, id) < 0)
		return 0;
	return e->fn(e->arg, (enum registry_kind)val[0], id, val + 1, len - 1);
}

int registry_each_object(struct db_txn *t, const char *uid, registry_object_fn fn, void *arg)
{
	struct each_object e = { fn, arg };
	char room[ROW_KEY_MAX];

	return db_each(t, DB_OBJECTS, row_key(uid, "", room), (struct db_key){ 0 }, each_object,
		       &e);
}

int registry_commit(struct db_txn *t, const char *uid, const char *commit, struct buf *room,
		    struct git_commit *ret)
{
	uint8_t id[GIT_ID];
	int r = hex_parse(commit, GIT_ID, id);

	buf_clear(room);
	if (r == 0)
		r = registry_object(t, uid, REGISTRY_COMMIT, id, room);
	if (r == -ENOENT || r == -EINVAL)
		return ERR_NOREV;
	return r < 0 ? r : git_commit_parse(room, ret);
}

int registry_commit_of(struct db_txn *t, const char *uid, const uint8_t id[static GIT_ID],
		       struct buf *room, struct git_commit *ret)
{
	char hex[COMMIT_HEX + 1];
	int r;

	hex_print(id, GIT_ID, hex);
	r = registry_commit(t, uid, hex, room, ret);
	return r == ERR_NOREV ? ERR_CORRUPT : r;
}

static int read_pointer(const char *text, size_t len, struct manifest_file *ret)
{
	ret->kind = DIGEST_SHA256;
	return git_pointer_parse(text, len, ret->digest, &ret->size) ? 0 : ERR_CORRUPT;
}

int registry_file(struct db_txn *t, const char *uid, const uint8_t id[static GIT_ID],
		  struct manifest_file *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = get_object(t, uid, id, &row);

	if (r < 0)
		return r == -ENOENT ? ERR_CORRUPT : r;
	if (row.data[0] == REGISTRY_GONE)
		return -ENOENT;
	*ret = (struct manifest_file){ .kind = DIGEST_GIT_SHA1 };
	memcpy(ret->oid, id, GIT_ID);
	memcpy(ret->digest, id, GIT_ID);
	if (row.data[0] == REGISTRY_POINTER)
		return read_pointer(row.data + 1, row.len - 1, ret);
	if (row.data[0] != REGISTRY_FILE)
		return ERR_CORRUPT;
	ret->size = strtoull(row.data + 1, NULL, 10);
	return 0;
}

int registry_gone(struct db_txn *t, const char *uid, const uint8_t id[static GIT_ID],
		  struct manifest_file *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = registry_object(t, uid, REGISTRY_GONE, id, &text);

	*ret = (struct manifest_file){ .kind = DIGEST_SHA256 };
	memcpy(ret->oid, id, GIT_ID);
	return r < 0 ? r : read_pointer(buf_str(&text), text.len, ret);
}
