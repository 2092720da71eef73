/* SPDX-License-Identifier: Apache-2.0 */
/* Which files are not to be uploaded: those that a .gitignore (the one in the root of what is
 * uploaded; gitignore(5)) leaves out. Pure. */
#ifndef MATRIXFS_GITIGNORE_H
#define MATRIXFS_GITIGNORE_H

#include "admin/git/gitrules.h"

/* Lines that git would leave out are left out. -E2BIG, -ENOMEM. */
MUST_USE int gitignore_parse(const char *text, size_t len, struct git_rules **ret);
/* True if the file of that path is left out, or a directory it lies in. */
bool gitignore_leaves_out(const struct git_rules *rules, const char *path);

#endif
