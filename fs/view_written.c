/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/view_written.h"

#include <errno.h>

int view_written_dir(const struct view *v, const struct place *dir, bool make,
		     struct scratch_node **ret)
{
	CLEANUP(buf_free) struct buf path = { 0 };

	if (!place_writable(dir))
		return -EROFS;
	if (dir->kind == PLACE_SCRATCH) {
		*ret = scratch_ref(dir->written);
		return 0;
	}
	if (place_scratch_path(dir, &path) < 0)
		return -ENOMEM;
	return scratch_dir(v->scratch, buf_str(&path), make, ret);
}

int view_written_find(const struct view *v, const struct place *dir, const char *name,
		      struct place *ret)
{
	struct scratch_node *parent, *node;
	int r = view_written_dir(v, dir, false, &parent);

	if (r < 0)
		return -ENOENT;
	r = scratch_find(v->scratch, parent, name, &node);
	scratch_unref(v->scratch, parent);
	if (r == 0)
		*ret = place_written(dir, v->scratch, node);
	return r;
}
