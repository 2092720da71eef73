/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/node_lists.h"

#include <errno.h>

#include "daemon/cache/blob_lists.h"
#include "daemon/node_parts.h"

int node_chunk_list(struct node *n, const char *etag, uint64_t size, struct chunk_list **ret)
{
	return store_chunk_list(node_parts(n)->store, etag, size, ret);
}

bool node_can_list(struct node *n, const char *etag, uint64_t size)
{
	const struct node_parts *parts = node_parts(n);
	struct catalog_blob row;
	uint64_t bytes;

	return catalog_get_blob(parts->catalog, etag, &row) == 0 && row.sealed &&
	       row.size == size && store_blob_size(parts->store, etag, &bytes) == 0 &&
	       bytes == size;
}

/* While it is open it is not evicted. */
static int make_of(const struct blob *b, int (*rest)(void *arg), void *arg)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	int r;

	if (!blob_is_sealed(b))
		return -ENOENT;
	r = chunk_list_make(blob_fd(b), blob_etag(b), blob_size(b), rest, arg, &l);
	return r < 0 ? r : blob_put_chunk_list(b, l);
}

int node_make_chunk_list(struct node *n, const char *etag, uint64_t size, int (*rest)(void *arg),
			 void *arg)
{
	struct blob *b = NULL;
	int r = node_can_list(n, etag, size) ? 0 : -ENOENT;

	if (r == 0)
		r = store_peek(node_parts(n)->store, etag, size, true, &b);
	if (r < 0)
		return r == -EBUSY ? -ENOENT : r;
	r = make_of(b, rest, arg);
	blob_unref(b);
	return r;
}
