/* SPDX-License-Identifier: Apache-2.0 */
/* Reads of a commit that is hosted here what facts.h works with. Threads: any. */
#ifndef MATRIXFS_COMMITFACTS_H
#define MATRIXFS_COMMITFACTS_H

#include "admin/catalogue/extracts.h"
#include "admin/catalogue/facts.h"
#include "admin/registry/committing.h"
#include "admin/registry/registry.h"

/* A tree of the repository, and how many bytes all its files have. */
struct commitfacts_base {
	uint8_t tree[GIT_ID];
	int64_t bytes;
};

/* Files that cannot be read are passed over; how large all are is not known then, if it is a row of
 * theirs, or of a directory, that cannot. With a base (or NULL) only what differs from it is
 * counted. To be freed in any case. */
MUST_USE int commitfacts_read(struct db_txn *t, struct extracts *x,
			      const struct registry_repo *repo, const struct git_commit *commit,
			      const struct commitfacts_base *base, struct facts_source *ret);

/* What a transaction is going to make of a revision. */
struct commitfacts_ahead {
	enum repo_type type;
	const char *uid, *revision;
	const struct change *changes;
	size_t count;
};
/* Reads ahead of it what commitfacts_read will want then, so that nobody waits meanwhile. A
 * revision that is not there has no files. */
MUST_USE int commitfacts_ahead(struct db *db, struct extracts *x,
			       const struct commitfacts_ahead *what);

#endif
