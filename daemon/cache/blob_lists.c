/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing is counted for them, as for maps and sums: they take 32 bytes for a MiB. */
#include "daemon/cache/blob_lists.h"

#include <errno.h>

#include "daemon/cache/store_priv.h"

int store_chunk_list(struct store *s, const char *etag, uint64_t size, struct chunk_list **ret)
{
	return chunk_list_load(s->dirfd, etag, size, ret);
}

/* While the blob is open it is not evicted: no list is left without one. */
int blob_put_chunk_list(const struct blob *b, const struct chunk_list *l)
{
	return b->own ? -EROFS : chunk_list_save(b->store->dirfd, b->etag, l);
}
