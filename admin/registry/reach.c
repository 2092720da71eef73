/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/reach.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/registry/left_commits.h"
#include "admin/registry/refs.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"

struct walk {
	struct db_txn *txn;
	struct reach *r;
	struct buf todo; /* ids of commits and trees whose bytes are to be read */
};

void reach_fini(struct reach *r)
{
	buf_free(&r->objects);
}

size_t reach_count(const struct reach *r)
{
	return r->objects.len / sizeof(struct reach_object);
}

const struct reach_object *reach_object(const struct reach *r, size_t i)
{
	return (const struct reach_object *)(const void *)r->objects.data + i;
}

/* ---- what there is ---- */

static int list_object(void *arg, const uint8_t id[static GIT_ID], char kind)
{
	struct reach *r = arg;
	struct reach_object o = { .kind = kind };

	if (reach_count(r) == REACH_OBJECTS_MAX)
		return -E2BIG;
	memcpy(o.id, id, GIT_ID);
	return buf_add(&r->objects, &o, sizeof(o));
}

static int compare(const void *id, const void *object)
{
	return memcmp(id, ((const struct reach_object *)object)->id, GIT_ID);
}

static struct reach_object *find(struct reach *r, const uint8_t id[static GIT_ID])
{
	return bsearch(id, r->objects.data, reach_count(r), sizeof(struct reach_object), compare);
}

/* ---- what is reached ---- */

/* Commits and trees are to be read, once. */
static int touch(struct walk *w, const uint8_t id[static GIT_ID])
{
	struct reach_object *o = find(w->r, id);

	if (!o)
		return ERR_CORRUPT;
	if (o->reached)
		return 0;
	o->reached = true;
	if (o->kind != REGISTRY_COMMIT && o->kind != REGISTRY_TREE)
		return 0;
	return buf_add(&w->todo, id, GIT_ID);
}

static int touch_commit(struct walk *w, const char *commit)
{
	uint8_t id[GIT_ID];
	int r = hex_parse(commit, GIT_ID, id);

	return r < 0 ? ERR_CORRUPT : touch(w, id);
}

static int read_tree(struct walk *w, const struct buf *tree)
{
	const char *at = buf_str(tree);
	struct git_entry entry;
	size_t left = tree->len;
	int r;

	while ((r = git_tree_next(&at, &left, &entry)) == 1) {
		r = entry.mode == GIT_SUBMODULE ? 0 : touch(w, entry.id);
		if (r < 0)
			return r;
	}
	return r;
}

static int read_commit(struct walk *w, struct buf *bytes)
{
	struct git_commit c;
	int r = git_commit_parse(bytes, &c);

	if (r == 0)
		r = touch(w, c.tree);
	for (unsigned i = 0; r == 0 && i < c.parent_count; i++)
		r = touch(w, c.parents[i]);
	return r;
}

static int read_next(struct walk *w)
{
	CLEANUP(buf_free) struct buf bytes = { 0 };
	const struct reach_object *o;
	uint8_t id[GIT_ID];
	int r;

	w->todo.len -= GIT_ID;
	memcpy(id, w->todo.data + w->todo.len, GIT_ID);
	o = find(w->r, id);
	if (!o)
		return ERR_CORRUPT;
	r = registry_object(w->txn, w->r->uid, (enum registry_kind)o->kind, id, &bytes);
	if (r < 0)
		return r == -ENOENT ? ERR_CORRUPT : r;
	return o->kind == REGISTRY_COMMIT ? read_commit(w, &bytes) : read_tree(w, &bytes);
}

/* ---- where it begins ---- */

struct roots {
	struct xxh3 *sum;
	struct walk *walk; /* or NULL: only the sum */
	int64_t left_s;
};

static int take_root(struct roots *s, const char *name, const char *commit)
{
	xxh3_update(s->sum, name, strlen(name) + 1);
	xxh3_update(s->sum, commit, COMMIT_HEX);
	return s->walk ? touch_commit(s->walk, commit) : 0;
}

static int take_ref(void *arg, const char *ref, const char *commit)
{
	return take_root(arg, ref, commit);
}

/* That a ref has left something that went long ago is no damage. */
static int take_left(void *arg, const char *commit, int64_t left_s)
{
	struct roots *s = arg;
	int r;

	if (left_s < s->left_s)
		return 0;
	r = take_root(s, "", commit);
	return r == ERR_CORRUPT ? 0 : r;
}

static int take_held(void *arg, const char *commit)
{
	return take_left(arg, commit, INT64_MAX);
}

/* All that keeps something of a repository alive is named here. */
static int each_root(struct db_txn *t, const char *uid, struct roots *s)
{
	int r = registry_each_ref(t, uid, "", take_ref, s);

	if (r == 0)
		r = ref_each_held(t, uid, take_held, s);
	return r < 0 ? r : left_commits_each(t, uid, take_left, s);
}

static int roots_digest(struct db_txn *t, const char *uid, int64_t left_s, struct walk *walk,
			uint64_t *ret)
{
	struct roots s = { .walk = walk, .left_s = left_s };
	int r = xxh3_new(&s.sum);

	if (r == 0)
		r = each_root(t, uid, &s);
	if (r == 0)
		*ret = xxh3_value(s.sum);
	xxh3_free(s.sum);
	return r;
}

int reach_find(struct db_txn *t, struct reach *r)
{
	struct walk w = { .txn = t, .r = r };
	int result;

	buf_clear(&r->objects);
	result = objects_each(t, r->uid, list_object, r);
	if (result == 0)
		result = roots_digest(t, r->uid, r->left_s, &w, &r->refs_digest);
	while (result == 0 && w.todo.len)
		result = read_next(&w);
	buf_free(&w.todo);
	return result;
}

int reach_holds(struct db_txn *t, const struct reach *r)
{
	uint64_t now = 0;
	int result = roots_digest(t, r->uid, r->left_s, NULL, &now);

	return result < 0 ? result : now == r->refs_digest;
}
