/* SPDX-License-Identifier: Apache-2.0 */
/* What a hub says of a blob's chunks, where it is one that publishes their digests (matrixhubd). */
#ifndef MATRIXFS_HUB_CHUNKS_H
#define MATRIXFS_HUB_CHUNKS_H

#include "daemon/cache/chunk_list.h"
#include "daemon/hub/hub.h"

/* The digest list of a file, owned: one request, within the hub's timeout for metadata.
 * -ENOENT: the hub has none, at least now: it knows no such lists, or no such file, or has not
 * all of its bytes yet, or is making it; then *ret_wait_ms is when to ask again (as in
 * source.h; may be NULL), which every hub says that knows such lists, or else -1. ERR_PROTO: a
 * list that is not this file's, or not of its chunks. ERR_GATED, ERR_DISABLED, ERR_TOKEN,
 * -EACCES, ERR_BUSY, ERR_SERVER, ERR_UPSTREAM, ERR_TLS, ERR_TIMEOUT, ERR_CUT, ERR_CANCELED.
 * Threads: any. */
MUST_USE int hub_chunk_list(struct hub *h, const struct source_blob *what,
			    struct httpc_cancel *cancel, struct chunk_list **ret,
			    int64_t *ret_wait_ms);

#endif
