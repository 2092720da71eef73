/* SPDX-License-Identifier: Apache-2.0 */
/* What clients wrote, as places of the shown tree. Threads: any. */
#ifndef MATRIXFS_VIEW_WRITTEN_H
#define MATRIXFS_VIEW_WRITTEN_H

#include "fs/view.h"

/* What clients wrote at `name` in `dir`: -ENOENT if nothing. */
MUST_USE int view_written_find(const struct view *v, const struct place *dir, const char *name,
			       struct place *ret);
/* The scratch directory of a writable directory, owned; made if `make`. -EROFS where clients may
 * not write, -ENOENT. */
MUST_USE int view_written_dir(const struct view *v, const struct place *dir, bool make,
			      struct scratch_node **ret);

#endif
