/* SPDX-License-Identifier: Apache-2.0 */
/* The hashes of a Xet store: of a chunk, of a range of chunks, and the roots of trees over them,
 * which name xorbs and files. They are BLAKE3 under keys that all have. As text, each of their four
 * numbers of 64 bits stands with its highest digit first. Pure. */
#ifndef MATRIXFS_XET_HASH_H
#define MATRIXFS_XET_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/own.h"

#define XET_HASH 32     /* bytes */
#define XET_HASH_HEX 64 /* digits, without the NUL */

/* As text; and back: -EINVAL unless it is 64 hex digits of lower case and nothing more. */
void xet_hash_print(const uint8_t hash[static XET_HASH], char ret[static XET_HASH_HEX + 1]);
MUST_USE int xet_hash_parse(const char *text, uint8_t ret[static XET_HASH]);

/* Of the bytes of a chunk. */
void xet_hash_chunk(const void *data, size_t len, uint8_t ret[static XET_HASH]);
/* Of chunks that follow each other, by their hashes in a row: proves that who has it had those. */
void xet_hash_range(const uint8_t *hashes, size_t count, uint8_t ret[static XET_HASH]);

/* True of one chunk in a thousand: of those a client asks whether they are here. */
bool xet_hash_is_asked(const uint8_t chunk[static XET_HASH]);

/* A node, and how many bytes are below it. */
struct xet_node {
	uint8_t hash[XET_HASH];
	uint64_t bytes;
};

#define XET_GROUP_MAX 9 /* children of a node */
#define XET_LEVELS 40   /* each has at most a third of the nodes below it */

/* A tree that is made of chunks as they come. Zeroed it is empty. */
struct xet_tree {
	struct xet_level {
		struct xet_node open[XET_GROUP_MAX]; /* that have no parent yet */
		unsigned count;                      /* of them */
		uint64_t all;                        /* nodes that came */
	} levels[XET_LEVELS];
	uint64_t bytes;
};

/* The next chunk. */
void xet_tree_add(struct xet_tree *t, const uint8_t hash[static XET_HASH], uint64_t bytes);
/* Ends it: its root, which is the name of a xorb of these chunks. Zeros without any. */
void xet_tree_xorb(struct xet_tree *t, uint8_t ret[static XET_HASH]);
/* The same of a file. */
void xet_tree_file(struct xet_tree *t, uint8_t ret[static XET_HASH]);

#endif
