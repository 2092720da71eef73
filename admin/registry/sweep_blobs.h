/* SPDX-License-Identifier: Apache-2.0 */
/* The collector's second half: bytes. The counts of who holds what are compared with what the rows
 * say, and mended; then each blob that nobody holds, nothing names and of which nobody spoke lately
 * goes. Threads: one. */
#ifndef MATRIXFS_SWEEP_BLOBS_H
#define MATRIXFS_SWEEP_BLOBS_H

#include "admin/registry/sweep.h"

/* Negative: of db, of s->rest; -EBUSY: blobs are held (hold.h). With `mend_only` nothing goes: rows
 * are damaged. */
MUST_USE int sweep_blobs(struct sweep *s, bool mend_only);

#endif
