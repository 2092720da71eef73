/* SPDX-License-Identifier: Apache-2.0 */
/* What a node needs to say, and to find out, which bytes are right: a cache, a hub, and what is
 * remembered of who gave what. A call that fails fails the test. */
#ifndef MATRIXFS_TESTS_CELL_H
#define MATRIXFS_TESTS_CELL_H

#include "daemon/peer/digest_answers.h"
#include "tests/fetching.h"

struct cell {
	struct fetching node; /* its hub is asked by witnesses alone */
	struct opened *opened;
	struct provenance *provenance;
	struct digest_answers *answers;
};

void cell_init(struct cell *c, uint64_t seed);
void cell_fini(struct cell *c);
/* Chunk i of a blob is here, with the bytes of that seed, as this member gave it, or (NULL) a
 * hub. */
void cell_put(struct cell *c, const struct source_blob *what, uint32_t i, uint64_t seed,
	      const char *member);
/* The SHA-256 of chunk i of a file of that seed and size. */
void cell_digest(uint64_t seed, uint64_t size, uint32_t i, uint8_t ret[static 32]);

#endif
