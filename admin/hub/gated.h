/* SPDX-License-Identifier: Apache-2.0 */
/* Files of gated repositories that are hosted here: for those who were let in. What a repository
 * is, and what its files are called, anybody may read who may read of it. */
#ifndef MATRIXFS_GATED_H
#define MATRIXFS_GATED_H

#include "admin/hub/ask.h"

/* To be asked before bytes of the request's repository are given: 0 if they may be; ANSWERED: with
 * a refusal, in the public hub's words. Before it is looked whether there is such a
 * revision, or file. */
MUST_USE int gated_pass(struct ask *a);
/* The same without an answer: ERR_GATED. */
MUST_USE int gated_passes(struct ask *a);
/* The same of the file that the target names: what says what the repository is, everybody reads. */
MUST_USE int gated_pass_file(struct ask *a);
/* The same when it is found: a file of git-lfs is nobody's to read by such a name alone, since who
 * may propose a change can give that name to any, whose ids lists tell. */
MUST_USE int gated_pass_found(struct ask *a, const struct manifest_file *f);

#endif
