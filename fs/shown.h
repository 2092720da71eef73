/* SPDX-License-Identifier: Apache-2.0 */
/* What of the tree somebody sees who may not see all repositories: those of his scope, the
 * directories above them, and what clients wrote below hub/ for no repository or for one of these.
 * With no scope (NULL) that is all, with an empty one nothing. Threads: any. */
#ifndef MATRIXFS_SHOWN_H
#define MATRIXFS_SHOWN_H

#include "fs/place.h"
#include "fs/scope.h"

/* 0, or -EACCES for a name in a directory that belongs to what is not shown, be it there or not:
 * nobody need be asked for that, so it does not tell what there is. */
MUST_USE int shown_name(const struct scope *s, struct known *k, const struct place *dir,
			const char *name);
/* True if who sees what clients wrote at path `to` sees what they wrote at `from`, too, whoever
 * that is: it is for each repository that `from` is for, by whatever name. */
bool shown_to_no_more(struct known *k, const char *from, const char *to);
/* True if the place is shown. */
bool shown_place(const struct scope *s, struct known *k, const struct place *p);

#endif
