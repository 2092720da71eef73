/* SPDX-License-Identifier: Apache-2.0 */
/* A node on a cache that already knows some repositories, and a view of it: what tests of the shown
 * tree need. Offline it never asks; online it asks a scripted hub, which at first says 404 to
 * all.
 *
 *   models/org/model      main, v1.0: MAIN    feature/x, feature/y/z, refs/pr/1: OTHER
 *   models/old/model      renamed to models/org/model, as is models/Org/Model
 *   models/org/bare       seen, but none of its refs or commits
 *   models/gpt2           main: GPT2
 *   models/mirror/model   main: MAIN, the same commit in another repository
 *   datasets/org/data     main: DATA (README.md is org/model's)    refs/convert/parquet: PARQUET
 *   spaces/org/space      main: SPACE
 *
 * What is in the commits stands in seeded_node.c. */
#ifndef MATRIXFS_SEEDED_NODE_H
#define MATRIXFS_SEEDED_NODE_H

#include "fs/view.h"
#include "tests/fake_origin.h"
#include "tests/workdir.h"

/* One digit as often as an etag or commit has digits. */
#define TEN(d) d d d d d d d d d d
#define HEX40(d) TEN(d) TEN(d) TEN(d) TEN(d)
#define HEX64(d) HEX40(d) TEN(d) TEN(d) d d d d

#define COMMIT_MAIN HEX40("1")
#define COMMIT_OTHER HEX40("2")
#define COMMIT_GPT2 HEX40("3")
#define COMMIT_DATA HEX40("4")
#define COMMIT_PARQUET HEX40("5")
#define COMMIT_SPACE HEX40("6")
#define COMMIT_NONE HEX40("0") /* of no repository */

#define ETAG_README HEX40("b")  /* 10 bytes; in org/model and org/data */
#define ETAG_CONFIG HEX40("c")  /* 20 bytes; COMMIT_MAIN only */
#define ETAG_SHARD_1 HEX64("d") /* SEEDED_SHARD_BYTES */
#define ETAG_DEEP HEX64("7")    /* onnx/quant/int8/model.onnx, 700 bytes */
#define ETAG_NONE HEX64("0")    /* of no file */

#define SEEDED_SHARD_BYTES 5000000
#define SEEDED_DATE_S 1700000000 /* of each commit */
#define SEEDED_UID 11
#define SEEDED_GID 12

struct seeded_node {
	struct workdir dir;
	struct fake_origin *origin; /* NULL: offline */
	struct node *node;
	struct scratch *scratch;
	struct view view;
};

/* cmocka fixtures: *state is a struct seeded_node. */
int seeded_node_setup(void **state);
int seeded_node_setup_online(void **state);
int seeded_node_teardown(void **state);
/* Stops the node, so that the cache can be changed / starts one on it, with an empty scratch. */
void seeded_node_stop(struct seeded_node *s);
void seeded_node_start(struct seeded_node *s);
/* Both. */
void seeded_node_restart(struct seeded_node *s);

/* view_lookup, waiting where it parks. */
MUST_USE int seeded_node_lookup(struct seeded_node *s, const struct place *dir, const char *name,
				struct place *ret, int64_t *ret_ttl_ms);
/* The place of a path without leading '/', looked up from the root; "" is the root. Of a failure,
 * the time-to-live is of the name that failed. */
MUST_USE int seeded_node_walk(struct seeded_node *s, const char *path, struct place *ret,
			      int64_t *ret_ttl_ms);
/* The same for a path that must be there. */
struct place seeded_node_place(struct seeded_node *s, const char *path);
/* Writes an empty file, or makes a directory, as a client would. */
void seeded_node_write(struct seeded_node *s, const char *dir, const char *name, mode_t mode);
/* An organisation's place of this number and kind collides with that of all others made here:
 * XXH3 ignores the bytes that `tail` (8 characters) gives. */
struct place seeded_node_collider(const char *tail);

#endif
