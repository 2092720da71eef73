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

#define ROUTE_NOBODY UINT32_MAX
#define ROUTE_OTHERS_MAX 8
#define ROUTE_REACH 16 /* owners and those who follow them, by their score: no more are asked */

/* What came of asking a member. */
enum route_answer {
	ROUTE_GAVE,      /* bytes; there may be more to ask for */
	ROUTE_COMING,    /* it will have them; nothing yet */
	ROUTE_ELSEWHERE, /* others are named */
	ROUTE_BUSY,      /* it gives as much as it may; others may be named */
	ROUTE_CROWDED,   /* it has no connection free, as somebody says */
	ROUTE_NOT_HERE,  /* it has not got them, or keeps nothing more */
	ROUTE_FAILED,    /* it could not have them from upstream */
	ROUTE_NONSENSE,  /* it has signed an answer that makes no sense */
	ROUTE_SCANT,     /* bytes, but less than a chunk, which are of no use */
	ROUTE_SILENT,    /* no answer, or one that broke off */
	ROUTE_REFUSED,   /* it does not take our key, or has another */
	ROUTE_LIED,      /* bytes that are not those of the blob */
	ROUTE_MISLED,    /* likewise, but it may have passed on what it was given */
	ROUTE_SLOW,      /* bytes, or hope, but too slowly for who waits */
	ROUTE_LEFT,      /* this node broke it off: not its fault */
};

enum route_kind { ROUTE_ASK, ROUTE_REST, ROUTE_SOURCE };

struct route_step {
	enum route_kind kind;
	uint32_t member; /* to be asked: index in the membership */
	int64_t rest_ms; /* to wait before the next step */
};

/* What is asked for, and what placement_owners says of it. */
struct route_place {
	struct segment segment;
	uint32_t owners[PLACEMENT_OWNERS];
	unsigned owner_count;
};

/* Members are indexes in a membership that stays the same. */
struct route {
	const struct membership *members; /* borrowed */
	struct route_place place;
	unsigned turn;  /* how many of the owners and their followers are over */
	uint32_t owner; /* the one whose turn it is; ROUTE_NOBODY: it is not chosen yet */
	uint64_t below; /* the score of the last follower: the next has a lower one */
	uint32_t asked; /* who was asked last, and goes on giving; or ROUTE_NOBODY */
	uint32_t others[ROUTE_OTHERS_MAX];
	unsigned other_count;
	uint32_t failed[ROUTE_OTHERS_MAX]; /* told the owner when it is asked again */
	unsigned failed_count;
	bool named;        /* who is asked was named by a member */
	unsigned hops;     /* how often others were named in a row */
	unsigned again;    /* how often this owner was asked again */
	unsigned failures; /* members that could not have it from upstream */
	unsigned rests;    /* how often it was busy in a row */
	int64_t rest_ms;   /* of the next step; 0: none */
	int64_t rested_ms; /* of all since bytes came, or hope */
	bool demand;       /* a reader waits: the caller says so */
};

/* Begins with `before` if that is somebody: who gave bytes of this segment last. */
void route_init(struct route *r, const struct membership *members, const struct route_place *place,
		uint32_t before);
/* From now on only the source is asked. */
void route_to_source(struct route *r);
/* True if so many members say that upstream fails that it does. */
bool route_has_failed(const struct route *r);
/* The next step. */
struct route_step route_next(struct route *r, int64_t now_ms);
/* True if a member has named who is asked now. */
bool route_was_named(const struct route *r);
/* True if who is asked now has been waited for as often as a busy owner is, or for as long. */
bool route_is_tired(const struct route *r);
/* What came of the last ROUTE_ASK; `others` are those that were named. */
void route_heard(struct route *r, enum route_answer answer, const uint32_t *others, unsigned count);

#endif
