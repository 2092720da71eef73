/* SPDX-License-Identifier: Apache-2.0 */
/* What httpd.c (the server), httpd_door.c (who comes in) and the other httpd_*.c share; what they
 * call of each other is in httpd_calls.h. */
#ifndef MATRIXFS_HTTPD_PRIV_H
#define MATRIXFS_HTTPD_PRIV_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "daemon/base/httpd_early.h"
#include "daemon/base/httpd_pieces.h"
#include "daemon/base/idlers.h"
#include "daemon/base/lock.h"
#include "daemon/base/map.h"

struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;
struct sockaddr;
struct tls_cert;

/* A connection, from before the library has it until it closes it. */
struct httpd_link {
	struct idler idler; /* while it waits for a head */
	struct in6_addr address;
	bool remote;           /* it has an address */
	bool placed;           /* it has a place: until it is sent away, or ends */
	struct tls_cert *cert; /* what it speaks TLS with, or NULL */
};

struct httpd {
	struct httpd_conf conf;            /* its limits are guarded by lock */
	struct MHD_Daemon *plain, *secure; /* NULL if no door is such */
	pthread_t keeper;
	bool kept; /* the keeper runs */
	int wake_fd;
	struct lock lock;
	struct cond changed; /* a request has gone, while stopping */
	/* Guarded by lock. */
	struct httpd_request *requests; /* that the library or a handler has */
	unsigned sleeping;              /* streams that wait for the keeper's tick */
	struct httpd_link **links;      /* by descriptor */
	size_t links_cap;
	unsigned links_count, placed_count;
	struct map addresses; /* of their counts */
	struct idlers idlers; /* connections that wait for a head */
	size_t bodies;        /* bytes in memory */
	bool over;            /* what still goes out at a stop ends now */
	atomic_uint inside;   /* threads of the library that run what is not ours */
	atomic_bool closed;   /* set under the lock, and read without it too */
	atomic_bool quit;     /* the keeper shall end */
};

enum stage {
	STAGE_HEAD,    /* still coming in, or without a body */
	STAGE_BODY,    /* still coming in */
	STAGE_HANDLER, /* inside handle() */
	STAGE_PARKED,  /* the handler returned without an answer: suspended */
	STAGE_PIECES,  /* its body is being taken */
	STAGE_ANSWERED
};

struct httpd_request {
	struct httpd *all;
	struct httpd_request *prev, *next; /* guarded by all->lock */
	struct MHD_Connection *connection;
	struct httpd_link *link; /* while the library has it */
	struct in6_addr address;
	bool remote, secure;
	char *target; /* as the client sent it */
	char *method, *path;
	struct buf query; /* name, NUL, value, NUL, ...: once it was asked for */
	struct buf body;
	size_t dropped; /* bytes of a body that is too large */
	ssize_t body_max;
	int refused; /* the status of what is wrong with its body */
	/* A body in pieces: touched by the connection's thread, but for what the lock guards. */
	bool coming;                /* it is still to come, or coming in */
	bool at_head;               /* suspended before it: the library calls again */
	struct httpd_pieces pieces; /* guarded by all->lock; `end` is NULL once it was called */
	unsigned note;
	void *attached;
	int64_t begun_us, answered_us;
	uint64_t length; /* of the answer's body */
	uint64_t taken;  /* what its connection's client had taken when a long one began */
	/* Guarded by all->lock. */
	enum stage stage;
	bool in_library, in_handler; /* who still has it */
	bool queued;                 /* its answer goes out */
	uint64_t came, kept, seen;   /* bytes of its body: in all, in memory, known to the keeper */
	int64_t look_ms;             /* when it looks next whether it moves; 0: not looked at yet */
	uint64_t moved;              /* what it had moved then */
	struct MHD_Response *answer; /* to be queued */
	int status;
	void (*done)(void *arg, uint64_t sent); /* guarded by all->lock: at its end, or NULL */
	void *done_arg;
	/* A streamed answer: touched by the connection's thread, but for what the lock guards. */
	struct httpd_stream stream;
	struct buf piece;
	size_t piece_at;
	int stream_result;
	bool asleep; /* guarded by all->lock: suspended until the next tick */
	/* An answer that began early, or NULL; with `piece` above guarded by all->lock. */
	const struct httpd_early *early;
	int64_t tell_ms; /* when it says something next */
	bool early_over; /* the answer is there */
	struct httpd_flow flow;
	bool waits, woken; /* guarded by all->lock: suspended until httpd_wake, which came before */
	struct httpd_end end; /* once the library is done with it */
};

#endif
