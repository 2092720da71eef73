/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of a server of RPC calls: what came and is no whole record yet, and the replies
 * that are to go out. Its loop is the only one that reads; whoever has a reply sends it, one at a
 * time. */
#ifndef MATRIXFS_RPCD_CONN_H
#define MATRIXFS_RPCD_CONN_H

#include <stdatomic.h>
#include <stdbool.h>

#include "daemon/base/lock.h"
#include "fs/rpcd.h"

#define RPCD_ROOM (256 << 10) /* bytes read at once; more than the longest record with its marks */

/* Whether the first reply's data is being waited for. */
enum rpcd_wait {
	RPCD_WAITS_NOT,
	RPCD_WAIT_BEGINS, /* it is just being asked whether it must be */
	RPCD_WAIT_OVER,   /* it came while that was asked */
	RPCD_WAITS,       /* nobody sends before rpcd_go_on() */
};

/* What all connections of a server share. */
struct rpcd_all {
	struct rpcd_conf conf;
	atomic_uint open;   /* connections that have a socket */
	atomic_size_t held; /* bytes of memory that wait for clients, or are kept for calls */
};

struct rpcd_conn {
	struct rpcd_conn *prev, *next; /* the server's */
	struct rpcd_all *all;          /* borrowed */
	int epoll;                     /* of its loop */
	int fd;
	void *who;
	char address[NETWORK_ADDRESS_MAX];
	atomic_uint refs; /* one of the server, one of each call under way, one of a wait */
	/* The loop's alone. */
	struct buf leftover; /* what came behind the last whole record that was taken */
	int64_t heard_ms;    /* when something last came */
	struct lock lock;
	/* Guarded by lock. */
	struct rpcd_reply *first, *last;
	size_t queued_bytes;
	unsigned queued; /* replies, */
	unsigned awake;  /* and those of them that have data which they could let go */
	unsigned faults; /* how often data could not be read since bytes last went out */
	enum rpcd_wait wait;
	size_t kept_bytes;   /* by calls under way */
	size_t held, told;   /* bytes of memory, and as how many they count in the sum of all */
	unsigned calls;      /* under way */
	bool sending;        /* somebody is; it sends what is added meanwhile, too */
	bool blocked;        /* the client takes nothing more now */
	bool records_left;   /* whole ones may lie in `leftover` */
	bool said_all;       /* the client says no more */
	bool dead;           /* shut down: nothing goes in or out */
	uint32_t armed;      /* what epoll is to tell */
	int64_t progress_ms; /* when bytes last went out, or began to wait */
};

/* A connection on a socket (taken), which is added to the epoll set. When it is closed `who` went,
 * and all->open is one less. -ENOMEM, -errno: then he did not. */
MUST_USE int rpcd_conn_new(struct rpcd_all *all, int epoll, int fd, const char *address, void *who,
			   struct rpcd_conn **ret);
/* The port of a socket's own end; 0 if it has none. */
uint16_t rpcd_port_of(int fd);
/* One reference less. */
void rpcd_conn_unref(struct rpcd_conn *c);
/* Its loop was told of events: takes calls, sends. `room` are RPCD_ROOM bytes to work in. False if
 * the connection has come to its end: it is out of the epoll set, and nothing is on its way. */
MUST_USE bool rpcd_conn_serve(struct rpcd_conn *c, uint32_t events, uint8_t *room);
/* Ends it: its loop will be told. */
void rpcd_conn_kill(struct rpcd_conn *c);
/* Ends it if it has been silent for too long; its loop's. */
void rpcd_conn_check(struct rpcd_conn *c, int64_t now_ms);
/* Takes it out of the epoll set and drops what is on its way; its loop's, or when that is over. */
void rpcd_conn_end(struct rpcd_conn *c);

#endif
