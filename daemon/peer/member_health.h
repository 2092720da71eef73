/* SPDX-License-Identifier: Apache-2.0 */
/* How a member has behaved, and what follows from it: whether it may be asked, and how long to wait
 * for it. Only requests that were made anyway tell. Times are the caller's, in ms of a clock that
 * does not go back. Pure. Not locked: the owner's lock guards it. */
#ifndef MATRIXFS_MEMBER_HEALTH_H
#define MATRIXFS_MEMBER_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/own.h"

/* The first silence may be an accident: it costs a moment. From the second in a row on it is left
 * alone for longer, each time twice as long (not who is only crowded); who refuses us, from the
 * first on. All but the first silence times 0.75 ... 1.25. */
#define MEMBER_HICCUP_MS 250
#define MEMBER_SILENT_MS 1000
#define MEMBER_BUSY_MS (5 * 1000) /* however often */
#define MEMBER_REFUSED_MS (10 * 1000)
#define MEMBER_VAIN_MS (30 * 1000) /* bytes, or a clean hour, take one time back; no answer does */
#define MEMBER_AWAY_MAX_MS (60 * 1000)
/* Who was outrun is so still when it has given nothing since, and that was so long ago, not longer:
 * the second time it is slow, or silent if it had not even answered. */
#define MEMBER_OUTRUN_MS 1000
#define MEMBER_OUTRUN_MAX_MS (60 * 1000)
/* Then one request tries it. If nothing is heard of that one for so long, another may. */
#define MEMBER_TURN_MS (10 * 1000)
/* Who gave wrong bytes: twice as long each time. One time is forgotten for each clean hour. */
#define MEMBER_BAN_MS (60 * 1000)
#define MEMBER_BAN_MAX_MS (2 * 3600 * 1000)
#define MEMBER_CLEAN_MS (3600 * 1000)
/* Who may have been misled is banned only if that goes on for longer than it takes to find out who
 * misled him, and did not end since. */
#define MEMBER_MISLED_MS (60 * 1000)
#define MEMBER_MISLED_MAX_MS (10 * 60 * 1000)
/* Silence that is usual. */
#define MEMBER_PATIENCE_MIN_MS 250
#define MEMBER_PATIENCE_MAX_MS 5000
#define MEMBER_PATIENCE_NEW_MS 1000 /* of who has not answered yet */
#define MEMBER_CONNECT_MS 500       /* to reach one who has not, or was silent */

/* How a request to a member ended. */
enum member_outcome {
	MEMBER_GAVE,     /* bytes */
	MEMBER_ANSWERED, /* something else that makes sense */
	MEMBER_SILENT,   /* no connection, no answer in time, broken off */
	MEMBER_CROWDED,  /* no connection is free, as somebody says: nobody has signed that */
	MEMBER_BUSY,     /* it said for too long that it is */
	MEMBER_REFUSED,  /* it does not take our key, or has another */
	MEMBER_LIED,     /* its bytes were wrong */
	MEMBER_MISLED,   /* likewise, but it may have passed on what it was given */
	MEMBER_VAIN,     /* it hoped for too long, gave scraps of bytes, or made no sense */
	MEMBER_OUTRUN,   /* another was faster: a hiccup, if it does not go on so */
	MEMBER_MUTE,     /* likewise, before it had answered at all */
	MEMBER_LEFT,     /* we gave it up before it could tell anything: not its fault */
};

/* X(state, word): how it is with a member, and the word for it that people see. */
#define MEMBER_STATES(X) \
	X(SELF, "self") /* this node, under whatever name: members.h knows */ \
	X(NEW, "new")   /* it was not heard of yet */ \
	X(UP, "up") \
	X(BUSY, "busy") /* it has no connection free, or says that it is busy */ \
	X(SLOW, \
	  "slow") /* of what it promised nothing came, or too slowly, or others are faster */ \
	X(SILENT, "silent") \
	X(REFUSED, "refused") \
	X(BANNED, "banned")

enum member_state {
#define MEMBER_STATE(state, word) MEMBER_IS_##state,
	MEMBER_STATES(MEMBER_STATE)
#undef MEMBER_STATE
		MEMBER_STATE_COUNT
};

struct member_health {
	enum member_outcome cause; /* why it is left alone; valid with failures */
	unsigned failures;         /* of that kind in a row; 0: it is not */
	int64_t until_ms;          /* nobody asks before */
	int64_t turn_ms;           /* who tries it has so long; 0: it is nobody's turn */
	unsigned bans;             /* as of until_ms of the last one, see health_bans */
	int64_t clean_ms;          /* end of the last one */
	unsigned vains;            /* promises that were in vain, as of vain_ms, the last one */
	int64_t vain_ms;
	int64_t outrun_ms;           /* when it was, and has given nothing since; 0: it was not */
	int64_t lags_ms;             /* it was again: until then others are asked; 0: it was not */
	int64_t misled_ms;           /* when it first may have been, lately; 0: it was not */
	bool answered;               /* once, at least */
	int64_t usual_us, spread_us; /* time to the first byte, and how far off it is; usual < 0:
					not known */
	uint64_t random;             /* state of the jitter */
};

/* Somebody new. The seed makes the jitter: any number, better not the same on two nodes. */
void health_init(struct member_health *h, uint64_t seed);
/* True if it may be asked now. If that is on trial, the caller has its turn until it notes how its
 * request ended, at most for MEMBER_TURN_MS. */
MUST_USE bool health_may_ask(struct member_health *h, int64_t now_ms);
/* A request ended so; the first byte came after first_ms (-1: not known). Failures while it is left
 * alone already are of requests that were under way: they count as one. */
void health_note(struct member_health *h, enum member_outcome outcome, int64_t first_ms,
		 int64_t now_ms);
/* True if it was outrun again and again: others are asked before it. What nobody else has is had
 * from it all the same: who is faster with bytes proves that they are there, not that it is to be
 * fetched twice. */
bool health_lags(const struct member_health *h, int64_t now_ms);
/* So long silence is usual. After a silence it is that of somebody new, or longer: perhaps the line
 * has become slow. But not longer each time: where half of a cluster is out of reach, all would
 * spend their time with those who try it. */
int64_t health_patience_ms(const struct member_health *h);
/* So long it may take to reach it; 0: as is usual. Who is out of reach costs no more than that. */
int64_t health_connect_ms(const struct member_health *h);
/* Bans that are remembered. */
unsigned health_bans(const struct member_health *h, int64_t now_ms);
/* Forgets all bans: true if there was one. */
bool health_forgive(struct member_health *h);
/* True if it gave wrong bytes, and the time for that is not over. */
bool health_is_banned(const struct member_health *h, int64_t now_ms);
/* Who failed is as it was then until it is heard of again. */
enum member_state health_state(const struct member_health *h, int64_t now_ms);
/* The word for it; static. */
const char *member_state_name(enum member_state state);

#endif
