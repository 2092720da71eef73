/* SPDX-License-Identifier: Apache-2.0 */
/* A repository's history is another one's, too: its branches and tags and all that they reach,
 * under the same ids. Bytes lie on the disk once. */
#ifndef MATRIXFS_COPYING_H
#define MATRIXFS_COPYING_H

#include "admin/registry/refs.h"

/* One copy of it; uids and names are borrowed. */
struct copying {
	const char *from, *to; /* uids */
	const char *user;
	/* What came of it. */
	char commit[COMMIT_HEX + 1]; /* what the main branch names */
	struct buf left;             /* names of tags that did not come along; owned */
};

/* Inside a transaction, into a repository that was just made there. Tags that promotions lead to
 * where it is stay behind, with what they alone reach: nobody has promoted a copy. ERR_NOREV: there
 * is no main branch; ref_change's (refs.h), with a sentence in why. */
MUST_USE int copying_history(struct db_txn *t, struct copying *c, struct buf *why);
void copying_fini(struct copying *c);

#endif
