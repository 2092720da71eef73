/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/map.h"

/* One object that was met. */
struct met {
	struct walk_commit commit; /* of a commit */
	struct met *next;          /* in the order in which they are told of */
	bool listed;
};

struct walk {
	struct db_txn *txn;
	const char *uid, *ref;
	const struct walk_events *events;
	void *arg;
	struct map commits, objects; /* by id: struct met, id alone */
	struct met *first, **last;
	struct buf stack; /* ids of commits */
	struct buf path;
	const struct walk_commit *of;
};

static int free_value(void *arg UNUSED, void *value)
{
	free(value);
	return 0;
}

static void walk_fini(struct walk *w)
{
	map_each(&w->commits, free_value, NULL);
	map_each(&w->objects, free_value, NULL);
	map_fini(&w->commits);
	map_fini(&w->objects);
	buf_free(&w->stack);
	buf_free(&w->path);
}

/* ---- commits ---- */

static int meet(struct walk *w, const uint8_t id[static GIT_ID], const struct git_commit *c)
{
	struct met *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	memcpy(m->commit.id, id, GIT_ID);
	memcpy(m->commit.tree, c->tree, GIT_ID);
	m->commit.at_s = c->committer.at_s;
	snprintf(m->commit.ref, sizeof(m->commit.ref), "%s", w->ref);
	r = map_put(&w->commits, m->commit.id, GIT_ID, m);
	if (r < 0) {
		free(m);
		return r;
	}
	for (unsigned i = 0; r == 0 && i < c->parent_count; i++)
		if (!map_find(&w->commits, c->parents[i], GIT_ID))
			r = buf_add(&w->stack, c->parents[i], GIT_ID);
	return r;
}

static void list(struct walk *w, struct met *m)
{
	if (m->listed)
		return;
	m->listed = true;
	*w->last = m;
	w->last = &m->next;
}

/* The one on top of the stack: met, it waits below what it was made from; met again, that is all
 * listed. */
static int step(struct walk *w)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	uint8_t id[GIT_ID];
	struct git_commit c;
	struct met *m;
	int r;

	memcpy(id, w->stack.data + w->stack.len - GIT_ID, GIT_ID);
	m = map_find(&w->commits, id, GIT_ID);
	if (m) {
		list(w, m);
		w->stack.len -= GIT_ID;
		return 0;
	}
	r = registry_commit_of(w->txn, w->uid, id, &room, &c);
	return r < 0 ? r : meet(w, id, &c);
}

static int from(struct walk *w, const char *ref, const uint8_t id[static GIT_ID])
{
	int r = buf_add(&w->stack, id, GIT_ID);

	w->ref = ref;
	while (r == 0 && w->stack.len)
		r = step(w);
	return r;
}

static int from_ref(void *arg, const char *ref, const char *commit)
{
	struct walk *w = arg;
	uint8_t id[GIT_ID];
	int r = hex_parse(commit, GIT_ID, id);

	return r < 0 ? r : from(w, ref, id);
}

/* ---- trees and files ---- */

/* 1: for the first time. */
static int is_new(struct walk *w, const uint8_t id[static GIT_ID])
{
	uint8_t *copy;
	int r;

	if (map_find(&w->objects, id, GIT_ID))
		return 0;
	copy = malloc(GIT_ID);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, id, GIT_ID);
	r = map_put(&w->objects, copy, GIT_ID, copy);
	if (r < 0)
		free(copy);
	return r < 0 ? r : 1;
}

static int walk_tree(struct walk *w, const uint8_t id[static GIT_ID]);

static int walk_entry(struct walk *w, const struct git_entry *e)
{
	size_t len = w->path.len;
	int r = e->mode == GIT_SUBMODULE ? 0 : is_new(w, e->id);

	if (r <= 0)
		return r;
	r = buf_printf(&w->path, "%s%s", len ? "/" : "", e->name);
	if (r == 0 && e->mode == GIT_DIRECTORY)
		r = walk_tree(w, e->id);
	else if (r == 0 && w->events->file)
		r = w->events->file(w->arg, w->of, buf_str(&w->path), e);
	w->path.len = len;
	if (w->path.data)
		w->path.data[len] = '\0';
	return r;
}

/* As deep as paths may be. */
static int walk_tree(struct walk *w, const uint8_t id[static GIT_ID])
{
	CLEANUP(buf_free) struct buf tree = { 0 };
	struct git_entry e;
	const char *at;
	size_t left;
	int r = w->path.len > MANIFEST_PATH_MAX ? ERR_CORRUPT : 0;

	if (r == 0)
		r = registry_object(w->txn, w->uid, REGISTRY_TREE, id, &tree);
	if (r < 0)
		return r == -ENOENT ? ERR_CORRUPT : r;
	if (w->events->tree)
		r = w->events->tree(w->arg, id, &tree);
	at = buf_str(&tree);
	left = tree.len;
	while (r == 0 && (r = git_tree_next(&at, &left, &e)) == 1)
		r = walk_entry(w, &e);
	return r;
}

static int walk_commit(struct walk *w, const struct walk_commit *c)
{
	int r = w->events->commit ? w->events->commit(w->arg, c) : 0;

	w->of = c;
	if (r == 0 && (w->events->tree || w->events->file))
		r = is_new(w, c->tree);
	return r == 1 ? walk_tree(w, c->tree) : r;
}

/* All that was met. */
static int tell(struct walk *w)
{
	int r = 0;

	for (const struct met *m = w->first; r == 0 && m; m = m->next)
		r = walk_commit(w, &m->commit);
	return r;
}

int walk_history(struct db_txn *t, const char *uid, const struct walk_events *events, void *arg)
{
	CLEANUP(walk_fini) struct walk w = { .txn = t, .uid = uid, .events = events, .arg = arg };
	char main[COMMIT_HEX + 1];
	int r;

	w.last = &w.first;
	r = registry_ref(t, uid, REGISTRY_MAIN, main);
	if (r == 0)
		r = from_ref(&w, REGISTRY_MAIN, main);
	if (r == 0 || r == -ENOENT)
		r = registry_each_ref(t, uid, "", from_ref, &w);
	return r < 0 ? r : tell(&w);
}

int walk_commits(struct db_txn *t, const char *uid, const struct buf *ids,
		 const struct walk_events *events, void *arg)
{
	CLEANUP(walk_fini) struct walk w = { .txn = t, .uid = uid, .events = events, .arg = arg };
	int r = 0;

	w.last = &w.first;
	for (size_t at = 0; r == 0 && at < ids->len; at += GIT_ID)
		r = from(&w, "", (const uint8_t *)ids->data + at);
	return r < 0 ? r : tell(&w);
}
