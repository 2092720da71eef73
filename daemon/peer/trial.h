/* SPDX-License-Identifier: Apache-2.0 */
/* A blob, or a segment of it, of which something may be wrong: what its chunks are here, what
 * owners vouch for, and what they are found to be. A chunk that is otherwise is dropped, and who
 * gave it sentenced: banned if it was its own doing. Who is heard of that, and believed, is said
 * elsewhere. Threads: one for each trial. */
#ifndef MATRIXFS_TRIAL_H
#define MATRIXFS_TRIAL_H

#include "daemon/fetch/inquest.h"
#include "daemon/peer/evidence.h"
#include "daemon/peer/interview.h"
#include "daemon/peer/peer_counts.h"
#include "daemon/peer/places.h"
#include "daemon/peer/published.h"
#include "daemon/peer/segment_notes.h"
#include "daemon/peer/suspects.h"

#define TRIAL_OWNERS UINT32_MAX /* of each segment vouches its owner */

struct trial_conf {
	struct members *members; /* borrowed, like all below */
	struct places *places;
	struct segment_notes *notes;
	struct evidence *evidence;
	struct published *published;
	struct testimony *testimony; /* of this node */
	const struct asker *asker;
	struct peer_counts *counts;
	int64_t give_up_ms; /* who says nothing for so long has nothing to say */
};

struct trial {
	const struct trial_conf *conf;
	const struct doubt *doubt;
	const struct membership *members;
	struct interviewer by;
	uint64_t blob;    /* its key */
	uint32_t voucher; /* TRIAL_OWNERS, unless the caller names one whose word vouched is */
	/* As it is here, as owners vouch for it, and what is found to be right. */
	struct chunk_list *have, *vouched, *must;
	unsigned gone; /* of a segment: bit i: its chunk i was dropped */
	bool refuted;  /* a chunk is not as was vouched */
	uint32_t dropped;
	struct suspects suspects;
};

/* Both are borrowed until trial_end. -ENOMEM; -ENODATA: a blob of one chunk was compared when it
 * came. */
MUST_USE int trial_begin(struct trial *t, const struct trial_conf *conf, const struct doubt *d);
/* Sentences who is accused, and remembers what was found out, of a blob that is not sealed. */
void trial_conclude(struct trial *t);
void trial_end(struct trial *t);

/* How many chunks a segment has, and its first. */
uint32_t trial_chunks(const struct trial *t, uint32_t segment, uint32_t *ret_first);
/* The digest of a chunk as it is here, worked out once; NULL: it is not here, or cannot be read. */
const uint8_t *trial_have(struct trial *t, uint32_t i);
/* False of what hubs gave to this node: that is not in question. */
bool trial_is_hearsay(const struct trial *t, uint32_t i);
/* True if this member gave it. */
bool trial_has_given(const struct trial *t, uint32_t i, const char *address);
/* True if what it must be is found out. */
bool trial_is_settled(const struct trial *t, uint32_t i);
/* True if it is hearsay, not settled, here as it came, and has another digest than this; not if
 * that is not known. */
bool trial_differs(struct trial *t, uint32_t i, const uint8_t told[static CHUNK_LIST_DIGEST]);

/* What a chunk must be; it goes if it is here and is not, and who gave it is accused. */
void trial_settle(struct trial *t, uint32_t i, const uint8_t must[static CHUNK_LIST_DIGEST]);
/* The same of what this node knows of these chunks at least as well as that. */
void trial_heed(struct trial *t, uint32_t from, uint32_t to, enum evidence_word word);
/* A chunk that may be wrong goes; who gave it is accused if it contradicts itself so. */
void trial_drop(struct trial *t, uint32_t i, bool accused);
/* A witness has said what is not so. */
void trial_accuse_witness(struct trial *t, uint32_t i, const char *address);

#endif
