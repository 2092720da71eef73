/* SPDX-License-Identifier: Apache-2.0 */
/* Files: their heads and their bytes (hf-contract §1.1). */
#ifndef MATRIXFS_RESOLVE_H
#define MATRIXFS_RESOLVE_H

#include "admin/hub/ask.h"

/* A file of the request's commit. */
struct resolve_found {
	uint32_t node;
	const struct manifest_file *file; /* borrowed from the request's snapshot */
	char etag[DIGEST_HEX_MAX + 1];
};
/* Finds the target's file for who may have its bytes; PARKED until its list is there. ANSWERED: it
 * is refused; ERR_NOENTRY, admit_ask's. */
MUST_USE int resolve_find(struct ask *a, struct resolve_found *ret);

/* HEAD and GET of /{repo}/resolve/{rev}/{path}. */
int resolve_file(struct ask *a);
/* The same of /raw/: a file as git has it, which of a large one is a pointer. */
int resolve_raw(struct ask *a);
/* Appends the pointer git has in the place of a large file (git-lfs specification, v1). */
int resolve_pointer(const struct manifest_file *f, struct buf *ret);

#endif
