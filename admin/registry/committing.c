/* SPDX-License-Identifier: Apache-2.0 */
/* A commit is worked out beside the database, from what its branch names now; the transaction that
 * brings it in finds out whether the branch still does. */
#include "admin/registry/committing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/registry/committed.h"
#include "admin/registry/refs.h"
#include "admin/registry/repeated.h"
#include "admin/registry/uploads.h"
#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/grow.h"
#include "daemon/base/why.h"

#define TRIES_MAX 64 /* while the branch moves */

/* ---- plans ---- */

void commit_plan_fini(struct commit_plan *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->changes[i].path);
	free(p->changes);
	buf_free(&p->message);
}

int commit_check_path(const char *path, struct buf *why)
{
	int r = manifest_check_path(path, why);

	if (r == 0 && !git_path_valid(path))
		r = complain_as(ERR_HOSTILE, why, "The path '%s' cannot be in git.", path);
	return r;
}

int commit_plan_add(struct commit_plan *p, enum change_kind kind, const char *path,
		    const struct manifest_file *file, struct buf *why)
{
	struct change c = { .kind = kind };
	int r = kind == CHANGE_FILE ? commit_check_path(path, why) : 0;

	if (r == 0)
		r = grow_list(p->changes, p->count, p->cap);
	if (r < 0)
		return r;
	if (file)
		c.file = *file;
	c.path = strdup(path);
	if (!c.path)
		return -ENOMEM;
	p->changes[p->count++] = c;
	return 0;
}

int commit_plan_say(struct commit_plan *p, const char *title, const char *description)
{
	buf_clear(&p->message);
	buf_printf(&p->message, "%s\n", title);
	if (description && *description)
		buf_printf(&p->message, "\n%s\n", description);
	return p->message.failed;
}

/* ---- objects to be written ---- */

struct object {
	struct object *next;
	enum registry_kind kind;
	uint8_t id[GIT_ID];
	size_t len;
	char data[];
};

/* One commit on its way. */
struct making {
	struct commit_plan *plan;
	struct buf *why;
	struct committed files;    /* as they become */
	char head[COMMIT_HEX + 1]; /* what the branch named, or "" */
	char base[COMMIT_HEX + 1]; /* what it is made from, or "" */
	bool late;                 /* the branch has left that: it may be made already */
	bool again;                /* it is: as `like` */
	char like[COMMIT_HEX + 1]; /* the one that it may be, or the head */
	struct buf like_room;      /* of the next one's texts */
	struct git_commit like_commit;
	struct object *objects;
	uint8_t tree[GIT_ID];
	char commit[COMMIT_HEX + 1];
};

/* Nothing has been worked out. */
static void making_clear(struct making *m)
{
	committed_fini(&m->files);
	while (m->objects) {
		struct object *next = m->objects->next;

		free(m->objects);
		m->objects = next;
	}
}

static void making_fini(struct making *m)
{
	making_clear(m);
	buf_free(&m->like_room);
}

static int add_object(struct making *m, enum registry_kind kind, const uint8_t id[static GIT_ID],
		      const void *data, size_t len)
{
	struct object *o = malloc(sizeof(*o) + len + 1);

	if (!o)
		return -ENOMEM;
	o->kind = kind;
	o->len = len;
	memcpy(o->id, id, GIT_ID);
	if (len)
		memcpy(o->data, data, len);
	o->next = m->objects;
	m->objects = o;
	return 0;
}

static int add_tree(void *arg, const uint8_t id[static GIT_ID], const void *data, size_t len)
{
	return add_object(arg, REGISTRY_TREE, id, data, len);
}

/* ---- what it is made from ---- */

/* It may be what is asked for, by the same person, just now: its tree will tell. */
static bool may_be_repeated(const struct making *m)
{
	const struct commit_plan *p = m->plan;

	return !p->fresh && m->like[0] &&
	       repeated_alike(&m->like_commit, p->name, buf_str(&p->message));
}

/* A parent that the branch has left is one only if this commit may have been made of it already. */
static int choose_base(struct db_txn *t, struct making *m)
{
	const struct commit_plan *p = m->plan;
	int r;

	m->late = false;
	memcpy(m->base, p->apart && p->parent[0] ? p->parent : m->head, sizeof(m->base));
	if (p->apart || !p->parent[0] || !strcmp(p->parent, m->head))
		return 0;
	r = repeated_find(t, p->uid, m->head, p->parent, &m->like_room, &m->like_commit, m->like);
	if (r == -ENOENT || (r == 0 && !may_be_repeated(m)))
		return -ESTALE;
	memcpy(m->base, p->parent, sizeof(m->base));
	m->late = true;
	return r;
}

static int find_base(struct db_txn *t, void *arg)
{
	struct making *m = arg;
	const char *uid = m->plan->uid;
	int r = registry_ref(t, uid, m->plan->branch, m->head);

	if (r < 0)
		return r == -ENOENT ? ERR_NOREV : r;
	memcpy(m->like, m->head, sizeof(m->like));
	r = registry_commit(t, uid, m->head, &m->like_room, &m->like_commit);
	return r < 0 ? r : choose_base(t, m);
}

/* ---- what becomes of it ---- */

/* Adds the object that stands in trees for a file. */
static int print_file(struct making *m, const struct manifest_file *f, uint8_t ret[static GIT_ID])
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r;

	if (f->kind == DIGEST_GIT_SHA1) {
		memcpy(ret, f->digest, GIT_ID);
		r = buf_add_digits(&text, f->size);
		return r < 0 ? r : add_object(m, REGISTRY_FILE, ret, text.data, text.len);
	}
	r = git_pointer_print(f->digest, f->size, &text);
	if (r == 0)
		r = digest_git_object("blob", text.data, text.len, ret);
	return r < 0 ? r : add_object(m, REGISTRY_POINTER, ret, text.data, text.len);
}

/* A file that is there keeps its mode. */
static int put_file(struct making *m, const struct change *c)
{
	enum git_mode mode;
	uint8_t id[GIT_ID];
	int r = git_trees_find(m->files.trees, c->path, &mode, id);

	if (r == -ENOENT || (r == 0 && mode != GIT_EXECUTABLE)) {
		mode = GIT_FILE;
		r = 0;
	}
	if (r == 0)
		r = print_file(m, &c->file, id);
	return r < 0 ? r : git_trees_put(m->files.trees, c->path, mode, id);
}

static int change(struct making *m, const struct change *c)
{
	struct git_trees *trees = m->files.trees;
	int r;

	if (c->kind == CHANGE_FILE)
		return put_file(m, c);
	r = c->kind == CHANGE_DROP ? git_trees_drop(trees, c->path) : -ENOENT;
	if (r == -ENOENT && (c->kind == CHANGE_DROP_DIR || *c->path)) /* clients need not know */
		r = git_trees_drop_dir(trees, c->path);
	return r == -ENOENT ? complain_as(ERR_NOENTRY, m->why, "%s", c->path) : r;
}

static int apply(struct making *m)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->plan->count; i++)
		r = change(m, &m->plan->changes[i]);
	if (r == 0)
		r = git_trees_write(m->files.trees, add_tree, m, m->tree, m->why);
	return r == -EEXIST ? ERR_HOSTILE : r;
}

/* What cannot be read is told of when it is written. */
static void look_for_gone(struct db_txn *t, const struct making *m)
{
	struct commit_plan *p = m->plan;
	struct manifest_file gone;

	p->revives = false;
	for (const struct object *o = m->objects; o; o = o->next)
		p->revives |= o->kind == REGISTRY_POINTER &&
			      registry_gone(t, p->uid, o->id, &gone) == 0;
}

/* One that brings what is gone is none: the tree is the same, and shows less. */
static int look_for_repeated(struct db_txn *t, struct making *m)
{
	struct commit_plan *p = m->plan;
	int r = p->again && !p->revives ? p->again(t, p, m->base, m->tree, m->like) : -ENOENT;

	m->again = r == 0 || (!memcmp(m->like_commit.tree, m->tree, GIT_ID) && may_be_repeated(m) &&
			      !p->revives);
	return r == -ENOENT ? 0 : r;
}

static int work_out(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct making *m = arg;
	const char *uid = m->plan->uid;
	struct git_commit base;
	int r;

	making_clear(m);
	buf_clear(m->why);
	r = find_base(t, m);
	if (r == 0)
		r = registry_commit(t, uid, m->base, &room, &base);
	if (r == 0)
		r = committed_open(&m->files, t, uid, &base);
	if (r == 0)
		r = apply(m);
	look_for_gone(t, m);
	return r < 0 ? r : look_for_repeated(t, m);
}

int commit_check_base(struct db *db, struct commit_plan *p)
{
	struct making m = { .plan = p };
	int r = db_read(db, find_base, &m);

	buf_free(&m.like_room);
	return r;
}

/* Only who named a parent that the branch has left may still be told that it was too late. */
static int check(struct db_txn *t, void *arg)
{
	struct making *m = arg;
	int r = find_base(t, m);

	if (r < 0 || !m->late)
		return r;
	r = work_out(t, m);
	return r == 0 && !m->again ? -ESTALE : r;
}

int commit_check(struct db *db, struct commit_plan *p, struct buf *why)
{
	CLEANUP(making_fini) struct making m = { .plan = p, .why = why };

	return db_read(db, check, &m);
}

static int print_commit(struct making *m)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	const struct commit_plan *p = m->plan;
	struct git_commit c = {
		.author = { p->name, p->email, clock_wall_s(), 0 },
		.message = buf_str(&p->message),
	};
	uint8_t id[GIT_ID];
	int r = 0;

	c.committer = c.author;
	memcpy(c.tree, m->tree, GIT_ID);
	if (m->base[0])
		r = hex_parse(m->base, GIT_ID, c.parents[c.parent_count++]);
	if (r == 0)
		r = git_commit_print(&c, &text);
	if (r == 0)
		r = digest_git_object("commit", buf_str(&text), text.len, id);
	if (r < 0)
		return r;
	hex_print(id, GIT_ID, m->commit);
	return add_object(m, REGISTRY_COMMIT, id, text.data, text.len);
}

/* ---- bringing it in ---- */

typedef int (*lfs_fn)(struct db_txn *t, const struct commit_plan *p, const struct manifest_file *f,
		      const char *etag);

/* To know the id of a file is not to have it. */
static int check_lfs(struct db_txn *t, const struct commit_plan *p, const struct manifest_file *f,
		     const char *etag)
{
	uint64_t size;
	int r = objects_has_file(t, p->uid, etag, f->size);

	if (r != 0)
		return r < 0 ? r : 0;
	r = uploads_find(t, p->repo, etag, &size);
	return r == -ENOENT || (r == 0 && size != f->size) ? -ENODATA : r;
}

static int forget_lfs(struct db_txn *t, const struct commit_plan *p,
		      const struct manifest_file *f UNUSED, const char *etag)
{
	return uploads_forget(t, p->repo, etag);
}

/* Of all changes from the first one on. The path of the one that failed goes to why. */
static int each_lfs(struct db_txn *t, const struct commit_plan *p, size_t first, lfs_fn fn,
		    struct buf *why)
{
	char etag[DIGEST_HEX_MAX + 1];
	int r = 0;

	for (size_t i = first; r == 0 && i < p->count; i++) {
		const struct change *c = &p->changes[i];

		if (c->kind != CHANGE_FILE || c->file.kind != DIGEST_SHA256)
			continue;
		manifest_etag(&c->file, etag);
		r = fn(t, p, &c->file, etag);
		if (r < 0) {
			buf_clear(why);
			buf_add_str(why, c->path);
		}
	}
	return r;
}

/* Blobs are collected inside transactions: what is there in this one stays. */
static int check_blobs(const struct making *m)
{
	const struct commit_plan *p = m->plan;
	char etag[DIGEST_HEX_MAX + 1];

	for (size_t i = 0; p->blobs && i < p->count; i++) {
		const struct change *c = &p->changes[i];

		if (c->kind != CHANGE_FILE)
			continue;
		manifest_etag(&c->file, etag);
		if (intake_is_there(p->blobs, etag))
			continue;
		buf_clear(m->why);
		buf_add_str(m->why, c->path);
		return c->file.kind == DIGEST_SHA256 ? -ENODATA : ERR_BUSY;
	}
	return 0;
}

struct lfs_question {
	const struct commit_plan *plan;
	size_t first;
	struct buf *why;
};

static int ask_lfs(struct db_txn *t, void *arg)
{
	const struct lfs_question *q = arg;

	return each_lfs(t, q->plan, q->first, check_lfs, q->why);
}

int commit_check_lfs(struct db *db, const struct commit_plan *p, size_t first, struct buf *why)
{
	struct lfs_question q = { p, first, why };

	return db_read(db, ask_lfs, &q);
}

static int refuse_gone(const struct making *m, const struct manifest_file *gone)
{
	const struct change *c = m->plan->changes;

	while (c->kind != CHANGE_FILE || memcmp(c->file.digest, gone->digest, 32) != 0)
		c++;
	return complain_as(ERR_FORBIDDEN, m->why,
			   "%s was deleted for good here: only who may write to the repository "
			   "brings it again. Ask them to, or leave the file out.",
			   c->path);
}

/* Every commit that had it would show it again: that is not for who may only propose. */
static int check_gone(struct db_txn *t, const struct making *m)
{
	const struct commit_plan *p = m->plan;
	struct manifest_file gone;
	int r = -ENOENT;

	for (const struct object *o = m->objects; p->payer && r == -ENOENT && o; o = o->next)
		if (o->kind == REGISTRY_POINTER)
			r = registry_gone(t, p->uid, o->id, &gone);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return refuse_gone(m, &gone);
}

static int put_objects(struct db_txn *t, const struct making *m)
{
	const struct commit_plan *p = m->plan;
	int r;

	look_for_gone(t, m);
	r = check_gone(t, m);
	for (const struct object *o = m->objects; r == 0 && o; o = o->next) {
		if (o->kind == REGISTRY_FILE || o->kind == REGISTRY_POINTER)
			r = objects_charge(t, p->uid, o->id, p->payer);
		if (r == 0)
			r = registry_put_object(t, p->uid, o->kind, o->id, o->data, o->len);
	}
	return r;
}

static int write_all(struct db_txn *t, struct making *m)
{
	struct commit_plan *p = m->plan;
	const struct ref_change change = { .uid = p->uid,
					   .ref = p->apart ? p->ref : p->branch,
					   .commit = m->commit,
					   .act = p->act,
					   .user = p->name };
	int r = each_lfs(t, p, 0, check_lfs, m->why);

	if (r == 0)
		r = check_blobs(m);
	if (r == 0)
		r = put_objects(t, m);
	if (r == 0)
		r = each_lfs(t, p, 0, forget_lfs, m->why);
	if (r == 0 && p->beside)
		r = p->beside(t, p, m->base, m->commit);
	if (r < 0)
		return r;
	buf_clear(m->why);
	r = ref_change(t, &change, m->why);
	return r == 0 && m->plan->also ? m->plan->also(t, m->plan->also_arg) : r;
}

static int bring_in(struct db_txn *t, void *arg)
{
	char now[COMMIT_HEX + 1];
	struct making *m = arg;
	int r = registry_ref(t, m->plan->uid, m->plan->branch, now);

	if (r < 0)
		return r == -ENOENT ? ERR_NOREV : r;
	return !m->plan->apart && strcmp(now, m->head) != 0 ? -ESTALE : write_all(t, m);
}

static int try_once(struct db *db, struct commit_plan *p, char ret[static COMMIT_HEX + 1],
		    struct buf *why)
{
	CLEANUP(making_fini) struct making m = { .plan = p, .why = why };
	int r = db_read(db, work_out, &m);

	if (r == 0 && m.again) {
		memcpy(ret, m.like, sizeof(m.like));
		return 0;
	}
	if (r == 0 && m.late)
		r = -ESTALE;
	if (r == 0)
		r = print_commit(&m);
	if (r < 0)
		return r;
	memcpy(ret, m.commit, sizeof(m.commit)); /* before: who else writes tells of it */
	r = p->ahead ? p->ahead(db, p->also_arg) : 0;
	if (r < 0)
		return r;
	return db_write(db, bring_in, &m);
}

int commit_make(struct db *db, struct commit_plan *p, char ret[static COMMIT_HEX + 1],
		struct buf *why)
{
	int r = -ESTALE;

	for (unsigned i = 0; r == -ESTALE && i < TRIES_MAX; i++) {
		r = try_once(db, p, ret, why);
		if (p->parent[0])
			break;
	}
	return r;
}

int commit_make_first(struct db_txn *t, struct commit_plan *p, char ret[static COMMIT_HEX + 1],
		      struct buf *why)
{
	CLEANUP(making_fini) struct making m = { .plan = p, .why = why };
	int r = committed_open(&m.files, t, p->uid, NULL);

	if (r == 0)
		r = apply(&m);
	if (r == 0)
		r = print_commit(&m);
	if (r == 0)
		r = write_all(t, &m);
	if (r == 0)
		memcpy(ret, m.commit, sizeof(m.commit));
	return r;
}
