/* SPDX-License-Identifier: Apache-2.0 */
/* A server of RPC calls over TCP: connections in, records out of their streams, replies back in any
 * order. A few threads, each with connections of its own; none ever waits for a client: what cannot
 * be sent now is kept, and as long as much is kept, or many calls of a connection are under way,
 * nothing more is read from it; when all together keep much, only those go on of whom little is
 * kept. Who is silent in the middle of a record, takes no byte of what it
 * asked for, or says nothing for long, is sent away. Knows nothing of programs and procedures; but
 * its log and its counters are the export's. */
#ifndef MATRIXFS_RPCD_H
#define MATRIXFS_RPCD_H

#include "daemon/base/buf.h"
#include "daemon/base/network.h"
#include "daemon/metrics.h"

struct rpcd;
struct rpcd_conn;

#define RPCD_RECORD_MAX (128 << 10) /* bytes of a call */
#define RPCD_ROOM_LEAST (8 << 10)   /* of a reply, however short room is */

/* A reply on its way, embedded in the request it answers. Its functions are called from any thread,
 * one at a time, no lock held. */
struct rpcd_reply {
	struct rpcd_reply *next; /* the connection's, as the next line */
	size_t size, sent, held;
	bool awake;       /* likewise: `data` is there, and can be let go */
	struct buf head;  /* begun by rpc_reply(); sent first */
	const void *data; /* or NULL: sent behind it, with XDR's padding */
	size_t data_len;
	/* Called once when it was sent (then `sent` is `size`) or cannot be. */
	void (*done)(struct rpcd_reply *r);
	/* Both or neither. The client takes nothing now, for who knows how long, or (`broken`) the
	 * system cannot read `data`: it may be let go, and is NULL then. */
	void (*rest)(struct rpcd_reply *r, bool broken);
	/* What was let go is wanted again. 0: `data` is there; or, if nothing was sent yet, `head`
	 * says another thing and data_len is 0. PARKED, if it may: rpcd_go_on() is to be called
	 * once. Negative: not now; if it may park, never, and the connection ends. */
	int (*resume)(struct rpcd_reply *r, bool may_park);
};

struct rpcd_conf {
	const char *listen; /* ADDRESS:PORT; borrowed until rpcd_open returns */
	char *const *allow; /* networks that may connect; borrowed until rpcd_close */
	size_t allow_count;
	struct metrics *metrics; /* borrowed, too */
	int64_t tick_ms;         /* how often connections are looked at; by then late ones go: */
	int64_t torn_ms;         /* ... those silent in the middle of a record for so long, */
	int64_t stall_ms;        /* ... that take nothing of what waits for them, */
	int64_t idle_ms;         /* ... or say nothing and wait for nothing, */
	int64_t ended_ms;        /* ... or will say no more, and wait for what does not come */
	/* Somebody has connected from that address: who it is, or an error for which he is sent
	 * away; and is gone. From any thread. */
	int (*came)(void *arg, const char *address, void **ret);
	void (*went)(void *arg, void *who);
	/* A call has come, on one of the server's threads; the record is borrowed until this
	 * returns. rpcd_send() or rpcd_drop() is to be called once for it, then or later, from any
	 * thread. */
	void (*call)(void *arg, struct rpcd_conn *c, const uint8_t *record, size_t len);
	/* A connection has come to its end, with calls under way perhaps, and a reply that is being
	 * resumed: nobody waits for them any more. It is borrowed until this returns. Called again
	 * when a `resume` that had begun before has parked. */
	void (*gone)(void *arg, struct rpcd_conn *c);
	/* Each tick_ms, on one of its threads. */
	void (*tick)(void *arg);
	void *arg;
};

/* Listens and serves. Sentences in why. */
MUST_USE int rpcd_open(const struct rpcd_conf *conf, struct rpcd **ret, struct buf *why);
/* No more calls: ends its threads. Replies may still be sent, as far as that needs no wait. */
void rpcd_stop(struct rpcd *s);
/* Closes all connections; after rpcd_stop, when all calls have ended but for what is left to do of
 * their last replies. False: that has not come to its end: it may be called again. NULL is fine. */
MUST_USE bool rpcd_close(struct rpcd *s);

/* Who is at the other end: what `came` said, and its address, without a port; borrowed as long as a
 * call is under way. */
void *rpcd_who(const struct rpcd_conn *c);
const char *rpcd_address(const struct rpcd_conn *c);
/* The port that was connected to. */
uint16_t rpcd_port(const struct rpcd_conn *c);
/* A call under way keeps so many bytes / does not any more. As long as they and the replies that
 * wait are many, nothing more is read from this connection. */
void rpcd_keep(struct rpcd_conn *c, size_t bytes);
void rpcd_unkeep(struct rpcd_conn *c, size_t bytes);
/* How many bytes of memory a reply should have at most: less than any when they are short, for all
 * or for this connection. At least RPCD_ROOM_LEAST. */
size_t rpcd_room(struct rpcd_conn *c);
/* Ends a call with its reply, which is taken until its `done`. */
void rpcd_send(struct rpcd_conn *c, struct rpcd_reply *r);
/* What a `resume` that parked waited for is there, or will never be: it is called again. */
void rpcd_go_on(struct rpcd_conn *c);
/* Ends a call without one. With `hang_up` so does the connection: what comes on it makes no sense,
 * or it is better that the client asks again. */
void rpcd_drop(struct rpcd_conn *c, bool hang_up);

#endif
