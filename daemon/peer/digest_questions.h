/* SPDX-License-Identifier: Apache-2.0 */
/* A member, or this node itself, is asked for the digests of a segment. Threads: one for each. */
#ifndef MATRIXFS_DIGEST_QUESTIONS_H
#define MATRIXFS_DIGEST_QUESTIONS_H

#include "daemon/peer/digest_answers.h"
#include "daemon/peer/peer_counts.h"
#include "daemon/peer/peer_get.h"

/* Who asks, and of which blob; all borrowed. */
struct digest_questions {
	const struct asker *asker;
	const struct membership *members;
	const struct source_blob *what;
	struct digest_answers *answers; /* of this node */
	struct httpc_cancel *cancel;
	struct peer_counts *counts;
};

/* As what one is asked: what it has from a hub or has verified, what it holds and never held
 * otherwise. */
enum digest_questions_as { AS_OWNER, AS_HOLDER };

/* Asks a member once. 0: it has told; -EAGAIN: it will, or it has no connection free; else it has
 * nothing to say, or ERR_CANCELED. Blocking. */
MUST_USE int digest_questions_ask(const struct digest_questions *q, uint32_t member,
				  uint32_t segment, enum digest_questions_as as,
				  struct wire_digests *ret);
/* The same of what a hub gives it now, in these chunks of the segment: bit i is its chunk i. */
MUST_USE int digest_questions_ask_witness(const struct digest_questions *q, uint32_t member,
					  uint32_t segment, uint32_t chunks,
					  struct wire_digests *ret);
/* Asks who gave a wrong chunk, with that digest. True if it was its own doing: it holds other bytes
 * than it gave, and says that it never held those; or it vouches for them: it claims to have them
 * from a hub, or to have verified them; or it vouches for others, and holds those all the same: its
 * disk may be broken. Whoever else gave it may have passed on what it was given,
 * whoever it is: it cannot compare what no list is known of to it. Blocking, for 11 s at most. */
MUST_USE bool digest_questions_is_to_blame(const struct digest_questions *q, uint32_t member,
					   uint32_t chunk,
					   const uint8_t gave[static CHUNK_LIST_DIGEST]);

/* What members answered as holders of one segment, each of all of it. Zeroed memory is nobody's
 * answer. */
struct digest_questions_held {
	struct digest_questions_holder {
		uint64_t member;       /* key of its address */
		int64_t until_ms;      /* so long it may be finding out */
		bool over;             /* it need not be asked again */
		struct wire_digests d; /* all zero: it has nothing to say */
	} * of;                        /* owned */
	unsigned count;
};

/* Nothing is said of any chunk. */
extern const struct wire_digests digest_questions_nothing;

/* Asks it once as a holder, unless its answer is there already: what it says, which is *held's.
 * NULL: it is finding out, and has been for less than 3 s: ask again later. Blocking. */
const struct wire_digests *digest_questions_ask_holder(const struct digest_questions *q,
						       uint32_t member, uint32_t segment,
						       struct digest_questions_held *held);
void digest_questions_forget_held(struct digest_questions_held *held);

#endif
