/* SPDX-License-Identifier: Apache-2.0 */
/* Xorbs, in which the chunks of files travel: each with a header of eight bytes, packed or not. One
 * that comes is read piece by piece, and each chunk given on as it was; what it unpacks to is
 * bounded whatever it says. Threads: one at a time for each reader. */
#ifndef MATRIXFS_XORB_H
#define MATRIXFS_XORB_H

#include "daemon/xet/xet_hash.h"

#define XORB_CHUNK_MAX (128 * 1024)       /* bytes of a chunk */
#define XORB_CHUNKS_MAX 8192              /* of a xorb */
#define XORB_BYTES_MAX (65 * 1024 * 1024) /* as it travels: 64 MiB, and what describes them */

/* A chunk, unpacked, and its hash; borrowed. Negative: no more. */
typedef int (*xorb_fn)(void *arg, const uint8_t hash[static XET_HASH], const void *data,
		       size_t len);

struct xorb_reader;

/* -ENOMEM. */
MUST_USE int xorb_reader_new(xorb_fn fn, void *arg, struct xorb_reader **ret);
/* NULL is none. */
void xorb_reader_free(struct xorb_reader *x);
/* Whatever came is forgotten: the next xorb begins. */
void xorb_reader_begin(struct xorb_reader *x);
/* The next bytes. -EBADMSG: they are no xorb's, as xorb_reader_why() says; fn's. */
MUST_USE int xorb_reader_add(struct xorb_reader *x, const void *data, size_t len);
/* All came: the name it has by its chunks. -EBADMSG. */
MUST_USE int xorb_reader_end(struct xorb_reader *x, uint8_t ret[static XET_HASH]);
/* What was wrong, in a few words; static. */
const char *xorb_reader_why(const struct xorb_reader *x);

#endif
