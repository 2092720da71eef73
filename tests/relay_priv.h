/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the relay: relay.c (pairs, commands, the loop), relay_flow.c (connections, and what
 * passes through them), relay_rate.c (how much may). One thread. */
#ifndef MATRIXFS_TESTS_RELAY_PRIV_H
#define MATRIXFS_TESTS_RELAY_PRIV_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NAME_BYTES 64

enum mode { MODE_UP, MODE_HANG, MODE_ONEWAY, MODE_DOWN };
enum direction { UP, DOWN };

/* Why a half is to be pumped that nothing has happened to: it had its turn, or bytes were late. */
enum pumped { AGAIN, LATE, PUMPED };

struct half;

/* So much may go, and who waits for more. */
struct bucket {
	struct bucket *next; /* of all */
	uint64_t rate;
	double tokens;
	int64_t at_us;
	struct half *first, *last;
};

/* A machine of the test, by its address. */
struct host {
	struct host *next;
	struct in_addr address;
	unsigned side;
	struct bucket in;
};

struct watch {
	enum { WATCH_INPUT, WATCH_PAIR, WATCH_CLIENT, WATCH_TARGET } kind;
	void *owner;
};

struct pair {
	struct pair *next;
	char name[NAME_BYTES];
	struct sockaddr_in at, to;
	struct host *host;
	struct watch watch;
	int fd; /* -1: down */
	enum mode mode;
	int64_t delay_us;
	struct bucket bucket[2];
	uint64_t bytes[2], connections, turns;
	struct flow *flows;
};

struct piece;

/* One direction of a connection. */
struct half {
	struct flow *flow;
	enum direction direction;
	bool readable, writable, ended, shut;
	struct piece *first, *last;
	size_t queued;
	bool is_listed[PUMPED];
	struct half *next_listed[PUMPED], *next_waiting;
	struct bucket *waits;
};

struct flow {
	struct flow *prev, *next;
	struct pair *pair;
	struct host *client;
	int fd[2]; /* UP: reads of the client; DOWN: of the target */
	struct watch watch[2];
	struct half half[2];
	bool spoke; /* the client, last */
	bool dead;
};

/* The moment of the loop's round, by the monotonic clock. */
extern int64_t relay_now_us;
/* What the loop waits on. */
extern int relay_epoll;

/* --- relay_rate.c */

#define PIECE (64 << 10)
#define PIECE_LIMITED (8 << 10) /* of a link that others wait for */

/* It gives so many bytes a second from now on; 0: no limit. */
void bucket_set(struct bucket *b, uint64_t rate);
/* The same of a new one, which buckets_serve looks after from then on; borrowed for ever. */
void bucket_init(struct bucket *b, uint64_t rate);
/* How much may pass now; if that is nothing, it waits for it. Who was `served` has waited. */
size_t half_may(struct half *h, bool served);
/* So much has passed. */
void half_pay(struct half *h, size_t len);
/* It waits no more, if it did. */
void half_leave(struct half *h);
/* Pumps those that wait, as far as there is something for them; true if anybody waits still. */
bool buckets_serve(void);

/* --- relay_flow.c */

/* A client has connected, from there: it is taken, and joined with what is behind the pair. */
void flow_start(struct pair *p, int client, struct host *from);
/* Something has happened at one end: UP the client, DOWN the target. */
void flow_hear(struct flow *f, enum direction end, uint32_t events);
/* Closes both ends at once, with what is on its way. */
void flow_reset(struct flow *f);
/* Passes on what may pass. Who was `served` has waited for its turn. */
void half_pump(struct half *h, bool served);
/* It is to be pumped for that: AGAIN in the next round, LATE when bytes may be due. */
void half_list(struct half *h, enum pumped why);
/* Pumps those that are; and true if any is. */
void flows_pump(enum pumped why);
bool flows_listed(enum pumped why);
/* Frees connections that are over. */
void flows_bury(void);

#endif
