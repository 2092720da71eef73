/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the swarm: swarm.c (nodes, lists, faults, what came of it), swarm_run.c (what one node
 * asks for), swarm_net.c (events, and links that carry chunks). */
#ifndef MATRIXFS_TESTS_SWARM_PRIV_H
#define MATRIXFS_TESTS_SWARM_PRIV_H

#include <stddef.h>

#include "daemon/base/map.h"
#include "daemon/peer/fanout.h"
#include "daemon/peer/members.h"
#include "daemon/peer/trip.h"
#include "tests/swarm.h"

#define SWARM_CHUNK (UINT64_C(1) << 20)
#define SWARM_RUNS_MAX 24 /* of one node at once, as it has streams */
#define SWARM_RUN_CHUNKS 8
#define SWARM_SOON_CHUNKS 2 /* asked of upstream at once */

enum event_kind {
	EV_START,    /* a = node: its reader begins */
	EV_ASKED,    /* a question is there */
	EV_WAITED,   /* a guest has waited as long as it may */
	EV_ANSWER,   /* an answer without bytes is there */
	EV_SENT,     /* a = link: a chunk has left */
	EV_CHUNK,    /* a chunk is there */
	EV_PATIENCE, /* who asked looks whether anything came */
	EV_STEP,     /* a run goes on after a rest: a = which */
	EV_TICK,     /* a run looks whether another is to be asked besides */
	EV_FAULT,    /* a = number of the fault */
	EV_LIST,     /* a = node: it reads the list of members */
};

/* Of a question or a run: `what`, if it still has that number. */
struct event {
	int64_t at_us;
	uint64_t order;
	enum event_kind kind;
	uint32_t a;
	uint64_t number;
	void *what;
};

enum { CHUNK_KEPT = 1, CHUNK_READ = 2, CHUNK_ON_ITS_WAY = 4 };

/* One question. It is freed when it is over and on no link. */
struct query {
	uint64_t number; /* 0: free */
	struct query *next_free;
	struct run *run;
	uint32_t asker, giver; /* giver may be upstream: nodes */
	uint32_t member;       /* index of the giver in the run's membership */
	uint32_t from, end;    /* chunks */
	uint32_t next, stop;   /* of the answer: to be sent, and its end */
	unsigned in_air;       /* chunks that were sent, and have not come */
	bool bring, over, broken, on_link, parked, late, dripping, hangs;
	bool races; /* it is put besides another one */
	struct query *next_on_link;
	struct query *next_parked, *previous_parked;
	int64_t wait_ms; /* for bytes that are coming */
	int64_t asked_ms, heard_ms, patience_ms, first_ms;
	int64_t quiet_ms; /* of an answer that bytes are coming */
	uint64_t failed[ROUTE_OTHERS_MAX];
	unsigned failed_count;
	enum route_answer answer;
	uint32_t number_of_asker, told; /* the asker's, and the one it is told to have */
	uint64_t others[FANOUT_NAMES_MAX];
	unsigned other_count;
};

/* Chunks that one node asks for in a row, within one segment. */
struct run {
	uint64_t number;  /* 0: free */
	struct run *next; /* of the node's, or of the free ones */
	struct node *node;
	uint32_t from, end;
	const struct membership *members;
	struct trip trip;
	struct query *query; /* under way */
	struct query *race;  /* and besides */
	int64_t raced_ms;    /* that began */
	uint32_t rests;      /* only the end of the last one counts */
	int64_t brought_ms;  /* when it last brought a chunk, or began */
	unsigned tries;      /* of upstream, since then */
	bool failed;         /* it had to try again */
};

struct link {
	uint64_t rate;
	struct query *first, *last, *sending;
};

struct node {
	uint32_t id;
	uint64_t key, zone;
	bool alive, listed, ended, failed, full;
	enum swarm_fault lie; /* SWARM_HONEST: none */
	uint8_t *chunks;
	uint32_t at; /* of its reader */
	int64_t begun_ms, took_ms;
	int64_t read_ms, waited_ms; /* its reader got a chunk last, and waited longest for one */
	struct run *runs;
	unsigned run_count;
	struct query *parked;
	struct link up;
	int64_t down_free_us;
	struct members *table;    /* its own, or NULL */
	struct membership shared; /* if it has none */
	struct segment_notes notes;
	struct fanout *fanout;
	struct trip_node way;
	int64_t failed_ms;     /* upstream failed then, when this node asked it; 0: never */
	int64_t given_ms;      /* it last gave this node bytes */
	int64_t left_alone_ms; /* until then it is not asked */
	uint64_t upstream, sent, asked, heard;
};

struct fault {
	enum swarm_fault what;
	uint32_t a, b;
};

struct swarm {
	struct swarm_conf conf;
	uint64_t random;
	uint32_t chunks;
	uint64_t blob;
	struct node *nodes;
	struct map by_key;
	struct link upstream;
	bool upstream_down;
	enum swarm_down how;
	uint64_t cut[SWARM_FAULTS_NODES + 1]; /* bits of those whom nothing reaches from this one */
	struct fault *faults;
	size_t fault_count, fault_cap, faults_left;
	/* When members are the same for all: */
	struct members *table;
	const struct membership *all;
	struct placement_node *nodes_of_all;
	struct member **members_of_all;
	struct placement_cache placement;
	/* What happens. */
	struct event *events;
	size_t event_count, event_cap;
	uint64_t order, numbers;
	int64_t now_us;
	uint32_t reading;
	struct query *free_queries;
	struct run *free_runs;
	void **owned;
	size_t owned_count, owned_cap;
	struct swarm_result result;
};

/* ---- swarm.c ---- */

uint64_t swarm_random(struct swarm *s, uint64_t below);
void *swarm_alloc(struct swarm *s, size_t size); /* until swarm_free */
int64_t swarm_ms(const struct swarm *s);
struct segment swarm_segment(const struct swarm *s, uint32_t chunk);
struct node *swarm_find(const struct swarm *s, uint64_t key);
const struct membership *swarm_members(struct node *n);
void swarm_members_done(struct node *n, const struct membership *m);
/* What one sends comes to the other: no fault has cut them off that way. */
bool swarm_reaches(const struct swarm *s, uint32_t from, uint32_t to);
/* Likewise, and back. */
bool swarm_connects(const struct swarm *s, uint32_t a, uint32_t b);
void swarm_fault_now(struct swarm *s, const struct fault *f);
void swarm_read_list(struct swarm *s, struct node *n);

/* ---- swarm_run.c: a node as one who asks ---- */

/* Asks for what its reader wants next. */
void swarm_plan(struct swarm *s, struct node *n);
void swarm_start_reader(struct swarm *s, struct node *n);
/* Has the absent chunks of a range asked for. */
void swarm_want(struct swarm *s, struct node *n, uint32_t from, uint32_t end);
void swarm_step(struct swarm *s, struct run *r);
void swarm_tick(struct swarm *s, struct run *r);
/* The first chunk that it has to bring still. */
uint32_t swarm_next_chunk(const struct run *r);
/* True if upstream fails the run that is to bring the chunk, or lets it wait; if there is none, any
 * of the node's. */
bool swarm_is_failing(const struct swarm *s, const struct node *n, uint32_t chunk);
/* A question has ended so. */
void swarm_done(struct swarm *s, struct query *q, enum route_answer answer);
void swarm_chunk_came(struct swarm *s, struct query *q, uint32_t chunk);
void swarm_look_patient(struct swarm *s, struct query *q);
/* All it asked for ends with it. */
void swarm_drop_runs(struct swarm *s, struct node *n);

/* ---- swarm_net.c: a node as one who is asked, and what is between them ---- */

void swarm_event(struct swarm *s, int64_t at_us, enum event_kind kind, uint32_t a, uint64_t number,
		 void *what);
/* The next thing happens; false if nothing is to come. */
bool swarm_next(struct swarm *s);
/* True if bytes of its answer are on their way, between those of others. */
bool swarm_is_flowing(const struct swarm *s, const struct query *q);
/* True if part of a chunk of a node's answer has come, or all of one is in the air. */
bool swarm_has_begun(const struct swarm *s, const struct query *q);
void swarm_ask(struct swarm *s, struct query *q);
void swarm_end_query(struct swarm *s, struct query *q);
/* Something has changed for those who wait here: chunk is there, or (UINT32_MAX) anything may. */
void swarm_wake(struct swarm *s, struct node *n, uint32_t chunk);
/* What they wait for in the range cannot be had. */
void swarm_fail_parked(struct swarm *s, struct node *n, uint32_t from, uint32_t end);
/* Nothing more comes from it, or from upstream: SWARM_UPSTREAM. */
void swarm_break(struct swarm *s, struct node *n);
/* Upstream answers those who hang there. */
void swarm_let_go(struct swarm *s);

#endif
