/* SPDX-License-Identifier: Apache-2.0 */
/* What a place looks like: attributes, link targets, extended attributes, and the text of the
 * files that are made up (refs, trees/COMMIT.json). Threads: any. */
#ifndef MATRIXFS_ATTR_H
#define MATRIXFS_ATTR_H

#include <sys/stat.h>

#include "fs/view.h"

/* Fills st (st_ino is the caller's) and says how long it holds. st_blocks tells what is cached.
 * -ENOMEM. */
MUST_USE int attr_stat(const struct view *v, const struct place *p, struct stat *st,
		       int64_t *ret_ttl_ms);
/* Appends the target of a symbolic link; -EINVAL for others. */
MUST_USE int attr_link(const struct place *p, struct buf *ret);
/* Appends the text of a PLACE_REF (asked anew if it is old; waiter as in node.h), PLACE_TREE_JSON
 * or PLACE_ABSENT_FILE. */
MUST_USE int attr_text(const struct view *v, const struct place *p, struct waiter *w,
		       struct buf *ret);
/* Appends the value of an extended attribute: user.matrixfs.etag, .present (bytes), .source,
 * .sealed (0 or 1), on files of models. -ENODATA; -EOPNOTSUPP: not of the user's names. */
MUST_USE int attr_xattr(const struct view *v, const struct place *p, const char *name,
			struct buf *ret);
/* Appends the names, each with its NUL. */
MUST_USE int attr_xattr_names(const struct place *p, struct buf *ret);

#endif
