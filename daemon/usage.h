/* SPDX-License-Identifier: Apache-2.0 */
/* How many bytes the cache takes, as the disk counts them. Threads: any. */
#ifndef MATRIXFS_USAGE_H
#define MATRIXFS_USAGE_H

#include <stdatomic.h>
#include <stdint.h>

struct usage {
	atomic_ullong bytes;
};

/* len rounded up to the blocks of a file system. */
uint64_t usage_blocks(uint64_t len);
uint64_t usage_bytes(const struct usage *u);
/* Keep the count up. The disk may give back more than was counted: it never falls below zero. */
void usage_add(struct usage *u, uint64_t bytes);
void usage_sub(struct usage *u, uint64_t bytes);

#endif
