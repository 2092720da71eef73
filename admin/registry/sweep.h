/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the collector share: what they work on, whom they tell, and how far they are.
 * The argument why nothing is taken that is needed: docs/decisions.md. */
#ifndef MATRIXFS_SWEEP_H
#define MATRIXFS_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/db.h"
#include "admin/registry/intake.h"
#include "admin/registry/parts.h"
#include "admin/registry/xorbs.h"

struct sweep_counts {
	uint64_t blobs, bytes;         /* that go, or would */
	uint64_t objects;              /* git's, in rows */
	uint64_t uploads;              /* notes of what was brought and never committed */
	uint64_t spared;               /* blobs that nobody needs, but that were spoken of lately */
	uint64_t mended;               /* counts of holders that were wrong */
	uint64_t left_alone;           /* repositories that could not be looked through */
	uint64_t looked, looked_bytes; /* blobs that were looked at */
};

/* One thing that goes. */
struct sweep_item {
	const char *what; /* "blob", "commit", "upload" */
	const char *id;   /* its etag, its id; "" of all uploads of a repository */
	const char *repo; /* its key, or NULL */
	uint64_t bytes;
	const char *why;
};

struct sweep {
	struct db *db;
	struct intake *intake;
	struct parts *parts;
	struct xorbs *xorbs;
	int64_t before_s; /* what was spoken of since then is spared */
	bool dry;         /* only tells */
	/* After each piece of work: it may wait. Negative: that is the end. */
	int (*rest)(void *arg, const struct sweep_counts *so_far);
	void (*tell)(void *arg, const struct sweep_item *item);
	void *arg;
	struct sweep_counts counts;
	struct buf doomed; /* of a dry run: etags of what would be let go, SWEEP_ETAG bytes each */
};

#define SWEEP_ETAG (DIGEST_HEX_MAX + 1)

#endif
