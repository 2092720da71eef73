/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes as NFS tells them. What differs from the mount: a client keeps what it was told for
 * seconds or longer, whatever the server thinks, and looks at times to see whether a file or
 * directory is another one; so a ref has the time of its commit, a directory whose entries are the
 * hub's to change has a time that goes on, and a file whose bytes were wrong once has another one
 * than before. Threads: any. */
#ifndef MATRIXFS_NFS_ATTR_H
#define MATRIXFS_NFS_ATTR_H

#include "fs/view.h"

/* Appends a fattr3. Waiter as in node.h. */
MUST_USE int nfs_attr_put(const struct view *v, const struct place *p, struct waiter *w,
			  struct buf *ret);
/* Appends a post_op_attr: one that says there is none, if it would have to wait. */
void nfs_attr_put_after(const struct view *v, const struct place *p, struct buf *ret);
/* The same of a file that was just read; of one that is made up with its whole text, else NULL.
 * That there are none is not said, since Linux takes the head of all replies to READ to be as long
 * as the first one's, and fails with EIO where it is longer. */
void nfs_attr_put_read(const struct view *v, const struct place *p, const char *text,
		       struct buf *ret);

#endif
