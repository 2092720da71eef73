/* SPDX-License-Identifier: Apache-2.0 */
/* How many bytes the cache takes, as the disk counts them, and how many it may take. Threads:
 * any. */
#ifndef MATRIXFS_USAGE_H
#define MATRIXFS_USAGE_H

#include <stdatomic.h>
#include <stdint.h>

#include "daemon/base/own.h"

/* What the cache may take. */
struct cache_limits {
	uint64_t max_bytes;      /* 0: no limit */
	uint64_t min_free_bytes; /* stay free on its file system */
};

struct usage {
	atomic_ullong bytes;
	atomic_ullong coming; /* of them, those that are being written */
	atomic_ullong most, min_free, above;
	/* Set by the first usage_limit and by usage_watch, before others look. */
	int fd;
	void (*fn)(void *arg);
	void *arg;
};

/* len rounded up to the blocks of a file system. */
uint64_t usage_blocks(uint64_t len);
uint64_t usage_bytes(const struct usage *u);
/* Counts bytes that are about to be written; ERR_FULL, and nothing is counted, if the limits forbid
 * them. */
MUST_USE int usage_take(struct usage *u, uint64_t bytes);
/* The same, but only the bytes that are to stay free are a limit. */
MUST_USE int usage_take_beyond(struct usage *u, uint64_t bytes);
/* They have been written, or are not going to be: usage_sub() follows then. */
void usage_took(struct usage *u, uint64_t bytes);
/* Counts bytes that are there already, whatever the limits. */
void usage_add(struct usage *u, uint64_t bytes);
/* The disk may give back more than was counted: the count never falls below zero. */
void usage_sub(struct usage *u, uint64_t bytes);

/* The limits: no more than `most` bytes are to be taken (0: no limit), and so many are to stay free
 * on the file system of fd, which is borrowed. What is taken already stays, whatever they are. */
void usage_limit(struct usage *u, uint64_t most, int fd, uint64_t min_free);
/* Bytes that may be taken at most, by the limits and by what the disk has left for us. */
uint64_t usage_capacity(const struct usage *u);
/* Calls fn, from any thread, whenever bytes are taken, or refused, and there are more than `above`
 * with them. fn is set once, before anything is taken by another thread; usage_watch_above sets
 * `above` anew. */
void usage_watch(struct usage *u, uint64_t above, void (*fn)(void *arg), void *arg);
void usage_watch_above(struct usage *u, uint64_t above);

#endif
