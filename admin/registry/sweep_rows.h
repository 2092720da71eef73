/* SPDX-License-Identifier: Apache-2.0 */
/* The collector's first half: rows. Git objects that nothing reaches, what is left of repositories
 * that went, and notes of uploads that nobody is at any more. Whose bytes they held is let go.
 * Threads: one. */
#ifndef MATRIXFS_SWEEP_ROWS_H
#define MATRIXFS_SWEEP_ROWS_H

#include "admin/registry/sweep.h"

/* Negative: of db, of s->rest. A repository that is damaged, too large, or never still is left
 * alone and counted: ERR_CORRUPT if one is damaged, when all is done. */
MUST_USE int sweep_rows(struct sweep *s);

#endif
