/* SPDX-License-Identifier: Apache-2.0 */
/* Where the chunks of xorbs lie, once files were made of them: noted, so that xorbs which are in
 * blobs as a whole need not wait any more. Threads: any; it waits for the disk. */
#ifndef MATRIXFS_XORB_NOTES_H
#define MATRIXFS_XORB_NOTES_H

#include "admin/registry/xorb_views.h"

/* Chunks [from, to) of a xorb lie at that place of a file. */
struct xorb_place {
	uint8_t xorb[XET_HASH];
	uint32_t from, to, file;
	uint64_t off;
};

struct xorb_notes {
	const struct xorb_views_conf *conf; /* borrowed, and what follows */
	struct xorb_views *views;
	struct xorb_place *places; /* which get another order */
	size_t count;
	const char *(*etag)(void *arg, uint32_t file); /* of a file; borrowed */
	void *arg;
};
/* It is but a memory: what cannot be opened any more is left out. */
MUST_USE int xorb_notes_put(const struct xorb_notes *n);

#endif
