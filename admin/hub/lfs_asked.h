/* SPDX-License-Identifier: Apache-2.0 */
/* What clients of git-lfs say: batches, single objects, lists of parts; read and checked. Pure. */
#ifndef MATRIXFS_LFS_ASKED_H
#define MATRIXFS_LFS_ASKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/jdoc.h"

#define LFS_OBJECTS_MAX 4096 /* of a batch */

/* One object that is asked about. */
struct lfs_object {
	const char *oid; /* borrowed from the text */
	uint64_t size;
	bool valid; /* both can be */
	bool here;  /* for who looks it up */
};

struct lfs_asked {
	struct jdoc *doc;
	bool upload;   /* else download */
	bool in_parts; /* the client can send them so, ... */
	bool by_xet;   /* ... or by the Xet store */
	struct lfs_object *objects;
	size_t count;
};

/* Each: 0; -ENOMEM; or the status to refuse with, and a sentence in *ret_why, static. What it
 * filled in is to be freed in any case. */
MUST_USE int lfs_asked_batch(const char *text, size_t len, struct lfs_asked *ret,
			     const char **ret_why);
/* {"oid", "size"}: one object. */
MUST_USE int lfs_asked_object(const char *text, size_t len, struct lfs_asked *ret,
			      const char **ret_why);
/* Frees it. */
void lfs_asked_fini(struct lfs_asked *a);

/* The sums of `count` parts, in their order; they are borrowed from doc, the list is owned. */
struct lfs_parts {
	struct jdoc *doc;
	const char **sums;
};
MUST_USE int lfs_asked_parts(const char *text, size_t len, uint32_t count, struct lfs_parts *ret,
			     const char **ret_why);
/* Frees it. */
void lfs_parts_fini(struct lfs_parts *p);

#endif
