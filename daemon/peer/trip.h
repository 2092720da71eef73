/* SPDX-License-Identifier: Apache-2.0 */
/* The way of one range of bytes, which lies in one segment, from member to member: whom to ask
 * next and for what, what an answer means, what is remembered of it, when a member is given up as
 * late, and when only the source is left. It asks nobody itself: source_peer drives it with real
 * requests, the simulation of many nodes with those of virtual time.
 *
 * After trip_begin the caller does what trip_next says, again and again. For a TRIP_ASK it takes
 * the words of the question from trip_ask, tells trip_gave of each whole chunk that comes, and
 * trip_heard how it ended.
 *
 * Times are the caller's, in ms of a clock that does not go back. Threads: one per trip. */
#ifndef MATRIXFS_TRIP_H
#define MATRIXFS_TRIP_H

#include "daemon/metrics.h"
#include "daemon/peer/placement_cache.h"
#include "daemon/peer/route.h"
#include "daemon/peer/segment_notes.h"

#define TRIP_WRONG_MAX 8

/* What all trips of a node have in common. Threads: any. */
struct trip_node {
	struct placement_cache *placement; /* borrowed, like the next */
	struct segment_notes *notes;
	int64_t give_up_ms;     /* a member may have nothing but hope to give for so long */
	metric in, twice;       /* bytes of members, and those of no use; zeroed, like the rest */
	_Atomic unsigned races; /* that are on, or about to */
	const unsigned *races_max; /* so many at once; borrowed; NULL: none */
	_Atomic int64_t usual_ms;  /* from one chunk to the next, lately; 0: there was none yet */
};

/* What is to be brought: the bytes from pos to end, of a segment of a blob of that size. */
struct trip_range {
	struct segment segment;
	uint64_t origin; /* that is asked for: see wire_origin */
	uint64_t size, pos, end;
};

struct trip {
	struct trip_node *node;           /* borrowed, like the next */
	const struct membership *members; /* stays the same */
	struct trip_range range;          /* its pos goes on with each chunk */
	bool demand;                      /* its own: a reader waits for them, */
	int64_t demand_ms;                /* and began to then */
	bool failing;                     /* upstream failed lately when this node asked it */
	int64_t until_ms;                 /* who wants them gives up then */
	struct route route;
	uint32_t *sought; /* those who may have it, and how many of them have been asked; or NULL */
	uint32_t sought_count, sought_at;
	bool seeks;                     /* nobody is to bring it but this node */
	uint32_t wrong[TRIP_WRONG_MAX]; /* whose bytes were, on this way: the latest */
	unsigned wrong_count;
	uint32_t next;        /* who is to be asked */
	uint32_t member;      /* who is asked, or was last; ROUTE_NOBODY: nobody was yet */
	uint32_t number;      /* that it is asked with: another had said to ask there; or 0 */
	uint64_t asked_pos;   /* where the range began when it was */
	int64_t asked_ms;     /* when; */
	int64_t patience_ms;  /* of silence, with who is asked */
	int64_t again_ms;     /* who has nothing but hope yet is not asked again before */
	uint64_t came;        /* bytes, of the last question */
	int64_t since_ms;     /* no chunk came since, or another member is asked */
	int64_t dry_ms;       /* no chunk came since, whoever was asked */
	int64_t fails_ms;     /* a member last said then that upstream fails, */
	bool fails;           /* and nobody has promised anything since; */
	int64_t denied_ms;    /* the first time since since_ms, */
	bool doubted;         /* and was left for another for that */
	bool hopes;           /* the last word of who is asked: it will have them */
	struct route besides; /* while another is asked besides: how it goes on without this one, */
	bool besides_begun;   /* for the chunk that comes next; */
	int64_t besides_ms;   /* nobody is asked before that */
	uint32_t racer;       /* who is; or ROUTE_NOBODY */
};

/* A way begins with who gave bytes of the segment last. No reader waits, and upstream is well. */
void trip_begin(struct trip *t, struct trip_node *node, const struct membership *members,
		const struct trip_range *range, int64_t now_ms);
/* Whether a reader waits: to be told whenever that changes. */
void trip_demand(struct trip *t, bool demand, int64_t now_ms);
/* Whether upstream fails, as this node itself found, and until when they are wanted: likewise. */
void trip_outlook(struct trip *t, bool failing, int64_t until_ms);
/* After trip_begin, however far it came. */
void trip_end(struct trip *t);

enum trip_kind {
	TRIP_ASK,    /* a member; trip_heard is to be told what came of it, or trip_skip */
	TRIP_REST,   /* nothing is to be done for rest_ms */
	TRIP_SOURCE, /* what is left is to be had from upstream */
	TRIP_OVER,   /* it is not, as this node knows, and there is no time to wait for that */
	TRIP_THERE,  /* all is given */
};

struct trip_step {
	enum trip_kind kind;
	uint32_t member; /* index in the membership */
	bool goes_on;    /* it has just given bytes */
	int64_t rest_ms;
};

/* What is to be done next. */
struct trip_step trip_next(struct trip *t, int64_t now_ms);
/* Who is to be asked is not now: others find out whether it answers. */
void trip_skip(struct trip *t);

/* What a member is asked, besides the bytes: all of t->range, to the end of its last chunk. */
struct trip_ask {
	bool bring;             /* it is to fetch what it has not */
	uint32_t number;        /* of this node among those who want the segment; 0: not said */
	int64_t wait_ms;        /* it may wait so long for bytes that are coming, */
	int64_t patience_ms;    /* be silent so long, */
	int64_t connect_ms;     /* and take so long to be reached; 0: likewise */
	const uint32_t *failed; /* who were asked in vain; borrowed until trip_heard */
	unsigned failed_count;
};

/* The words of the question to who is to be asked, which begins now. */
struct trip_ask trip_ask(struct trip *t, int64_t now_ms);

/* How a question ended. */
struct trip_heard {
	enum route_answer answer;
	const uint32_t *others; /* those that were named: indexes; borrowed */
	unsigned other_count;
	uint32_t number;  /* this node's from now on, as it says; 0: it does not */
	int64_t quiet_ms; /* bytes last came to it so long ago, as it says; -1: it does not */
	int64_t first_ms; /* from the question to its answer's head; -1: not known */
	uint64_t bytes;   /* that came, or were wrong */
};

/* Notes how the question ended, of the member as well. What it means: h->answer, or ROUTE_SLOW for
 * hope that was given for too long, or ROUTE_NOT_HERE for that of this node under another name, or
 * ROUTE_SCANT for bytes of which trip_gave heard nothing. */
enum route_answer trip_heard(struct trip *t, const struct trip_heard *h, int64_t now_ms);
/* A whole chunk came, of which so many bytes were wanted. */
void trip_gave(struct trip *t, uint64_t len, int64_t now_ms);
/* So long this node was busy with bytes that came: nobody was waited for. */
void trip_was_busy(struct trip *t, int64_t ms);
/* True if an answer is to be ended that brought `came` (> 0) bytes of a chunk since since_ms. */
bool trip_is_trickle(const struct trip *t, int64_t since_ms, uint64_t came, uint64_t chunk,
		     int64_t now_ms);

/* Whom to ask besides for the next chunk, while one is waited for, as a reader waits for longer
 * than is usual; ROUTE_NOBODY: nobody. Then trip_race_ask has the words, or it is skipped; it is on
 * until then, or until it is heard or won. */
uint32_t trip_race(struct trip *t, int64_t now_ms);
struct trip_ask trip_race_ask(struct trip *t, int64_t now_ms);
void trip_race_skip(struct trip *t);
/* It has not brought it, or was given up (ROUTE_LEFT). */
void trip_race_heard(struct trip *t, const struct trip_heard *h, int64_t now_ms);
/* It has, while another was asked: what that one had answered until then (ROUTE_SILENT: not even a
 * head). Nothing else is to be heard of its question. */
void trip_outrun(struct trip *t, const struct trip_heard *h, int64_t now_ms);
/* It has: it is as if it had been asked alone. trip_gave and trip_heard follow. */
void trip_race_won(struct trip *t);

#endif
