/* SPDX-License-Identifier: Apache-2.0 */
/* What a repository holds in its first commit. Pure. */
#ifndef MATRIXFS_FIRST_FILES_H
#define MATRIXFS_FIRST_FILES_H

#include "admin/registry/registry.h"

/* Which files are for git-lfs: the text of .gitattributes, as the public hub has it; static. */
const char *first_attributes(enum repo_type type);
/* Appends README.md, if there is anything to tell: a license (or NULL), what a Space is made with.
 * ERR_HOSTILE, with a sentence: there is no such license. */
MUST_USE int first_card(const struct registry_repo *repo, const char *license, struct buf *ret,
			struct buf *why);

#endif
