/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/git/githash.h"

#include <errno.h>

#include "admin/git/gitobject.h"
#include "daemon/base/digest.h"

struct tree {
	uint32_t node;
	uint8_t oid[GIT_ID];
};

/* In the order of their nodes. */
struct trees {
	struct tree *list;
	size_t count;
};

static int by_node(const void *a, const void *b)
{
	const struct tree *x = a, *y = b;

	return (x->node > y->node) - (x->node < y->node);
}

static struct tree *find(const struct trees *t, uint32_t node)
{
	const struct tree key = { .node = node };

	return bsearch(&key, t->list, t->count, sizeof(key), by_node);
}

static int hash(const struct manifest *m, uint32_t node, const struct trees *t);

static int read_entry(const struct manifest *m, uint32_t node, const struct trees *t,
		      struct git_entry *ret)
{
	const struct manifest_file *f = manifest_file(m, node);
	int r = f ? 0 : hash(m, node, t);

	ret->name = manifest_name(m, node);
	ret->mode = f ? GIT_FILE : GIT_DIRECTORY;
	ret->id = f ? f->oid : find(t, node)->oid;
	return r;
}

/* As deep as paths are: components are counted when a manifest is built. */
static int hash(const struct manifest *m, uint32_t node, const struct trees *t)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	uint32_t count, first = manifest_children(m, node, &count);
	CLEANUP(freep) struct git_entry *list = calloc(count + 1, sizeof(*list));
	int r = list ? 0 : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < count; i++)
		r = read_entry(m, first + i, t, &list[i]);
	if (r == 0)
		r = git_tree_print(list, count, &text);
	return r < 0 ? r : digest_git_object("tree", buf_str(&text), text.len, find(t, node)->oid);
}

int githash_trees(const struct manifest *m, struct buf *ret)
{
	size_t count = manifest_count(m) - manifest_file_count(m);
	CLEANUP(freep) struct tree *list = calloc(count + 1, sizeof(*list));
	struct trees t = { .list = list };
	int r;

	if (!list)
		return -ENOMEM;
	for (uint32_t i = 0; i < manifest_count(m); i++)
		if (!manifest_file(m, i))
			list[t.count++].node = i;
	r = hash(m, MANIFEST_ROOT, &t);
	return r < 0 ? r : buf_add(ret, list, t.count * sizeof(*list));
}

const uint8_t *githash_find(const void *trees, size_t len, uint32_t node)
{
	const struct trees t = { (struct tree *)(uintptr_t)trees, len / sizeof(struct tree) };
	const struct tree *found = find(&t, node);

	return found ? found->oid : NULL;
}
