/* SPDX-License-Identifier: Apache-2.0 */
/* One request to the hub on its way: what was found for it, and its waiting. Its handler runs from
 * the start each time until all it needs is at hand, so it may do nothing twice that cannot be. */
#ifndef MATRIXFS_ASK_H
#define MATRIXFS_ASK_H

#include "admin/hub/asked.h"
#include "admin/hub/receive.h"
#include "admin/server.h"
#include "daemon/base/httpd.h"
#include "daemon/base/wait.h"

struct ask;

/* 0: it has answered; PARKED: it is called again when the waiter was woken; negative: that failure
 * is answered. */
typedef int (*ask_fn)(struct ask *a);
/* What a step of a handler returns that has answered itself, so that nothing is left to do. */
#define ANSWERED (PARKED + 1)

/* Lanes of the hub's workers that many requests share; even, as those of names are not. */
enum {
	LANE_ROLL = 2,  /* one makes a list, the next finds it there */
	LANE_TAGS = 4,  /* likewise */
	LANE_DIFFS = 6, /* what is dear, and for whoever may read: not with all workers */
};

struct ask {
	struct server *server;
	struct httpd_request *http;
	ask_fn run;
	struct waiter waiter;
	struct asked asked;  /* what it says */
	struct trace *trace; /* the request's, or NULL; see trace.h */
	/* Who asks, and whether they may: see admit.h. */
	struct identity who;
	enum role role;               /* what of the repository its route needs */
	const struct repo *permitted; /* they may, as long as this is what it is called */
	bool denying;                 /* it is being asked for as if it were not there */
	bool said_open;               /* the hubs have just said that it is for everybody */
	bool is_private;              /* the repository, which was found: what answers say of it */
	struct filter *filter;        /* that counted when it came; owned */
	bool filtered;                /* what it is about may not be read here: see filter.h */
	/* Found on the way; NULL, "" and false until then. */
	struct repo *repo;
	char commit[COMMIT_HEX + 1];
	bool gone;                 /* upstream says so of the revision, but it is kept here */
	bool stale;                /* something of it is too old, but no upstream says more ... */
	int64_t late_ms;           /* ... by so much at least */
	struct snapshot *snapshot; /* owned */
	struct handle *file;       /* of it, opened; owned */
	struct ready_text *trees;  /* git's ids of its directories; owned */
	uint64_t emptied;          /* how often what is ready was, when it came */
	bool file_wanted;          /* the bytes of a file are */
	bool changes;              /* it would change a repository */
	bool frees;                /* and make room by it: on a full disk, too */
	bool revives;              /* a deleted file came again: old commits show it */
	/* A wait for what is not needed: if it fails the handler runs again, and finds why in
	 * `without`. */
	bool dispensable;
	int without;
	int64_t patient_until_ms; /* for a document, clock_ms(); 0: it was not asked for yet */
	bool aside;               /* a worker runs it: it may wait for the disk */
	bool receiving;           /* its body was asked for ... */
	int received;             /* ... and what came of that: see ask_body */
	/* The change it makes, or NULL; owned. What tells of it: see writing.h. */
	struct audit_debt *debt;
	const struct writing_act *act;
	char changed[REPO_KEY_MAX + 1]; /* the repository */
	/* What the handler keeps from one run to the next, or NULL; owned, and freed so. */
	void *kept;
	void (*free_kept)(void *kept);
};

/* The lane of those who change what has that name, one after another. Odd: one of others that is
 * met by chance costs time. */
uint64_t ask_lane_of(const char *name, size_t len);

/* Begins: runs the handler, which answers now or later. It runs only if who asks may do what `role`
 * says to the repository that the target names, which was found then; ROLE_HUB: if it is an
 * administrator of the hub; ROLE_NONE: always. */
void ask_start(struct server *s, struct httpd_request *http, const struct target *target,
	       enum role role, ask_fn run);
/* The same for what no token opens: the handler, which runs at once, looks itself at what the
 * request says of who asks. */
void ask_start_keyed(struct server *s, struct httpd_request *http, const struct target *target,
		     ask_fn run);

/* True on a worker's thread, where a handler may work for long and wait for the disk. Else it
 * returns *ret: it will run there, in its lane (see workers.h), or too many wait, which was
 * answered. */
MUST_USE bool ask_aside(struct ask *a, uint64_t lane, int *ret);
/* The same for who may work here as well if too many wait: false is PARKED. */
bool ask_aside_or_here(struct ask *a);
/* PARKED: the handler runs again, with those workers, in that lane of theirs. -EAGAIN: too many
 * wait there; -ENOMEM. */
MUST_USE int ask_move(struct ask *a, struct workers *to, uint64_t lane);
/* The same, so much later, in no lane. */
MUST_USE int ask_later(struct ask *a, struct workers *to, int64_t delay_ms);
/* Gives the body of a request whose route takes it in pieces to take(), see receive.h. True when
 * that is over, on a worker's thread: a->received is 0, or why not all was taken. Else it returns
 * *ret. */
MUST_USE bool ask_body(struct ask *a, receive_fn take, void *arg, int *ret);
/* Something that the answer will tell is too old by late_ms: its head says so. */
void ask_stale(struct ask *a, int64_t late_ms);
/* The commit of the target's revision; "" and HEAD are the default branch. */
MUST_USE int ask_commit(struct ask *a);
/* The files of that commit. */
MUST_USE int ask_snapshot(struct ask *a);
/* Opens a file of the snapshot and waits for the byte at off: so a failure has a status still. */
MUST_USE int ask_byte(struct ask *a, uint32_t file, uint64_t off);

#endif
