/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of a repository are kept by git-lfs: those to which its .gitattributes (the one in
 * its root; gitattributes(5)) gives filter=lfs. Macros are not taken. Pure. */
#ifndef MATRIXFS_GITATTRIBUTES_H
#define MATRIXFS_GITATTRIBUTES_H

#include "admin/git/gitrules.h"

/* Lines that git would leave out are left out. -E2BIG, -ENOMEM. */
MUST_USE int gitattributes_parse(const char *text, size_t len, struct git_rules **ret);
/* True if the file of that path is one of git-lfs. */
bool gitattributes_is_lfs(const struct git_rules *rules, const char *path);

#endif
