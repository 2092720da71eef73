/* SPDX-License-Identifier: Apache-2.0 */
/* The face of the core as far as it is about digest lists (chunk_list.h) of what its cache holds.
 * Both wait for the disk. Threads: any. */
#ifndef MATRIXFS_NODE_LISTS_H
#define MATRIXFS_NODE_LISTS_H

#include "daemon/cache/chunk_list.h"

struct node;

/* The list of a blob of that size, owned, as it is kept. -ENOENT, ERR_CORRUPT: there is none, or
 * none that can be used, until it is made. */
MUST_USE int node_chunk_list(struct node *n, const char *etag, uint64_t size,
			     struct chunk_list **ret);
/* True if all of the blob is here, and verified: then it can be made. */
bool node_can_list(struct node *n, const char *etag, uint64_t size);
/* Makes and keeps the list of a blob, of whose bytes it reads all. rest: see chunk_list_make.
 * -ENOENT: not all of it is here; ERR_DIGEST: it has rotted. */
MUST_USE int node_make_chunk_list(struct node *n, const char *etag, uint64_t size,
				  int (*rest)(void *arg), void *arg);

#endif
