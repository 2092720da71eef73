/* SPDX-License-Identifier: Apache-2.0 */
/* Digest lists of the cache's blobs (chunk_list.h): they lie beside them, and go with them.
 * Threads: any. */
#ifndef MATRIXFS_BLOB_LISTS_H
#define MATRIXFS_BLOB_LISTS_H

#include "daemon/cache/chunk_list.h"
#include "daemon/cache/store.h"

/* The list of a blob, which need not be open, owned: as chunk_list_load. */
MUST_USE int store_chunk_list(struct store *s, const char *etag, uint64_t size,
			      struct chunk_list **ret);
/* Keeps the list of a blob that is sealed, or was: of bytes whose digest was right. As
 * chunk_list_save; our own: -EROFS. */
MUST_USE int blob_put_chunk_list(const struct blob *b, const struct chunk_list *l);
/* The SHA-256 of chunk i of a blob, as it is here. -ENOENT: it is not; -EIO, -ENOMEM. */
MUST_USE int blob_chunk_digest(struct blob *b, uint32_t i, uint8_t ret[static CHUNK_LIST_DIGEST]);

#endif
