/* SPDX-License-Identifier: Apache-2.0 */
/* A directory is what was stored of it, and what was looked at or changed since: a spot for each
 * such name, which comes before the stored entry. */
#include "admin/git/gittrees.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/map.h"

struct dir {
	uint8_t id[GIT_ID];
	bool stored; /* under that id, and not read yet or as it was read: */
	bool loaded, changed;
	struct buf bytes;
	struct git_entry *entries; /* in its bytes */
	size_t count;
	struct map spots; /* by name */
};

/* A name: a file, a directory, neither, or for a while both. */
struct spot {
	enum git_mode mode; /* 0: no file */
	uint8_t id[GIT_ID]; /* of the file */
	struct dir *dir;    /* or NULL */
	char name[];
};

struct git_trees {
	struct dir *root;
	git_trees_read_fn read;
	void *arg;
};

static void dir_free(struct dir *d);

static int free_spot(void *arg UNUSED, void *value)
{
	struct spot *s = value;

	dir_free(s->dir);
	free(s);
	return 0;
}

/* Nothing is in it, whatever was stored. */
static void dir_clear(struct dir *d)
{
	map_each(&d->spots, free_spot, NULL);
	map_fini(&d->spots);
	free(d->entries);
	buf_free(&d->bytes);
	*d = (struct dir){ .loaded = true, .changed = true };
}

static void dir_free(struct dir *d)
{
	if (d)
		dir_clear(d);
	free(d);
}

/* NULL: an empty one. */
static struct dir *dir_new(const uint8_t *id)
{
	struct dir *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	if (id)
		memcpy(d->id, id, GIT_ID);
	d->stored = id;
	d->loaded = d->changed = !id;
	return d;
}

int git_trees_new(const uint8_t *root, git_trees_read_fn fn, void *arg, struct git_trees **ret)
{
	struct git_trees *t = calloc(1, sizeof(*t));

	if (t)
		t->root = dir_new(root);
	if (!t || !t->root) {
		free(t);
		return -ENOMEM;
	}
	t->read = fn;
	t->arg = arg;
	*ret = t;
	return 0;
}

void git_trees_free(struct git_trees *t)
{
	if (!t)
		return;
	dir_free(t->root);
	free(t);
}

void git_trees_freep(struct git_trees **t)
{
	git_trees_free(*t);
}

/* ---- looking ---- */

static int load(const struct git_trees *t, struct dir *d)
{
	int r;

	if (d->loaded)
		return 0;
	r = t->read(t->arg, d->id, &d->bytes);
	if (r == 0)
		r = git_tree_list(buf_str(&d->bytes), d->bytes.len, &d->entries, &d->count);
	d->loaded = r == 0;
	return r;
}

static int fill_spot(const struct dir *d, struct spot *s)
{
	const struct git_entry *file = git_entry_find(d->entries, d->count, s->name, false);
	const struct git_entry *below = git_entry_find(d->entries, d->count, s->name, true);

	if (file) {
		s->mode = file->mode;
		memcpy(s->id, file->id, GIT_ID);
	}
	if (below)
		s->dir = dir_new(below->id);
	return below && !s->dir ? -ENOMEM : 0;
}

/* The one of a name, made from what was stored when it is first asked for. */
static int find_spot(const struct git_trees *t, struct dir *d, const char *name, size_t len,
		     struct spot **ret)
{
	struct spot *s;
	int r = load(t, d);

	if (r < 0)
		return r;
	*ret = map_find(&d->spots, name, len);
	if (*ret)
		return 0;
	s = calloc(1, sizeof(*s) + len + 1);
	if (!s)
		return -ENOMEM;
	memcpy(s->name, name, len);
	r = fill_spot(d, s);
	if (r == 0)
		r = map_put(&d->spots, s->name, len, s);
	if (r < 0)
		free_spot(NULL, s);
	else
		*ret = s;
	return r;
}

/* What lies by a path. To put something there, directories on the way are made, and all of them
 * count as changed; else -ENOENT if one is missing. */
static int walk(const struct git_trees *t, const char *path, bool put, struct spot **ret)
{
	struct dir *d = t->root;

	for (;;) {
		size_t len = strcspn(path, "/");
		int r = find_spot(t, d, path, len, ret);

		if (r < 0)
			return r;
		d->changed = d->changed || put;
		if (!path[len])
			return 0;
		if (!(*ret)->dir && put)
			(*ret)->dir = dir_new(NULL);
		if (!(*ret)->dir)
			return put ? -ENOMEM : -ENOENT;
		d = (*ret)->dir;
		path += len + 1;
	}
}

int git_trees_find(struct git_trees *t, const char *path, enum git_mode *ret_mode,
		   uint8_t ret[static GIT_ID])
{
	struct spot *s;
	int r = walk(t, path, false, &s);

	if (r < 0)
		return r;
	*ret_mode = s->mode;
	memcpy(ret, s->id, GIT_ID);
	return s->mode ? 0 : -ENOENT;
}

/* ---- changing ---- */

int git_trees_put(struct git_trees *t, const char *path, enum git_mode mode,
		  const uint8_t id[static GIT_ID])
{
	struct spot *s;
	int r = walk(t, path, true, &s);

	if (r < 0)
		return r;
	s->mode = mode;
	memcpy(s->id, id, GIT_ID);
	return 0;
}

int git_trees_drop(struct git_trees *t, const char *path)
{
	struct spot *s;
	int r = walk(t, path, false, &s);

	if (r == 0 && !s->mode)
		r = -ENOENT;
	if (r == 0)
		r = walk(t, path, true, &s);
	if (r == 0)
		s->mode = 0;
	return r;
}

static int find_file(void *arg, void *value);

/* 1 if there is a file in it or below. What is stored holds no empty directory. */
static int has_files(struct git_trees *t, struct dir *d)
{
	int r = load(t, d);

	for (size_t i = 0; r == 0 && i < d->count; i++)
		r = !map_find_str(&d->spots, d->entries[i].name);
	return r ? r : map_each(&d->spots, find_file, t);
}

static int find_file(void *arg, void *value)
{
	const struct spot *s = value;

	return s->mode ? 1 : s->dir ? has_files(arg, s->dir) : 0;
}

static int empty(struct git_trees *t, struct dir *d)
{
	int r = has_files(t, d);

	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	dir_clear(d);
	return 0;
}

int git_trees_drop_dir(struct git_trees *t, const char *dir)
{
	CLEANUP(freep) char *path = strdup(dir);
	size_t len = strlen(dir);
	struct spot *s;
	int r;

	if (!path)
		return -ENOMEM;
	while (len && path[len - 1] == '/')
		path[--len] = '\0';
	if (!len)
		return empty(t, t->root);
	r = walk(t, path, false, &s);
	if (r == 0)
		r = s->dir ? empty(t, s->dir) : -ENOENT;
	return r < 0 ? r : walk(t, path, true, &s);
}

/* ---- writing ---- */

struct writing {
	struct git_trees *trees;
	git_trees_write_fn fn;
	void *arg;
	struct buf *why;
};

/* What is in one directory now. */
struct listing {
	const struct writing *writing;
	struct git_entry *list;
	size_t count;
};

static int write_dir(const struct writing *w, struct dir *d, bool *ret_empty);

static int list_spot(void *arg, void *value)
{
	struct listing *l = arg;
	struct spot *s = value;
	bool none = true;
	int r = s->dir ? write_dir(l->writing, s->dir, &none) : 0;

	if (!none)
		l->list[l->count++] = (struct git_entry){ GIT_DIRECTORY, s->name, s->dir->id };
	if (s->mode)
		l->list[l->count++] = (struct git_entry){ s->mode, s->name, s->id };
	return r;
}

static int list_dir(struct listing *l, struct dir *d)
{
	l->list = calloc(d->count + 2 * d->spots.count + 1, sizeof(*l->list));
	if (!l->list)
		return -ENOMEM;
	for (size_t i = 0; i < d->count; i++)
		if (!map_find_str(&d->spots, d->entries[i].name))
			l->list[l->count++] = d->entries[i];
	return map_each(&d->spots, list_spot, l);
}

static int print_dir(const struct writing *w, struct dir *d, struct listing *l)
{
	CLEANUP(buf_free) struct buf tree = { 0 };
	uint8_t id[GIT_ID];
	int r = git_tree_print(l->list, l->count, &tree);

	if (r == -EEXIST)
		buf_printf(w->why, "a file and a folder have the same name");
	if (r == 0)
		r = digest_git_object("tree", buf_str(&tree), tree.len, id);
	if (r < 0 || (d->stored && !memcmp(id, d->id, GIT_ID)))
		return r;
	memcpy(d->id, id, GIT_ID);
	return w->fn(w->arg, id, buf_str(&tree), tree.len);
}

/* Its id becomes that of what is in it now. An empty one is in no tree but is the root. */
static int write_dir(const struct writing *w, struct dir *d, bool *ret_empty)
{
	struct listing l = { .writing = w };
	int r = 0;

	*ret_empty = false;
	if (!d->changed)
		return 0;
	r = list_dir(&l, d);
	*ret_empty = l.count == 0;
	if (r == 0 && (l.count || d == w->trees->root))
		r = print_dir(w, d, &l);
	free(l.list);
	return r;
}

int git_trees_write(struct git_trees *t, git_trees_write_fn fn, void *arg,
		    uint8_t ret[static GIT_ID], struct buf *why)
{
	const struct writing w = { t, fn, arg, why };
	bool none;
	int r = write_dir(&w, t->root, &none);

	memcpy(ret, t->root->id, GIT_ID);
	return r;
}
