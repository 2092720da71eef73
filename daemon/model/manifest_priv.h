/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of a manifest, shared by manifest.c (reading), manifest_build.c (making), manifest_parse.c
 * (the hub's pages) and manifest_pack.c (the catalog's bytes). Nobody else includes this. */
#ifndef MATRIXFS_MANIFEST_PRIV_H
#define MATRIXFS_MANIFEST_PRIV_H

#include "daemon/model/manifest.h"

/* Largest size of one file; leaves room for sums and signed offsets. */
#define MANIFEST_SIZE_MAX (UINT64_C(1) << 62)
#define MANIFEST_IS_FILE UINT32_MAX

struct manifest_node {
	uint32_t name;   /* offset in names */
	uint32_t parent; /* the root is its own */
	uint32_t first;  /* first child; of a file: its index in files */
	uint32_t count;  /* children; MANIFEST_IS_FILE for a file */
};

/* Nodes lie breadth first, so that the children of one stand together, in natural order. by_name
 * holds, at the same places, the same children in bytewise order; by_etag all files by digest. */
struct manifest {
	uint32_t node_count, file_count;
	uint64_t total_bytes; /* stops at UINT64_MAX */
	struct manifest_node *nodes;
	struct manifest_file *files; /* in node order */
	char *names;                 /* NUL-terminated components */
	uint32_t *by_name;           /* node_count nodes */
	uint32_t *by_etag;           /* file_count nodes */
};

/* 0 if what failed with r is left out, else r. */
MUST_USE int manifest_builder_leave_out(struct manifest_builder *b, int r);
/* Natural order of two pieces of text; 0 only if they are the same bytes. */
int manifest_natural_n(const char *a, size_t a_len, const char *b, size_t b_len);
/* Order of files by digest, then kind. */
int manifest_digest_compare(const struct manifest_file *a, const struct manifest_file *b);
/* The node after this one when a directory's content follows it (paths in sorted order), or
 * MANIFEST_NONE. */
uint32_t manifest_next(const struct manifest *m, uint32_t node);

#endif
