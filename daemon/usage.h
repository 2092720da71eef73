/* SPDX-License-Identifier: Apache-2.0 */
/* How many bytes the cache takes, as the disk counts them. Threads: any. */
#ifndef MATRIXFS_USAGE_H
#define MATRIXFS_USAGE_H

#include <stdatomic.h>
#include <stdint.h>

struct usage {
	atomic_ullong bytes;
	/* Set by usage_watch, before others look. */
	uint64_t above;
	void (*fn)(void *arg);
	void *arg;
};

/* len rounded up to the blocks of a file system. */
uint64_t usage_blocks(uint64_t len);
uint64_t usage_bytes(const struct usage *u);
/* Keep the count up. The disk may give back more than was counted: it never falls below zero. */
void usage_add(struct usage *u, uint64_t bytes);
void usage_sub(struct usage *u, uint64_t bytes);

/* Calls fn, from any thread, whenever bytes are added and there are more than `above`. Set once,
 * before anything is added by another thread. */
void usage_watch(struct usage *u, uint64_t above, void (*fn)(void *arg), void *arg);

#endif
