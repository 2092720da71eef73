/* SPDX-License-Identifier: Apache-2.0 */
/* A node among four members that are asked for digests, and a file of one segment, of which one of
 * them is the owner and two may be witnesses; the fourth gives it. */
#ifndef MATRIXFS_TESTS_VERIFYING_H
#define MATRIXFS_TESTS_VERIFYING_H

#include "daemon/cache/chunk.h"
#include "daemon/peer/verify_givers.h"
#include "daemon/peer/verify_lists.h"
#include "daemon/peer/verify_queue.h"
#include "tests/cell.h"
#include "tests/fake_member.h"

#define VERIFYING_CHUNKS 3
#define VERIFYING_SIZE (VERIFYING_CHUNKS * CHUNK_BYTES)
#define VERIFYING_WRONG 1   /* the chunk that may be */
#define VERIFYING_OTHER 999 /* seed of wrong bytes */
#define VERIFYING_MEMBERS 4

struct verifying {
	struct cell cell;
	struct source_blob what;
	uint64_t seed;
	struct cluster_key *key;
	struct httpc *http;
	struct members *members;
	struct placement_cache placement;
	struct segment_notes notes;
	struct digest_lists *lists;
	struct peer_counts counts;
	struct asker asker;
	struct verify_conf conf;
	struct fake_member fakes[VERIFYING_MEMBERS];
	/* By their places for the segment. */
	struct fake_member *owner, *witness, *second, *giver;
	struct wire_digests told;
	enum verify_time time; /* VERIFY_LAST at first */
	/* Not started. */
	struct verify_queue *queue;
	struct verify_givers *givers;
	struct verify_lists *list_checks;
	struct blob *open; /* somebody has it open; NULL at first */
};

/* For cmocka. */
int verifying_set_up(void **state);
int verifying_tear_down(void **state);
/* Of all chunks it says so, with the bytes of that seed in chunk VERIFYING_WRONG. */
void verifying_say(struct verifying *v, struct fake_member *m, enum fake_role role, uint64_t seed);
/* The giver gave all of it, with such bytes. */
void verifying_bring(struct verifying *v, uint64_t seed);
bool verifying_is_in_state(struct verifying *v, const struct fake_member *m, const char *state);
/* That is how a request to it has ended, now. */
void verifying_note(struct verifying *v, const struct fake_member *m, enum member_outcome outcome);
/* Nobody but this one (or NULL) is banned. */
void verifying_assert_banned(struct verifying *v, const struct fake_member *m);

#endif
