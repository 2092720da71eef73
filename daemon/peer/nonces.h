/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of requests that were heard lately, each of which counts once. Who asks says when he
 * sent it: what is too old, or too far ahead, is not looked at, so that those of a short time are
 * all that have to be remembered. Times are wall-clock ms that the caller gives. Not locked: the
 * owner's lock guards it. */
#ifndef MATRIXFS_NONCES_H
#define MATRIXFS_NONCES_H

#include <stddef.h>
#include <stdint.h>

#define NONCES_WINDOW_MS (30 * 1000) /* a request may be so old, or so far ahead */
/* So many are remembered, in 8 MiB at most; of one node no more than are free still, so that nobody
 * uses up all. One alone has 5000 a second at least: that is what 40 GbE carries in chunks. */
#define NONCES_MAX 600000

#define NONCES_SPANS 3
#define NONCES_SHARES 1024

/* Numbers that were sent in one window of time. */
struct nonces_span {
	int64_t number;                 /* time / NONCES_WINDOW_MS */
	uint64_t *slots;                /* 64 bits of each where they hash to, or next; 0: free */
	size_t cap, count;              /* a power of two, or 0: at most three quarters are used */
	uint32_t shares[NONCES_SHARES]; /* of the nodes, by their hashes: few have one */
};

struct nonces {
	int64_t wall_ms;  /* the latest time a request was heard at */
	int64_t began_ms; /* nothing that was sent before counts */
	struct nonces_span spans[NONCES_SPANS];
};

enum nonce {
	NONCE_NEW,
	NONCE_STALE, /* of another time, or before we began */
	NONCE_SEEN,  /* heard before */
	NONCE_FULL,  /* it was not heard: no room is left for now */
};

/* Nothing was heard, and nothing counts that was sent before began_ms. */
void nonces_init(struct nonces *n, int64_t began_ms);
void nonces_fini(struct nonces *n);
/* What the number of a request is (a hash of it) that this node (likewise) sent at sent_ms and that
 * came at wall_ms. A new one was heard from then on. */
enum nonce nonces_hear(struct nonces *n, uint64_t number, uint64_t node, int64_t sent_ms,
		       int64_t wall_ms);

#endif
