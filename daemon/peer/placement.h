/* SPDX-License-Identifier: Apache-2.0 */
/* Who is to bring which segment of a blob: every node computes the same from the list of members,
 * and nobody has to be asked. Weighted rendezvous hashing (Thaler and Ravishankar, 1998): a node of
 * weight w takes part with w hashes; of the nodes with the highest hashes the first is the owner,
 * unless it has its share of this blob already (bounded loads: Mirrokni, Thorup and Zadimoghaddam,
 * 2016), the next ones take its place while it does not answer. A change of members moves what it
 * must, and the few segments that had moved on because somebody had his share.
 *
 * Pure: no clock, no network. The same numbers on every machine, whatever its byte order and
 * libraries. Threads: any, as nothing changes once it is made. */
#ifndef MATRIXFS_PLACEMENT_H
#define MATRIXFS_PLACEMENT_H

#include <stdint.h>

#include "daemon/base/own.h"

#define SEGMENT_BYTES (UINT64_C(16) << 20) /* a multiple of a chunk and of a run */
#define PLACEMENT_OWNERS 3                 /* the owner of a segment, and who follows it */
#define PLACEMENT_WEIGHT_MAX 100

/* One segment of one blob. */
struct segment {
	uint64_t blob; /* placement_key() of its etag */
	uint32_t index;
};

/* Segments of a file (0 for an empty one), the one that holds the byte at off, its first byte, and
 * one past its last in a file of that size. */
uint32_t segment_count(uint64_t size);
uint32_t segment_of(uint64_t off);
uint64_t segment_start(uint32_t segment);
uint64_t segment_end(uint32_t segment, uint64_t size);

struct placement_node {
	uint64_t key;    /* placement_key() of its address */
	uint32_t weight; /* 1 ... PLACEMENT_WEIGHT_MAX: how many times as much as others it takes */
};

/* A number for a node's address, or a blob's etag. */
uint64_t placement_key(const char *text);
/* The index of the node of that key; -ENOENT. */
MUST_USE int placement_find(const struct placement_node *nodes, uint32_t count, uint64_t key);
/* How well a node and a segment go together: the higher the better. */
uint64_t placement_score(const struct placement_node *node, struct segment segment);

struct placement;

/* Places all `segments` of a blob (its placement_key). The order of the nodes does not matter; none
 * is there twice; not kept. Shares are of this blob: nothing evens out what a node owns of many.
 * Takes a few ns for each segment and unit of weight: 0.5 ms for 5 GiB on 1000 nodes. -ENOMEM. */
MUST_USE int placement_new(const struct placement_node *nodes, uint32_t count, uint64_t blob,
			   uint32_t segments, struct placement **ret);
void placement_free(struct placement *p);
/* Who owns a segment, then who follows: indexes into nodes, each once. How many: PLACEMENT_OWNERS,
 * or all nodes if there are fewer. */
unsigned placement_owners(const struct placement *p, uint32_t segment,
			  uint32_t ret[static PLACEMENT_OWNERS]);

#endif
