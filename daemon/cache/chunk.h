/* SPDX-License-Identifier: Apache-2.0 */
/* Geometry of a blob: its file is cut into chunks of 1 MiB (the last may be shorter), and a chunk
 * is the unit of presence on disk. Pure functions; offsets and sizes are bytes. */
#ifndef MATRIXFS_CHUNK_H
#define MATRIXFS_CHUNK_H

#include <stdint.h>

#define CHUNK_BYTES (UINT64_C(1) << 20)

/* Number of chunks of a file; 0 for an empty one. */
uint32_t chunk_count(uint64_t size);
/* The chunk that holds the byte at off. */
uint32_t chunk_of(uint64_t off);
/* First byte of chunk i, and one past its last in a file of that size. */
uint64_t chunk_start(uint32_t i);
uint64_t chunk_end(uint32_t i, uint64_t size);
/* off rounded down, and up (at most size), to a chunk's border. */
uint64_t chunk_floor(uint64_t off);
uint64_t chunk_ceil(uint64_t off, uint64_t size);

#endif
