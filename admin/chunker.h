/* SPDX-License-Identifier: Apache-2.0 */
/* Digest lists of blobs (daemon/cache/chunk_list.h) for those who ask the hub: as they are kept
 * beside the blobs, of the cache and of people, and made, one after another on a thread of its own,
 * where there are none. Threads: any. */
#ifndef MATRIXFS_CHUNKER_H
#define MATRIXFS_CHUNKER_H

#include "admin/registry/intake.h"
#include "daemon/cache/chunk_list.h"
#include "daemon/node.h"

struct chunker;

/* Both are borrowed until chunker_free. -ENOMEM, -EAGAIN (no thread). */
MUST_USE int chunker_start(struct node *n, struct intake *in, struct chunker **ret);
/* Breaks off what is being made. False if it is still under way at deadline_ms (clock_ms()): then
 * all stays. NULL is none. */
MUST_USE bool chunker_stop(struct chunker *c, int64_t deadline_ms);
/* After a stop that was over. NULL is none. */
void chunker_free(struct chunker *c);

/* The list of a blob, owned; `own`: of a repository that is hosted here. -EAGAIN: it is being made;
 * -EBUSY: it is not, since many are; -ENOENT: not all of the blob is here; ERR_DIGEST: its bytes
 * have turned out to be others, lately. Waits for the disk. */
MUST_USE int chunker_get(struct chunker *c, const char *etag, uint64_t size, bool own,
			 struct chunk_list **ret);

#endif
