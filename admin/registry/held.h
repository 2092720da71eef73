/* SPDX-License-Identifier: Apache-2.0 */
/* Files that locks hold: those of the commits that locked tags name, and that promoted ones have
 * named (refs.h), and of all that these were made from. Threads: any. */
#ifndef MATRIXFS_HELD_H
#define MATRIXFS_HELD_H

#include "admin/registry/refs.h"

/* True of a file, by the id of its object, whose bytes are to go. */
typedef bool (*held_doomed_fn)(void *arg, const uint8_t id[static GIT_ID]);
/* 0 if no commit that a lock holds has such a file; each object is looked at once, however many
 * commits have it. Else ERR_TAG_LOCKED, and a sentence in why. In the transaction that takes them
 * out. */
MUST_USE int held_check(struct db_txn *t, const char *uid, held_doomed_fn doomed, void *arg,
			struct buf *why);

#endif
