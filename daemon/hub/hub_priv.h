/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of a hub's client: hub.c (the client, its health, one exchange), hub_json.c (metadata),
 * hub_chunks.c (digest lists), hub_range.c (bytes), hub_xet.c (those of a Xet store). Nobody else
 * includes this. */
#ifndef MATRIXFS_HUB_PRIV_H
#define MATRIXFS_HUB_PRIV_H

#include <stdatomic.h>
#include <stdbool.h>

#include "daemon/base/lock.h"
#include "daemon/hub/hub.h"
#include "daemon/hub/location.h"

#define HUB_REDIRECTS_MAX 10
#define HUB_REFUSAL_BYTES_MAX (64 * 1024) /* of a body nobody reads */

/* Requests under way may still send those that came before: they live as long as the hub. */
struct hub_token {
	struct hub_token *older;
	char text[];
};

struct hub {
	char *url;  /* for requests: no trailing slash; may hold a user name and password */
	char *name; /* for people: without them */
	_Atomic(struct hub_token *) token; /* the one there is now, or NULL */
	struct httpc *http;
	int64_t timeout_ms, down_ms, silent_ms;
	bool lenient;
	struct location_memory *locations;
	enum hub_xet xet;
	struct location_memory
		*xet_tokens;           /* by where they are had: the store, and what opens it */
	atomic_bool xet_first_version; /* its store knew no other */
	struct lock lock;
	int64_t down_until_ms;         /* guarded by lock; 0: the hub is well */
	bool probing;                  /* guarded by lock; somebody tries whether it is back */
	int64_t silent_until_ms;       /* guarded by lock; somebody waited in vain, 0: or not */
	int64_t busy_until_ms;         /* guarded by lock; it asked to come back later, then */
	int64_t ok_s, failed_s;        /* guarded by lock; wall clock, 0: never */
	char error[HUB_ERROR_MAX + 1]; /* guarded by lock; of the last failure */
	atomic_bool is_matrixhubd;     /* as it last said */
	struct metrics_source *metrics;
};

/* What every exchange wants to know of an answer's head. Zeroed before use. */
struct hub_answer {
	struct hub *hub; /* that is asked by it, on its own origin; else NULL */
	const char *url; /* that was asked; borrowed */
	bool own;        /* it is on the hub's own origin */
	bool token_sent;
	const char *bearer;  /* sent instead of the hub's token: "" is none; NULL: that one */
	int status;          /* 0 until a head came */
	int error;           /* what a status that is not wanted means */
	int64_t wait_ms;     /* how long the server asks to stay away, or -1 */
	struct buf location; /* absolute target of a redirect; empty if this is none */
};

/* Frees what an answer holds. */
void hub_answer_fini(struct hub_answer *a);
/* To be called first by every head callback: fills what only a head can tell. 0 or -ENOMEM. */
MUST_USE int hub_answer_head(struct hub_answer *a, const struct httpc_response *r);
/* Runs q for url: to the hub's own origin with the token and unless the hub is down, elsewhere
 * without both. Returns as httpc_run. */
MUST_USE int hub_exchange(struct hub *h, struct httpc_request *q, const char *url,
			  struct hub_answer *a);

/* The text at url, of at most max bytes, through redirects; owned. ERR_PROTO also if it is longer;
 * else errors and ret_wait_ms as in hub.h. */
MUST_USE int hub_get_text(struct hub *h, const char *url, size_t max, struct httpc_cancel *cancel,
			  struct buf *ret, int64_t *ret_wait_ms);

#endif
