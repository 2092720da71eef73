/* SPDX-License-Identifier: Apache-2.0 */
/* From commit to commit only the directory itself is compared: where its tree has the same id,
 * nothing in it changed. */
#include "admin/registry/lastcommit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/registry/treediff.h"
#include "daemon/base/err.h"

/* A directory of one commit. */
struct dir {
	uint8_t id[GIT_ID];
	struct buf tree; /* its bytes */
};

/* What is in it, and is still looked for. */
struct item {
	const char *name; /* in the tree of the first commit */
	const uint8_t *id;
	bool same; /* the parent has it, too */
};

struct search {
	struct db_txn *txn;
	const char *uid, *dir;
	lastcommit_fn fn;
	void *arg;
	struct item *items; /* by name */
	size_t count;
};

/* ERR_NOENTRY if the commit has none. */
static int open_dir(const struct search *s, const uint8_t root[static GIT_ID], struct dir *ret)
{
	struct tree_side found;
	int r = treediff_find(s->txn, s->uid, root, s->dir, &found);

	buf_clear(&ret->tree);
	if (r == -ENOTDIR || (r == 0 && found.mode != GIT_DIRECTORY))
		return ERR_NOENTRY;
	if (r < 0)
		return r;
	memcpy(ret->id, found.id, GIT_ID);
	r = registry_object(s->txn, s->uid, REGISTRY_TREE, found.id, &ret->tree);
	return r == -ENOENT ? ERR_CORRUPT : r;
}

static int by_name(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* All that is in it; borrowed from the tree. */
static int list(struct search *s, const struct buf *tree)
{
	const char *at = buf_str(tree);
	size_t left = tree->len, most = tree->len / (GIT_ID + sizeof("40000 x")) + 1;
	struct git_entry e;
	int r;

	s->items = calloc(most, sizeof(*s->items));
	if (!s->items)
		return -ENOMEM;
	while ((r = git_tree_next(&at, &left, &e)) == 1 && s->count < most)
		s->items[s->count++] = (struct item){ e.name, e.id, false };
	qsort(s->items, s->count, sizeof(*s->items), by_name);
	return r;
}

/* Marks those that the parent has as they are. */
static int compare(struct search *s, const struct buf *tree)
{
	const char *at = buf_str(tree);
	size_t left = tree->len;
	struct git_entry e;
	int r;

	while ((r = git_tree_next(&at, &left, &e)) == 1) {
		struct item key = { .name = e.name }, *found = NULL;

		if (s->count)
			found = bsearch(&key, s->items, s->count, sizeof(key), by_name);
		if (found)
			found->same = !memcmp(found->id, e.id, GIT_ID);
	}
	return r;
}

/* This commit made those that are not the same before it; the others are looked for still. */
static int tell(struct search *s, const char *id, const struct git_commit *commit)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	size_t left = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->count; i++) {
		struct item *item = &s->items[i];

		if (item->same) {
			item->same = false;
			s->items[left++] = *item;
			continue;
		}
		buf_clear(&path);
		r = buf_printf(&path, "%s%s%s", s->dir, *s->dir ? "/" : "", item->name);
		if (r == 0)
			r = s->fn(s->arg, buf_str(&path), id, commit);
	}
	s->count = left;
	return r;
}

/* Looks at the commit's parent; *ret_id becomes that one's id, "" if there is none. */
static int look_before(struct search *s, const uint8_t dir[static GIT_ID],
		       const struct git_commit *commit, char ret_id[static COMMIT_HEX + 1])
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct dir before = { 0 };
	struct git_commit parent;
	int r;

	ret_id[0] = '\0';
	if (!commit->parent_count)
		return 0;
	hex_print(commit->parents[0], GIT_ID, ret_id);
	r = registry_commit(s->txn, s->uid, ret_id, &room, &parent);
	if (r == 0)
		r = open_dir(s, parent.tree, &before);
	if (r == 0 && !memcmp(before.id, dir, GIT_ID))
		for (size_t i = 0; i < s->count; i++)
			s->items[i].same = true;
	else if (r == 0)
		r = compare(s, &before.tree);
	buf_free(&before.tree);
	return r == ERR_NOENTRY ? 0 : r;
}

static int walk(struct search *s, const char *commit, struct dir *first)
{
	char id[COMMIT_HEX + 1], next[COMMIT_HEX + 1];
	struct dir here = { 0 };
	int r = 0;

	memcpy(id, commit, sizeof(id));
	for (unsigned n = 1; r == 0 && id[0] && (s->count || n == 1); n++) {
		CLEANUP(buf_free) struct buf room = { 0 };
		struct git_commit c;

		r = registry_commit(s->txn, s->uid, id, &room, &c);
		if (r == 0)
			r = open_dir(s, c.tree, n == 1 ? first : &here);
		if (r == 0 && n == 1)
			r = list(s, &first->tree);
		if (r == 0 && n < LASTCOMMIT_MAX)
			r = look_before(s, n == 1 ? first->id : here.id, &c, next);
		else
			next[0] = '\0';
		if (r == 0)
			r = tell(s, id, &c);
		memcpy(id, next, sizeof(id));
	}
	buf_free(&here.tree);
	return r;
}

int lastcommit_each(struct db_txn *t, const char *uid, const char *commit, const char *dir,
		    lastcommit_fn fn, void *arg)
{
	struct search s = { .txn = t, .uid = uid, .dir = dir, .fn = fn, .arg = arg };
	struct dir first = { 0 };
	int r = commit_valid(commit) ? walk(&s, commit, &first) : ERR_NOREV;

	free(s.items);
	buf_free(&first.tree);
	return r;
}
