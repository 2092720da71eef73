/* SPDX-License-Identifier: Apache-2.0 */
/* A node among four members that are asked for digests, and a file of one segment, of which one of
 * them is the owner and two may be witnesses; the fourth gives it. */
#ifndef MATRIXFS_TESTS_COURT_H
#define MATRIXFS_TESTS_COURT_H

#include "daemon/cache/chunk.h"
#include "daemon/peer/inquiry.h"
#include "tests/cell.h"
#include "tests/fake_member.h"

#define COURT_CHUNKS 3
#define COURT_SIZE (COURT_CHUNKS * CHUNK_BYTES)
#define COURT_WRONG 1   /* the chunk that may be */
#define COURT_OTHER 999 /* seed of wrong bytes */
#define COURT_MEMBERS 4

struct court {
	struct cell cell;
	struct source_blob what;
	uint64_t seed;
	struct cluster_key *key;
	struct httpc *http;
	struct members *members;
	struct places places;
	struct segment_notes notes;
	struct published *published;
	struct peer_counts counts;
	struct asker asker;
	struct trial_conf conf;
	struct fake_member fakes[COURT_MEMBERS];
	/* By their places for the segment. */
	struct fake_member *owner, *witness, *second, *giver;
	struct wire_digests told;
	enum inquiry_time time; /* INQUIRY_LAST at first */
};

/* For cmocka. */
int court_set_up(void **state);
int court_tear_down(void **state);
/* Of all chunks it says so, with the bytes of that seed in chunk COURT_WRONG. */
void court_say(struct court *c, struct fake_member *m, enum fake_role role, uint64_t seed);
/* The giver gave all of it, with such bytes. */
void court_bring(struct court *c, uint64_t seed);
bool court_is_in_state(struct court *c, const struct fake_member *m, const char *state);
/* That is how a request to it has ended, now. */
void court_note(struct court *c, const struct fake_member *m, enum member_outcome outcome);
/* Nobody but this one (or NULL) is banned. */
void court_assert_banned(struct court *c, const struct fake_member *m);

#endif
