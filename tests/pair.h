/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes that are each other's peers, before a scripted hub: what tests of the core need that
 * are about what peers do for each other. Both know org/model, whose main is PAIR_COMMIT: big.bin
 * of two segments, small.txt. For tests only: whatever fails in it ends the test. */
#ifndef MATRIXFS_TESTS_PAIR_H
#define MATRIXFS_TESTS_PAIR_H

#include <limits.h>

#include "daemon/base/jdoc.h"
#include "daemon/keeper.h"
#include "daemon/peer/peers.h"
#include "daemon/warmup.h"
#include "tests/fake_origin.h"
#include "tests/fake_source.h"
#include "tests/workdir.h"

#define PAIR 2
#define PAIR_DEAF 4
#define PAIR_COMMIT "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define PAIR_BIG_SIZE (SEGMENT_BYTES + 777)
#define PAIR_SMALL_SIZE 20000
#define PAIR_SIZE (PAIR_BIG_SIZE + PAIR_SMALL_SIZE)

struct pair {
	struct fake_origin *origin;
	struct source_blob big, small;
	char *big_bytes, *small_bytes;
	struct repo_id id;
	struct node_hub hub;
	struct workdir dir[PAIR];
	char address[PAIR][32], list[96 + 32 * PAIR_DEAF], key_file[PATH_MAX];
	int deaf[PAIR_DEAF]; /* sockets; 0: none */
	struct peer_settings settings[PAIR];
	struct node *node[PAIR];
	struct keeper *keeper[PAIR];
	struct warmups *warmups[PAIR];
};

/* cmocka fixtures: *state is a struct pair. One of which the second node never starts; one of a
 * node that has no peers; and one with members more who take connections and never answer. */
int pair_setup(void **state);
int pair_setup_half(void **state);
int pair_setup_alone(void **state);
int pair_setup_deaf(void **state);
int pair_teardown(void **state);

/* How that job of a node ended. */
struct job_progress pair_await(struct pair *p, int node, uint64_t id);
/* A node fetches all of it. */
void pair_pull(struct pair *p, int node);
/* What a node has of a blob, in bytes. */
uint64_t pair_has(struct pair *p, int node, const struct source_blob *blob);

#endif
