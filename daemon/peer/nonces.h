/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of requests that were heard lately, each of which counts once. Who asks says when he
 * sent it: what is too old, or too far ahead, is not looked at, so that those of a short time are
 * all that have to be remembered. Times are wall-clock ms that the caller gives. Not locked: the
 * owner's lock guards it. */
#ifndef MATRIXFS_NONCES_H
#define MATRIXFS_NONCES_H

#include "daemon/base/map.h"

#define NONCES_WINDOW_MS (30 * 1000)    /* a request may be so old, or so far ahead */
#define NONCES_MAX 200000               /* that are remembered, */
#define NONCES_OF_NODE (NONCES_MAX / 8) /* and of one node, so that it does not use up all */

#define NONCES_SPANS 3
#define NONCES_SHARES 1024

/* Numbers that were sent in one window of time. */
struct nonces_span {
	int64_t number;                 /* time / NONCES_WINDOW_MS */
	struct map numbers;             /* 64 bits of each */
	uint32_t shares[NONCES_SHARES]; /* of the nodes, by their hashes: few have one */
};

struct nonces {
	int64_t wall_ms;  /* the latest time a request was heard at */
	int64_t began_ms; /* nothing that was sent before counts */
	struct nonces_span spans[NONCES_SPANS];
};

enum nonce {
	NONCE_NEW,
	NONCE_STALE, /* of another time, or before we began; or no room is left for now */
	NONCE_SEEN,  /* heard before */
};

/* Nothing was heard, and nothing counts that was sent before began_ms. */
void nonces_init(struct nonces *n, int64_t began_ms);
void nonces_fini(struct nonces *n);
/* What the number of a request is (a hash of it) that this node (likewise) sent at sent_ms and that
 * came at wall_ms. A new one was heard from then on. */
enum nonce nonces_hear(struct nonces *n, uint64_t number, uint64_t node, int64_t sent_ms,
		       int64_t wall_ms);

#endif
