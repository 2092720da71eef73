/* SPDX-License-Identifier: Apache-2.0 */
/* A repository's history is another one's, too: its branches and tags and all that they reach,
 * under the same ids. Bytes lie on the disk once. */
#ifndef MATRIXFS_COPYING_H
#define MATRIXFS_COPYING_H

#include "admin/registry/refs.h"

/* Inside a transaction, into a repository that was just made there, by that user. ret: what the
 * main branch names. ERR_NOREV if there is none; ref_change's (refs.h). */
MUST_USE int copying_history(struct db_txn *t, const char *from, const char *to, const char *user,
			     char ret[static COMMIT_HEX + 1], struct buf *why);

#endif
