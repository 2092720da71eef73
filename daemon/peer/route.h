/* SPDX-License-Identifier: Apache-2.0 */
/* In which order a node asks others for the bytes of one segment:
 *
 *   - who gave it bytes of that segment last;
 *   - the owner of the segment, and whom that names;
 *   - the owner again, which is told who of them failed;
 *   - those that follow the owner, one after another, then those it would belong to without them;
 *   - when this node itself is next, or nobody is left: the source.
 *
 * Pure: what was answered goes in, whom to ask next comes out. Threads: one per route. */
#ifndef MATRIXFS_ROUTE_H
#define MATRIXFS_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/peer/members.h"
#include "daemon/peer/placement.h"
#include "daemon/peer/wire.h"

#define ROUTE_NOBODY UINT32_MAX
#define ROUTE_OTHERS_MAX WIRE_OTHERS_MAX
#define ROUTE_REACH 16 /* owners and those who follow them, by their score: no more are asked */

/* X(answer, word): what came of asking a member, and the word for it in logs. */
#define ROUTE_ANSWERS(X) \
	X(GAVE, "gave")           /* bytes; there may be more to ask for */ \
	X(COMING, "coming")       /* it will have them; nothing yet */ \
	X(ELSEWHERE, "elsewhere") /* others are named */ \
	X(BUSY, "busy")           /* something hinders it, or it gives as much as it may */ \
	X(CROWDED, "crowded")     /* it has no connection free, as somebody says */ \
	X(NOT_HERE, "not-here")   /* it has not got them, or keeps nothing more */ \
	X(MISPLACED, "misplaced") /* it could not have them at the origin that was named */ \
	X(FAILED, "failed")       /* it could not have them from upstream */ \
	X(NONSENSE, "nonsense")   /* it has signed an answer that makes no sense */ \
	X(SCANT, "scant")         /* bytes, but less than a chunk, which are of no use */ \
	X(SILENT, "silent")       /* no answer, or one that broke off */ \
	X(REFUSED, "refused")     /* it does not take our key, or has another */ \
	X(LIED, "lied")           /* bytes that are not those of the blob */ \
	X(MISLED, "misled")       /* likewise, but it may have passed on what it was given */ \
	X(SLOW, "slow")           /* bytes, or hope, but too slowly for who waits */ \
	X(LEFT, "left")           /* this node broke it off: not its fault */

enum route_answer {
#define ROUTE_ANSWER(answer, word) ROUTE_##answer,
	ROUTE_ANSWERS(ROUTE_ANSWER)
#undef ROUTE_ANSWER
		ROUTE_ANSWER_COUNT
};
/* The word for it. */
const char *route_answer_name(enum route_answer answer);

enum route_kind { ROUTE_ASK, ROUTE_REST, ROUTE_SOURCE };

struct route_step {
	enum route_kind kind;
	uint32_t member; /* to be asked: index in the membership */
	int64_t rest_ms; /* to wait before the next step */
};

/* What is asked for, and what placement_owners says of it. */
struct route_target {
	struct segment segment;
	uint32_t owners[PLACEMENT_OWNERS];
	unsigned owner_count;
};

/* Members are indexes in a membership that stays the same. */
struct route {
	const struct membership *members; /* borrowed */
	struct route_target target;
	unsigned turn;  /* how many of the owners and their followers are over */
	uint32_t owner; /* the one whose turn it is; ROUTE_NOBODY: it is not chosen yet */
	uint64_t below; /* the score of the last follower: the next has a lower one */
	uint32_t asked; /* who was asked last, and goes on giving; or ROUTE_NOBODY */
	uint32_t others[ROUTE_OTHERS_MAX];
	unsigned other_count;
	uint32_t failed[ROUTE_OTHERS_MAX]; /* told the owner when it is asked again */
	unsigned failed_count;
	bool named;         /* who is asked was named by a member */
	unsigned hops;      /* how often others were named in a row */
	unsigned again;     /* how often this owner was asked again */
	unsigned misplaced; /* members that could not have it at this origin */
	unsigned rests;     /* how often it was busy in a row */
	int64_t rest_ms;    /* of the next step; 0: none */
	int64_t rested_ms;  /* of all since bytes came, or hope */
	bool demand;        /* a reader waits: the caller says so */
};

/* Begins with `before` if that is somebody: who gave bytes of this segment last. */
void route_init(struct route *r, const struct membership *members,
		const struct route_target *target, uint32_t before);
/* From now on only the source is asked. */
void route_to_source(struct route *r);
/* The next step. */
struct route_step route_next(struct route *r, int64_t now_ms);
/* A member, whom another has named or not, was asked without it: it goes on with that one. */
void route_goes_on(struct route *r, uint32_t member, bool named);
/* True if a member has named who is asked now. */
bool route_was_named(const struct route *r);
/* True if who is asked now has been waited for as often as a busy owner is, or for as long. */
bool route_is_tired(const struct route *r);
/* What came of the last ROUTE_ASK; `others` are those that were named. */
void route_heard(struct route *r, enum route_answer answer, const uint32_t *others, unsigned count);

#endif
