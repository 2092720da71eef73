/* SPDX-License-Identifier: Apache-2.0 */
/* Files made of chunks of xorbs, as a shard says: every term is looked at before the first byte is
 * written; then they are put together as any other that comes (intake.h), every chunk and hash
 * checked. They become blobs, and where their chunks are now is remembered (xorb_notes.h). Threads:
 * one at a time; it waits for the disk. */
#ifndef MATRIXFS_ASSEMBLY_H
#define MATRIXFS_ASSEMBLY_H

#include "admin/registry/xorb_views.h"
#include "daemon/xet/xet_shard.h"

struct assembly;

struct assembly_conf {
	struct xorb_views_conf xorbs;
	const struct xet_shard *shard; /* borrowed */
	bool (*ends)(void *arg);       /* nobody waits for it any more */
	/* Told of each blob that has not the chunks which it is known for. */
	void (*doubt)(void *arg, const char *etag);
	void *arg; /* of both */
};

/* About how many bytes of memory a shard and what is made of it take, beside what any takes, and
 * not counting what buffers have in reserve. */
uint64_t assembly_memory(const struct xet_shard *s);
/* -ENOMEM. */
MUST_USE int assembly_new(const struct assembly_conf *conf, struct assembly **ret);
/* NULL is none. What is not kept is removed. */
void assembly_free(struct assembly *a);
/* Whether all of the shard can be made of what is here. -EBADMSG: it cannot, for a reason of the
 * client's that is a sentence in why; what is not here it is to send, and to forget that it did
 * (xorb_rows_renew). ERR_READ_ONLY: there is no room for its files; ERR_CUT. */
MUST_USE int assembly_plan(struct assembly *a, struct buf *why);
/* Puts the files together, and makes blobs of them. After the plan; likewise, and ERR_CUT: then
 * those that were finished are blobs, and counted below. */
MUST_USE int assembly_make(struct assembly *a, struct buf *why);
/* Remembers where their chunks lie: xorbs that are in blobs as a whole need not wait any more. If
 * it fails they do, and can be named as before. */
MUST_USE int assembly_note(struct assembly *a);

/* A file that was made. */
struct assembled {
	char etag[DIGEST_HEX_MAX + 1];
	uint64_t size;
};
/* How many, and each; borrowed until the next call. */
size_t assembly_count(const struct assembly *a);
const struct assembled *assembly_file(const struct assembly *a, size_t i);

#endif
