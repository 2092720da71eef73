/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of one directory, fixed at the moment it was opened. Directories of a commit are
 * not copied: their entries are the manifest's own children. Threads: one listing, one thread at
 * a time. */
#ifndef MATRIXFS_LISTING_H
#define MATRIXFS_LISTING_H

#include "fs/view.h"

struct listing;

/* Lists a directory. Waiter as in node.h: a repository's refs and snapshots are looked up if none
 * is known yet. -ENOTDIR, -ENOMEM. */
MUST_USE int listing_open(const struct view *v, const struct place *dir, struct waiter *w,
			  struct listing **ret);
/* The same when the wait for it ended with error r: without a main it lists what is known. */
MUST_USE int listing_open_ended(const struct view *v, const struct place *dir, int r,
				struct listing **ret);
void listing_close(struct listing *l);
/* Number of entries, without "." and "..". */
uint32_t listing_count(const struct listing *l);
/* Name of entry i (borrowed until listing_close) and a copy of its place (owned). -ENOMEM. */
MUST_USE int listing_get(const struct listing *l, uint32_t i, const char **ret_name,
			 struct place *ret);

#endif
