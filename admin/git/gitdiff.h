/* SPDX-License-Identifier: Apache-2.0 */
/* What changed from one text to another, as git prints it: hunks that patch(1) and "git apply"
 * take. Pure. */
#ifndef MATRIXFS_GITDIFF_H
#define MATRIXFS_GITDIFF_H

#include "admin/git/gitobject.h"

/* One side of a file; mode 0: it is not there. */
struct git_diff_side {
	unsigned mode;
	const uint8_t *id; /* GIT_ID bytes; NULL where the mode is 0 */
	const char *text;  /* NULL: it is not told */
	size_t len;
};

/* Appends what is said of one file: its head, then its hunks, or that it is binary if either text
 * is, or is not told. Texts that have little in common are printed whole. -ENOMEM. */
MUST_USE int git_diff_print(const char *path, const struct git_diff_side *from,
			    const struct git_diff_side *to, struct buf *ret);

#endif
