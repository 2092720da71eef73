/* SPDX-License-Identifier: Apache-2.0 */
/* Files that locks hold: those of the commits that locked tags name, and that promoted ones have
 * named (refs.h). Threads: any. */
#ifndef MATRIXFS_HELD_H
#define MATRIXFS_HELD_H

#include "admin/registry/refs.h"

/* True of a file that is to be taken out of the repository's history. */
typedef bool (*held_doomed_fn)(void *arg, const struct manifest_file *f);
/* 0 if no commit that a lock holds has such a file; each of them is read once. Else
 * ERR_TAG_LOCKED, and a sentence in why. In the transaction that takes them out. */
MUST_USE int held_check(struct db_txn *t, const char *uid, held_doomed_fn doomed, void *arg,
			struct buf *why);

#endif
