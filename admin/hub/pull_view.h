/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a pull request besides what is said in it: which branch it is for, which files
 * cannot be merged, and what it changes, as a diff. */
#ifndef MATRIXFS_PULL_VIEW_H
#define MATRIXFS_PULL_VIEW_H

#include "admin/hub/ask.h"
#include "admin/registry/discussions.h"
#include "daemon/base/jwrite.h"

struct pull_file;

/* Zeroed: of none. */
struct pull_view {
	bool is_pull;
	struct discussion of;
	struct buf conflicts; /* a JSON array */
	bool conflicts_cut;   /* there may be more */
	struct pull_file *files;
	size_t count, cap;
	bool cut; /* there are more files than a diff shows */
};

/* Frees what it holds. */
void pull_view_fini(struct pull_view *v);
/* True if it is remembered which files of it cannot be merged, or there is none to look at; else to
 * look costs as much as a diff does. Inside a transaction. */
bool pull_is_known(struct db_txn *t, const char *uid, const struct discussion *d,
		   struct ready *ready);
/* Looks at one, in the place of what was there; with_diff: what it changes as well. `ready`
 * remembers which files cannot be merged. Inside a transaction. */
MUST_USE int pull_look(struct db_txn *t, const char *uid, const struct discussion *d,
		       bool with_diff, struct ready *ready, struct pull_view *ret);
/* Writes it: members of an object. It reads files: not in a transaction. */
MUST_USE int pull_write(struct ask *a, const struct pull_view *v, bool with_diff, struct jwrite *w);

#endif
