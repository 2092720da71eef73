/* SPDX-License-Identifier: Apache-2.0 */
/* Items of a commit's list with what only the hub upstream can tell of them: the last commit that
 * changed each, and what scanners found. They are looked for in its lists of directories, which
 * do not change and are kept. */
#ifndef MATRIXFS_EXPANDED_H
#define MATRIXFS_EXPANDED_H

#include <stddef.h>

#include "admin/hub/ask.h"
#include "daemon/base/jdoc.h"

#define EXPANDED_DIRS_MAX 50 /* that are asked about for one request */

/* The pages of one directory's list, as far as they were read. Zeroed memory is none. */
struct expanded {
	unsigned dirs;
	struct buf dir, next; /* its path, and the tail of the page that follows, or "" */
	struct jdoc **pages;
	size_t count;
};

/* Frees what it holds. */
void expanded_fini(struct expanded *e);
/* The item of a path in the request's commit, borrowed until the next call; NULL: nobody tells, or
 * too many were asked about. PARKED. */
MUST_USE int expanded_find(struct expanded *e, struct ask *a, const char *path,
			   const struct jval **ret);

#endif
