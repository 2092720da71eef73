/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a scratch: how much there is, where a node lies, what it looks like, what is in
 * it. */
#include <errno.h>
#include <string.h>

#include "daemon/base/buf.h"
#include "fs/scratch_node.h"

#define DEPTH_MAX 128 /* of a node whose path is told */

void scratch_used(struct scratch *s, uint64_t *ret_bytes, uint64_t *ret_nodes)
{
	lock_take(&s->mu);
	*ret_bytes = *ret_nodes = 0;
	for (size_t i = 0; i < SCRATCH_SIDES; i++) {
		*ret_bytes += s->parts[i].bytes;
		*ret_nodes += s->parts[i].nodes;
	}
	(*ret_nodes)--; /* the root */
	lock_drop(&s->mu);
}

/* Directories have one name. */
static int add_path_locked(const struct scratch *s, const struct scratch_node *n, struct buf *ret)
{
	const struct scratch_entry *way[DEPTH_MAX];
	size_t depth = 0;

	for (; n != s->root; n = n->names->dir) {
		if (!n->names || depth == ARRAY_LEN(way))
			return n->names ? -ENAMETOOLONG : -ENOENT;
		way[depth++] = n->names;
	}
	for (size_t i = depth; i > 0; i--)
		buf_printf(ret, "%s%s", i < depth ? "/" : "", way[i - 1]->name);
	return ret->failed;
}

int scratch_path(struct scratch *s, const struct scratch_node *n, struct buf *ret)
{
	int r;

	lock_take(&s->mu);
	r = add_path_locked(s, n, ret);
	lock_drop(&s->mu);
	return r;
}

int scratch_parent(struct scratch *s, const struct scratch_node *n, struct scratch_node **ret,
		   bool *ret_mirrors)
{
	bool named;

	lock_take(&s->mu);
	named = n->names != NULL;
	if (named) {
		*ret = scratch_ref(n->names->dir);
		*ret_mirrors = (*ret)->mirrors;
	}
	lock_drop(&s->mu);
	return named ? 0 : -ENOENT;
}

void scratch_stat(struct scratch *s, struct scratch_node *n, struct stat *ret)
{
	memset(ret, 0, sizeof(*ret));
	lock_take(&s->mu);
	ret->st_mode = n->mode;
	ret->st_nlink = n->name_count;
	if (S_ISDIR(n->mode) && !scratch_node_is_removed(s, n))
		ret->st_nlink = 2 + n->subdir_count;
	ret->st_uid = n->uid;
	ret->st_gid = n->gid;
	ret->st_size = (off_t)(n->target ? strlen(n->target) : n->size);
	ret->st_blocks = (blkcnt_t)((n->size + 511) / 512);
	ret->st_blksize = 4096;
	ret->st_atim = n->atime;
	ret->st_mtim = n->mtime;
	ret->st_ctim = n->ctime;
	lock_drop(&s->mu);
}

/* Copies the names of a directory, one behind the other with their NULs, and takes its nodes. */
static int list_locked(const struct scratch_node *dir, struct buf *names,
		       struct scratch_node **nodes)
{
	for (size_t i = 0; i < dir->count; i++)
		buf_add(names, dir->entries[i]->name, strlen(dir->entries[i]->name) + 1);
	if (names->failed)
		return names->failed;
	for (size_t i = 0; i < dir->count; i++)
		nodes[i] = scratch_ref(dir->entries[i]->node);
	return 0;
}

int scratch_each(struct scratch *s, struct scratch_node *dir, scratch_each_fn fn, void *arg)
{
	CLEANUP(freep) struct scratch_node **nodes = NULL;
	CLEANUP(buf_free) struct buf names = { 0 };
	const char *name;
	int r;

	lock_take(&s->mu);
	nodes = calloc(dir->count + 1, sizeof(struct scratch_node *));
	r = nodes ? list_locked(dir, &names, nodes) : -ENOMEM;
	lock_drop(&s->mu);
	if (r)
		return r;
	name = buf_str(&names);
	for (size_t i = 0; nodes[i]; i++) {
		if (!r)
			r = fn(arg, name, nodes[i]);
		name += strlen(name) + 1;
		scratch_unref(s, nodes[i]);
	}
	return r;
}
