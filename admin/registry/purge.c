/* SPDX-License-Identifier: Apache-2.0 */
/* Trees and commits that hold none of the files stay what they are, with all that was made of them
 * alone. What is read is read before anything is written. */
#include "admin/registry/purge.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/registry/checks.h"
#include "admin/registry/discussions.h"
#include "admin/registry/held.h"
#include "admin/registry/walk.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/map.h"
#include "daemon/base/why.h"

#define DEPTH_MAX 2048 /* of directories: more than a path can have */

/* ---- which there are ---- */

struct found {
	struct purge_file file;
	struct walk_commit commit;
	char *path;
	struct found *next;
};

struct listing {
	struct map files; /* struct found by id */
	struct found *first, **last;
};

static void listing_fini(struct listing *l)
{
	while (l->first) {
		struct found *next = l->first->next;

		free(l->first->path);
		free(l->first);
		l->first = next;
	}
	map_fini(&l->files);
}

static bool is_pointer(enum registry_kind kind, const char *data, size_t len,
		       struct purge_file *ret)
{
	return (kind == REGISTRY_POINTER || kind == REGISTRY_GONE) &&
	       git_pointer_parse(data, len, ret->sha256, &ret->size);
}

static int find_pointer(void *arg, enum registry_kind kind, const uint8_t id[static GIT_ID],
			const char *data, size_t len)
{
	struct listing *l = arg;
	struct purge_file file = { .path = "", .ref = "" };
	struct found *f;

	if (kind != REGISTRY_POINTER || !is_pointer(kind, data, len, &file))
		return 0;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->file = file;
	memcpy(f->file.id, id, GIT_ID);
	*l->last = f;
	l->last = &f->next;
	return map_put(&l->files, f->file.id, GIT_ID, f);
}

static int name_pointer(void *arg, const struct walk_commit *c, const char *path,
			const struct git_entry *e)
{
	struct listing *l = arg;
	struct found *f = map_find(&l->files, e->id, GIT_ID);

	if (!f)
		return 0;
	f->path = strdup(path);
	if (!f->path)
		return -ENOMEM;
	f->commit = *c;
	f->file.path = f->path;
	f->file.ref = f->commit.ref;
	f->file.at_s = c->at_s;
	return 0;
}

int purge_list(struct db_txn *t, const char *uid, purge_fn fn, void *arg)
{
	static const struct walk_events events = { .file = name_pointer };
	CLEANUP(listing_fini) struct listing l = { .first = NULL };
	int r;

	l.last = &l.first;
	r = registry_each_object(t, uid, find_pointer, &l);
	if (r == 0)
		r = walk_history(t, uid, &events, &l);
	for (const struct found *f = l.first; r == 0 && f; f = f->next)
		r = fn(arg, &f->file);
	return r;
}

/* ---- away with them ---- */

/* An object that is looked at: a file that goes, a tree, or a commit. */
struct object {
	uint8_t id[GIT_ID], now[GIT_ID]; /* now: what takes its place */
	enum registry_kind kind;
	bool goes;  /* it is, or holds, such a file */
	bool empty; /* nothing is left of a tree */
	bool done;  /* that is known */
	bool kept;  /* a commit is written anew, and its tree is not */
	struct object *next;
};

struct purging {
	struct db_txn *txn;
	struct purge *purge;
	struct buf *why;
	struct map wanted;  /* SHA-256 of the files that go */
	struct map objects; /* by id */
	struct object *first;
	struct buf commits;     /* ids in the order of the walk */
	struct buf refs;        /* a commit, a blank and a ref each, a line */
	struct buf all_commits; /* ids, also of what no ref leads to */
	unsigned depth;
	bool dropped; /* a commit, in this round */
};

static void purging_fini(struct purging *p)
{
	while (p->first) {
		struct object *next = p->first->next;

		free(p->first);
		p->first = next;
	}
	map_fini(&p->objects);
	map_fini(&p->wanted);
	buf_free(&p->commits);
	buf_free(&p->refs);
	buf_free(&p->all_commits);
}

static int need(struct purging *p, enum registry_kind kind, const uint8_t id[static GIT_ID],
		struct object **ret)
{
	struct object *o = map_find(&p->objects, id, GIT_ID);

	*ret = o;
	if (o)
		return 0;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	memcpy(o->id, id, GIT_ID);
	memcpy(o->now, id, GIT_ID);
	o->kind = kind;
	o->next = p->first;
	p->first = *ret = o;
	return map_put(&p->objects, o->id, GIT_ID, o);
}

static int want(struct purging *p)
{
	const struct purge *purge = p->purge;
	int r = 0;

	for (size_t i = 0; r == 0 && i < purge->count; i++) {
		const uint8_t *sha256 = purge->sha256 + 32 * i;

		if (!map_find(&p->wanted, sha256, 32))
			r = map_put(&p->wanted, sha256, 32, p);
	}
	return r;
}

static bool is_wanted(const struct purging *p, const uint8_t sha256[static 32])
{
	return map_find(&p->wanted, sha256, 32);
}

static int find_doomed(void *arg, enum registry_kind kind, const uint8_t id[static GIT_ID],
		       const char *data, size_t len)
{
	struct purging *p = arg;
	struct purge_file file;
	struct object *o;
	int r;

	if (kind == REGISTRY_COMMIT)
		return buf_add(&p->all_commits, id, GIT_ID);
	if (!is_pointer(kind, data, len, &file) || !is_wanted(p, file.sha256))
		return 0;
	r = need(p, kind, id, &o);
	if (r < 0)
		return r;
	o->goes = o->done = true;
	p->purge->files += kind == REGISTRY_POINTER;
	return 0;
}

/* ---- without their commits ---- */

static int bury(struct purging *p, const struct object *o)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	const char *uid = p->purge->uid;
	int r = registry_object(p->txn, uid, o->kind, o->id, &text);

	if (r < 0 || o->kind == REGISTRY_GONE)
		return r;
	r = objects_remove(p->txn, uid, o->id);
	return r < 0 ? r
		     : registry_put_object(p->txn, uid, REGISTRY_GONE, o->id, text.data, text.len);
}

/* ---- out of their commits ---- */

static int rewrite_tree(struct purging *p, struct object *o);

/* Whether an entry of a tree stays, and as what. */
static int rewrite_entry(struct purging *p, struct git_entry *e, bool *ret_stays)
{
	struct object *o = map_find(&p->objects, e->id, GIT_ID);
	int r = 0;

	*ret_stays = true;
	if (e->mode == GIT_SUBMODULE)
		return 0;
	if (!o && e->mode == GIT_DIRECTORY)
		r = need(p, REGISTRY_TREE, e->id, &o);
	if (r == 0 && o && o->kind == REGISTRY_TREE)
		r = rewrite_tree(p, o);
	if (r < 0 || !o || !o->goes)
		return r;
	*ret_stays = o->kind == REGISTRY_TREE && !o->empty;
	e->id = o->now;
	return 0;
}

static int put_tree(struct purging *p, struct object *o, struct git_entry *list, size_t count)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = git_tree_print(list, count, &text);

	o->empty = count == 0;
	if (r == 0)
		r = digest_git_object("tree", buf_str(&text), text.len, o->now);
	return r < 0 ? r
		     : registry_put_object(p->txn, p->purge->uid, REGISTRY_TREE, o->now,
					   buf_str(&text), text.len);
}

/* The entries that stay; *ret_goes if one does not stay as it is. */
static int rewrite_entries(struct purging *p, struct buf *tree, struct buf *list, bool *ret_goes)
{
	const char *at = buf_str(tree);
	size_t left = tree->len;
	struct git_entry e;
	int r;

	*ret_goes = false;
	while ((r = git_tree_next(&at, &left, &e)) == 1) {
		const uint8_t *id = e.id;
		bool stays;

		r = rewrite_entry(p, &e, &stays);
		*ret_goes |= !stays || e.id != id;
		if (r == 0 && stays)
			r = buf_add(list, &e, sizeof(e));
		if (r < 0)
			return r;
	}
	return r;
}

static int rewrite_once(struct purging *p, struct object *o)
{
	CLEANUP(buf_free) struct buf tree = { 0 }, list = { 0 };
	int r = registry_object(p->txn, p->purge->uid, REGISTRY_TREE, o->id, &tree);

	if (r == 0)
		r = rewrite_entries(p, &tree, &list, &o->goes);
	if (r < 0)
		return r == -ENOENT ? ERR_CORRUPT : r;
	o->done = true;
	return o->goes ? put_tree(p, o, (struct git_entry *)(void *)list.data,
				  list.len / sizeof(struct git_entry))
		       : 0;
}

static int rewrite_tree(struct purging *p, struct object *o)
{
	int r;

	if (o->done)
		return 0;
	if (p->depth == DEPTH_MAX)
		return ERR_CORRUPT;
	p->depth++;
	r = rewrite_once(p, o);
	p->depth--;
	return r;
}

/* What it was made from may have been written anew. */
static bool follow_parents(const struct purging *p, struct git_commit *c)
{
	bool goes = false;

	for (unsigned i = 0; i < c->parent_count; i++) {
		const struct object *o = map_find(&p->objects, c->parents[i], GIT_ID);

		if (o && o->goes) {
			memcpy(c->parents[i], o->now, GIT_ID);
			goes = true;
		}
	}
	return goes;
}

static int put_commit(struct purging *p, struct object *o, const struct git_commit *c)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = git_commit_print(c, &text);

	if (r == 0)
		r = digest_git_object("commit", buf_str(&text), text.len, o->now);
	p->purge->commits++;
	return r < 0 ? r
		     : registry_put_object(p->txn, p->purge->uid, REGISTRY_COMMIT, o->now,
					   text.data, text.len);
}

static int rewrite_commit(struct purging *p, const uint8_t *id)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct object *o = NULL, *tree = NULL;
	struct git_commit c;
	int r = registry_commit_of(p->txn, p->purge->uid, id, &room, &c);

	if (r == 0)
		r = need(p, REGISTRY_TREE, c.tree, &tree);
	if (r == 0)
		r = rewrite_tree(p, tree);
	if (r == 0)
		r = need(p, REGISTRY_COMMIT, id, &o);
	if (r < 0 || !o || !tree)
		return r;
	o->done = true;
	o->goes = follow_parents(p, &c) || tree->goes;
	o->kept = !tree->goes;
	memcpy(c.tree, tree->now, GIT_ID);
	return o->goes ? put_commit(p, o, &c) : 0;
}

/* A commit that no ref leads to goes if it holds such a file, or was made from one that goes. */
static int drop_commit(struct purging *p, const uint8_t *id)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct object *o = map_find(&p->objects, id, GIT_ID), *tree;
	struct git_commit c;
	int r = o ? 0 : registry_commit_of(p->txn, p->purge->uid, id, &room, &c);

	if (o || r == ERR_CORRUPT) /* the collector was at it before */
		return 0;
	if (r == 0)
		r = need(p, REGISTRY_TREE, c.tree, &tree);
	if (r == 0)
		r = rewrite_tree(p, tree);
	if (r == ERR_CORRUPT)
		return 0;
	if (r == 0 && (tree->goes || follow_parents(p, &c))) {
		r = need(p, REGISTRY_COMMIT, id, &o);
		if (r == 0)
			o->goes = o->done = p->dropped = true;
	}
	return r;
}

/* The name of what took a commit's place, if anything has. */
static bool follow(const struct purging *p, char commit[static COMMIT_HEX + 1])
{
	const struct object *o;
	uint8_t id[GIT_ID];

	if (hex_parse(commit, GIT_ID, id) < 0)
		return false;
	o = map_find(&p->objects, id, GIT_ID);
	if (!o || !o->goes)
		return false;
	hex_print(o->now, GIT_ID, commit);
	return memcmp(o->now, id, GIT_ID) != 0;
}

static int move_refs(struct purging *p)
{
	char *at = p->refs.data, *line;
	int r = 0;

	while (r == 0 && at && (line = strsep(&at, "\n")) && *line) {
		line[COMMIT_HEX] = '\0';
		if (!follow(p, line))
			continue;
		r = ref_change(p->txn,
			       &(struct ref_change){ .uid = p->purge->uid,
						     .ref = line + COMMIT_HEX + 1,
						     .commit = line,
						     .act = "lfs.delete",
						     .user = p->purge->user },
			       p->why);
	}
	return r;
}

static int note_pull(void *arg, const struct discussion *d)
{
	return d->is_pull ? buf_add_u32(arg, d->num) : 0;
}

/* Pull requests began at commits, and came in by some. */
static int move_pulls(struct purging *p)
{
	CLEANUP(buf_free) struct buf nums = { 0 };
	int r = discussion_each(p->txn, p->purge->uid, note_pull, &nums);

	for (size_t at = 0; r == 0 && at < nums.len; at += sizeof(uint32_t)) {
		struct discussion d;
		uint32_t num;

		memcpy(&num, nums.data + at, sizeof(num));
		r = discussion_get(p->txn, p->purge->uid, le32toh(num), &d);
		if (r == 0 && (follow(p, d.base) | follow(p, d.merged)))
			r = discussion_put(p->txn, p->purge->uid, &d);
	}
	return r;
}

/* A commit that a tag may be rolled back to. */
static int spare_held(void *arg, const char *commit)
{
	const struct purging *p = arg;
	const struct object *o;
	uint8_t id[GIT_ID];

	if (hex_parse(commit, GIT_ID, id) < 0)
		return 0;
	o = map_find(&p->objects, id, GIT_ID);
	if (!o || !o->goes)
		return 0;
	return complain_as(ERR_TAG_LOCKED, p->why,
			   "The commit %.7s would be written anew, or go: a tag that is locked, or "
			   "moves by promotion, names it or has named it",
			   commit);
}

static int note_commit(void *arg, const struct walk_commit *c)
{
	struct purging *p = arg;

	return buf_add(&p->commits, c->id, GIT_ID);
}

static int note_ref(void *arg, const char *ref, const char *commit)
{
	struct purging *p = arg;

	return buf_printf(&p->refs, "%s %s\n", commit, ref);
}

static int each_id(struct purging *p, const struct buf *ids,
		   int (*fn)(struct purging *p, const uint8_t *id))
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < ids->len; at += GIT_ID)
		r = fn(p, (const uint8_t *)ids->data + at);
	return r;
}

/* What was found out about the bytes of a commit is so of one that has the same. */
static int remove_checks(struct purging *p, const struct object *o)
{
	char was[COMMIT_HEX + 1], now[COMMIT_HEX + 1];
	int r = 0;

	hex_print(o->id, GIT_ID, was);
	hex_print(o->now, GIT_ID, now);
	if (o->kept)
		r = check_follow(p->txn, p->purge->uid, was, now);
	return r < 0 ? r : check_forget(p->txn, p->purge->uid, was);
}

static int remove_objects(struct purging *p)
{
	int r = 0;

	for (const struct object *o = p->first; r == 0 && o; o = o->next) {
		if (o->goes && o->kind == REGISTRY_COMMIT)
			r = remove_checks(p, o);
		if (r == 0 && o->goes)
			r = objects_remove(p->txn, p->purge->uid, o->id);
	}
	return r;
}

static int rewrite_all(struct purging *p)
{
	static const struct walk_events events = { .commit = note_commit };
	int r = walk_history(p->txn, p->purge->uid, &events, p);

	if (r == 0)
		r = registry_each_ref(p->txn, p->purge->uid, "", note_ref, p);
	if (r == 0)
		r = each_id(p, &p->commits, rewrite_commit);
	do {
		p->dropped = false;
		if (r == 0)
			r = each_id(p, &p->all_commits, drop_commit);
	} while (r == 0 && p->dropped);
	if (r == 0)
		r = ref_each_held(p->txn, p->purge->uid, spare_held, p);
	if (r == 0)
		r = move_refs(p);
	if (r == 0)
		r = move_pulls(p);
	return r < 0 ? r : remove_objects(p);
}

/* What is gone already goes no more. */
static bool is_doomed(void *arg, const uint8_t id[static GIT_ID])
{
	const struct purging *p = arg;
	const struct object *o = map_find(&p->objects, id, GIT_ID);

	return o && o->kind == REGISTRY_POINTER;
}

int purge_files(struct db_txn *t, struct purge *purge, struct buf *why)
{
	CLEANUP(purging_fini) struct purging p = { .txn = t, .purge = purge, .why = why };
	int r = want(&p);

	purge->files = purge->commits = 0;
	if (r == 0)
		r = registry_each_object(t, purge->uid, find_doomed, &p);
	if (r < 0 || !p.first)
		return r;
	r = held_check(t, purge->uid, is_doomed, &p, why);
	if (r < 0)
		return r;
	if (purge->rewrite)
		return rewrite_all(&p);
	for (const struct object *o = p.first; r == 0 && o; o = o->next)
		r = bury(&p, o);
	return r;
}
