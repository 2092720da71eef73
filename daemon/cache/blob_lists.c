/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing is counted for them, as for maps and sums: they take 32 bytes for a MiB. */
#include "daemon/cache/blob_lists.h"

#include <errno.h>

#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"
#include "daemon/cache/store_priv.h"

#define PIECE_BYTES (256 << 10)

int store_chunk_list(struct store *s, const char *etag, uint64_t size, struct chunk_list **ret)
{
	return chunk_list_load(s->dirfd, etag, size, ret);
}

/* While the blob is open it is not evicted: no list is left without one. */
int blob_put_chunk_list(const struct blob *b, const struct chunk_list *l)
{
	return b->own ? -EROFS : chunk_list_save(b->store->dirfd, b->etag, l);
}

/* Of a blob that is held. */
static int digest_chunk(const struct blob *b, uint32_t i, uint8_t ret[static CHUNK_LIST_DIGEST])
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	CLEANUP(freep) char *piece = malloc(PIECE_BYTES);
	uint64_t end = chunk_end(i, blob_size(b)), len;
	int r = piece ? digest_new(DIGEST_SHA256, 0, &d) : -ENOMEM;

	for (uint64_t at = chunk_start(i); r == 0 && at < end; at += len) {
		len = min_u64(PIECE_BYTES, end - at);
		r = blob_read(b, piece, len, at);
		if (r == 0)
			r = digest_update(d, piece, len);
	}
	return r < 0 ? r : digest_final(d, ret);
}

int blob_chunk_digest(struct blob *b, uint32_t i, uint8_t ret[static CHUNK_LIST_DIGEST])
{
	int r;

	blob_hold(b);
	r = blob_still_has(b, i) ? digest_chunk(b, i, ret) : -ENOENT;
	blob_let_go(b);
	return r;
}
