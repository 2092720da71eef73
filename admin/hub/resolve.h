/* SPDX-License-Identifier: Apache-2.0 */
/* Files: their heads and their bytes (hf-contract §1.1). */
#ifndef MATRIXFS_RESOLVE_H
#define MATRIXFS_RESOLVE_H

#include "admin/hub/ask.h"

/* HEAD and GET of /{repo}/resolve/{rev}/{path}. */
int resolve_file(struct ask *a);
/* The same of /raw/: a file as git has it, which of a large one is a pointer. */
int resolve_raw(struct ask *a);
/* Appends the pointer git has in the place of a large file (git-lfs specification, v1). */
int resolve_pointer(const struct manifest_file *f, struct buf *ret);

#endif
