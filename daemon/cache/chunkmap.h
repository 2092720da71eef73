/* SPDX-License-Identifier: Apache-2.0 */
/* The chunk map of an incomplete blob: a file beside it that holds the XXH3 of each chunk that
 * is there. Version 1, little-endian: 8 bytes magic, u32 chunk size, u32 zero, u64 size of the
 * blob, then one u64 a chunk: XXH3-64 of its bytes, or 0 while it is absent. Threads: one
 * writer an entry. */
#ifndef MATRIXFS_CHUNKMAP_H
#define MATRIXFS_CHUNKMAP_H

#include <stdint.h>

#include "daemon/base/own.h"

/* Makes the file behind fd an empty map for a blob of that size. */
MUST_USE int chunkmap_make(int fd, uint64_t size);
/* Reads all entries into ret (chunk_count(size) of them). ERR_CORRUPT if it is no map of such a
 * blob. */
MUST_USE int chunkmap_load(int fd, uint64_t size, uint64_t *ret);
/* Writes the entry of chunk i. */
MUST_USE int chunkmap_put(int fd, uint32_t i, uint64_t sum);
/* Bytes of the chunks with an entry; 0 if it is no map of such a blob. */
uint64_t chunkmap_present(int fd, uint64_t size);

#endif
