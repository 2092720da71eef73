/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/git/gitorder.h"

#include <errno.h>
#include <stdlib.h>

#include "admin/git/gitobject.h"

struct walk {
	const struct manifest *m;
	struct buf *directories;
	struct buf files;
};

static struct git_entry entry_of(const struct walk *w, uint32_t node)
{
	return (struct git_entry){ .name = manifest_name(w->m, node),
				   .mode = manifest_file(w->m, node) ? GIT_FILE : GIT_DIRECTORY };
}

static int by_entry(const void *a, const void *b, void *arg)
{
	const uint32_t *x = a, *y = b;
	const struct git_entry one = entry_of(arg, *x), other = entry_of(arg, *y);

	return git_entry_order(&one, &other);
}

/* As deep as paths are: components are counted when a manifest is built. */
static int walk(struct walk *w, uint32_t node)
{
	uint32_t count, first = manifest_children(w->m, node, &count);
	CLEANUP(freep) uint32_t *list = calloc((size_t)count + 1, sizeof(*list));
	int r = list ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < count; i++)
		list[i] = first + i;
	qsort_r(list, count, sizeof(*list), by_entry, w);
	for (uint32_t i = 0; r == 0 && i < count; i++) {
		bool file = manifest_file(w->m, list[i]);

		r = buf_add(file ? &w->files : w->directories, &list[i], sizeof(*list));
		if (r == 0 && !file)
			r = walk(w, list[i]);
	}
	return r;
}

int gitorder(const struct manifest *m, struct buf *ret)
{
	struct walk w = { .m = m, .directories = ret };
	int r = walk(&w, MANIFEST_ROOT);

	if (r == 0)
		r = buf_add(ret, buf_str(&w.files), w.files.len);
	buf_free(&w.files);
	return r;
}
