/* SPDX-License-Identifier: Apache-2.0 */
/* A blob, or a segment of it, of which something may be wrong: what its chunks are here, what
 * owners vouch for, and what they are found to be. A chunk that is otherwise is dropped, and who
 * gave it is banned if it was its own doing. Who is asked, and believed, is said in verify_blob.h.
 * Threads: one for each. */
#ifndef MATRIXFS_VERIFY_H
#define MATRIXFS_VERIFY_H

#include "daemon/fetch/verifier.h"
#include "daemon/peer/blame.h"
#include "daemon/peer/digest_lists.h"
#include "daemon/peer/digest_questions.h"
#include "daemon/peer/peer_counts.h"
#include "daemon/peer/placement_cache.h"
#include "daemon/peer/provenance.h"
#include "daemon/peer/segment_notes.h"
#include "daemon/peer/source_peer.h"

#define VERIFY_OWNERS UINT32_MAX /* of each segment vouches its owner */

struct verify_conf {
	struct members *members; /* borrowed, like all below */
	struct placement_cache *placement;
	struct segment_notes *notes;
	struct provenance *provenance;
	struct digest_lists *lists;
	struct digest_answers *answers; /* of this node */
	const struct asker *asker;
	struct peer_counts *counts;
	int64_t give_up_ms; /* who says nothing for so long has nothing to say */
	/* Of a segment that is compared before the blob is whole: asks a giver, on another thread,
	 * whether a wrong chunk was its own doing. Does not wait. NULL: it is asked at once. */
	void (*suspect)(void *arg, const struct source_refused *r);
	void *arg;
};

struct verify {
	const struct verify_conf *conf;
	const struct doubt *doubt;
	const struct membership *members;
	struct digest_questions by;
	uint64_t blob;    /* its key */
	uint32_t voucher; /* VERIFY_OWNERS, unless the caller names one whose word vouched is */
	uint32_t first, count; /* its chunks that are verified: */
	/* as they are here, as owners vouch for them, and what is found to be right. */
	uint8_t (*have)[CHUNK_LIST_DIGEST], (*vouched)[CHUNK_LIST_DIGEST];
	uint8_t (*must)[CHUNK_LIST_DIGEST];
	unsigned gone; /* of a segment: bit i: its chunk i was dropped */
	bool refuted;  /* a chunk is not as was vouched */
	uint32_t dropped;
	struct blame blame;
};

/* The segments [from, to) of a blob, one at least. Both are borrowed until verify_end. -ENOMEM;
 * -ENODATA: a blob of one chunk was compared when it came. */
MUST_USE int verify_begin(struct verify *v, const struct verify_conf *conf, const struct doubt *d,
			  uint32_t from, uint32_t to);
/* Bans who is to blame, and remembers what was found out, of a blob that is not sealed. */
void verify_conclude(struct verify *v);
void verify_end(struct verify *v);

/* That of chunk i of the blob, in one of these three. */
static inline uint8_t *verify_digest(const struct verify *v, uint8_t (*of)[CHUNK_LIST_DIGEST],
				     uint32_t i)
{
	return of[i - v->first];
}

/* How many chunks a segment has, and its first. */
uint32_t verify_chunks(const struct verify *v, uint32_t segment, uint32_t *ret_first);
/* The digest of a chunk as it is here, worked out once; NULL: it is not here, or cannot be read. */
const uint8_t *verify_have(struct verify *v, uint32_t i);
/* False of what hubs gave to this node: that is not in question. */
bool verify_is_hearsay(const struct verify *v, uint32_t i);
/* True if this member gave it. */
bool verify_has_given(const struct verify *v, uint32_t i, const char *address);
/* True if what it must be is found out. */
bool verify_is_settled(const struct verify *v, uint32_t i);
/* True if it is hearsay, not settled, here as it came, and has another digest than this; not if
 * that is not known. */
bool verify_differs(struct verify *v, uint32_t i, const uint8_t told[static CHUNK_LIST_DIGEST]);

/* What a chunk must be; it goes if it is here and is not, and who gave it is blamed. */
void verify_settle(struct verify *v, uint32_t i, const uint8_t must[static CHUNK_LIST_DIGEST]);
/* The same of what this node knows of these chunks at least as well as that. */
void verify_apply(struct verify *v, uint32_t from, uint32_t to, enum provenance_trust trust);
/* A chunk that may be wrong goes; who gave it is blamed if it contradicts itself so. */
void verify_drop(struct verify *v, uint32_t i, bool blamed);
/* A witness has said what is not so. */
void verify_blame_witness(struct verify *v, uint32_t i, const char *address);

#endif
