/* SPDX-License-Identifier: Apache-2.0 */
/* The history of a ref becomes one commit, which holds what it held last. The commits it was made
 * of stay as long as something else names them, and as the collector spares what nothing does. */
#ifndef MATRIXFS_SQUASH_H
#define MATRIXFS_SQUASH_H

#include "admin/registry/refs.h"

struct squash {
	const char *uid, *ref; /* "refs/heads/main" */
	const char *message;   /* as git has it */
	struct git_person by;
	const char *user;
	char commit[COMMIT_HEX + 1]; /* what it names then */
};

/* Inside a transaction. ERR_NOREV: there is no such ref; ref_change's (refs.h). One that is a
 * single commit already gets another one all the same: its message is new. */
MUST_USE int squash_ref(struct db_txn *t, struct squash *s, struct buf *why);

#endif
