/* SPDX-License-Identifier: Apache-2.0 */
/* A commit whose files a source keeps in memory, and what it takes to fetch them: for tests of what
 * is brought by itself. The source counts what it gives of each file, and can be held.
 *
 *   config.json, README.md, model.safetensors.index.json    small
 *   tokenizer.json                                          2 MiB
 *   pytorch_model.bin                                       5 MiB
 *   one.safetensors, bad.safetensors                        5 MiB; 3 MiB that are none
 *   q.gguf                                                  7 MiB, the first 3 are vocabulary
 *   model-0000N-of-00007.safetensors                        HELD_SHARD_MIB MiB and N bytes
 *   data/1.json ... data/300.json                           N + 10 bytes
 *
 * Threads: any, but for setup and teardown. */
#ifndef MATRIXFS_HELD_COMMIT_H
#define MATRIXFS_HELD_COMMIT_H

#include <stdbool.h>

#include "daemon/cache/catalog.h"
#include "daemon/fetch/fetch.h"
#include "daemon/names/known.h"
#include "tests/workdir.h"

#define HELD_SMALL_FILES 300
#define HELD_SHARD_MIB 6
#define HELD_SHARD(n) "model-0000" #n "-of-00007.safetensors"

struct held_commit {
	struct workdir dir;
	struct source source;
	struct source *sources[1];
	struct lock lock;
	/* Guarded by lock. */
	bool held;        /* the source gives nothing */
	unsigned running; /* requests */
	struct httpc *http;
	struct store *store;
	struct catalog *catalog;
	struct known *known;
	struct snapshot *snapshot;
	struct fetch *fetch;
};

/* cmocka fixtures of a group: make and free the files, whose digests take a while. */
int held_commit_make_files(void **state);
int held_commit_free_files(void **state);

/* A cache that holds nothing yet, and a fetch. */
void held_commit_init(struct held_commit *c);
/* Stops the fetch; all files must have been closed. */
void held_commit_fini(struct held_commit *c);
/* The source waits, or goes on. */
void held_commit_hold(struct held_commit *c, bool held);
/* The node of a path in the commit's manifest; a handle of it. */
uint32_t held_commit_node(struct held_commit *c, const char *path);
struct pull *held_commit_open(struct held_commit *c, const char *path);
/* Bytes of a file that the source gave and the cache took; of all. */
uint64_t held_commit_given(struct held_commit *c, const char *path);
uint64_t held_commit_given_in_all(struct held_commit *c);
/* True once it gave exactly so many / the file is sealed; false if that takes too long. */
bool held_commit_await_given(struct held_commit *c, const char *path, uint64_t bytes);
bool held_commit_await_sealed(struct held_commit *c, const char *path);
/* Waits until no request runs: bytes are in the cache a moment before they count as given. */
bool held_commit_await_idle(struct held_commit *c);
/* Waits until no request runs and nothing more is given for a while; true. */
bool held_commit_is_quiet(struct held_commit *c);

#endif
