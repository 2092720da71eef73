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
/* gated_pass for the target's path: README.md and LICENSE pass, everybody may read them. */
MUST_USE int gated_pass_file(struct ask *a);
/* To be asked again once the file is found: README.md or LICENSE that is a file of git-lfs passes
 * for nobody who was not let in. Whoever may propose a change can give that name to any LFS file
 * whose id a list told them. */
MUST_USE int gated_pass_found(struct ask *a, const struct manifest_file *f);

#endif
