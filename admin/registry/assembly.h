/* SPDX-License-Identifier: Apache-2.0 */
/* Files made of chunks of xorbs, as a shard says: put together as any other that comes (intake.h),
 * every term and hash checked against the chunks that are here. They become blobs, and where their
 * chunks are now is remembered (xorb_rows.h). Threads: one at a time; it waits for the disk. */
#ifndef MATRIXFS_ASSEMBLY_H
#define MATRIXFS_ASSEMBLY_H

#include "admin/registry/xorbs.h"
#include "daemon/xet/xet_shard.h"

struct assembly;

struct assembly_conf {
	struct db *db; /* borrowed, and what follows */
	struct intake *intake;
	struct xorbs *xorbs;
	const char *repo; /* the key of the repository they are for */
	const char *uid;  /* and its uid */
	/* A xorb that did not just come for it, but may be used: -ENOENT. */
	int (*find)(void *arg, const uint8_t xorb[static XET_HASH], struct xorb_view *ret);
	void *arg;
};

/* -ENOMEM. */
MUST_USE int assembly_new(const struct assembly_conf *conf, struct assembly **ret);
/* NULL is none. What is not kept is removed. */
void assembly_free(struct assembly *a);
/* Puts a file of the shard together. -EBADMSG: it cannot be, for a reason of the client's that is a
 * sentence in why; ERR_READ_ONLY. */
MUST_USE int assembly_add(struct assembly *a, const struct xet_shard *s, const struct xet_file *f,
			  struct buf *why);
/* Makes blobs of those that were added, and remembers where their chunks lie: xorbs that are in
 * blobs as a whole need not wait any more. */
MUST_USE int assembly_keep(struct assembly *a);

/* A file that was kept. */
struct assembled {
	char etag[DIGEST_HEX_MAX + 1];
	uint64_t size;
};
/* How many, and each; borrowed until the next call. */
size_t assembly_count(const struct assembly *a);
const struct assembled *assembly_file(const struct assembly *a, size_t i);

#endif
