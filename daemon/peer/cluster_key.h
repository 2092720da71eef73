/* SPDX-License-Identifier: Apache-2.0 */
/* Who belongs to the cluster: whoever has its key. Each request carries an HMAC-SHA256 over what is
 * asked, by whom, when, and a number used once; each answer one over what is answered and that
 * number, so that both sides know the other. Two keys can be valid at once: the first signs, all
 * verify (rotation: put the new one second everywhere, then first, then take the old one out).
 * The file is read again when it changes, looked at once a second at most; one that cannot be used
 * is logged once and changes nothing. Keys are never logged. Threads: any.
 * Sources: RFC 2104 (HMAC), RFC 7616 §3.7 and RFC 7615 for the shape of the fields. */
#ifndef MATRIXFS_CLUSTER_KEY_H
#define MATRIXFS_CLUSTER_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/buf.h"

#define CLUSTER_NONCE_HEX 32
#define CLUSTER_NODE_MAX 127 /* an address as members have it */

struct cluster_key;

/* One or two lines, each a key of at least 16 bytes; blank lines and "# ..." between. A file that
 * others may read is refused. Nothing counts that was sent before began_ms, by our clock: numbers
 * of before are not known here. ERR_CONF, -ENOENT and the like with a sentence in why. */
MUST_USE int cluster_key_open(const char *path, int64_t began_ms, struct cluster_key **ret,
			      struct buf *why);
void cluster_key_free(struct cluster_key *k);

/* What is signed of a request: all texts borrowed. NULL is as good as "": it has none. */
struct cluster_words {
	const char *method; /* "GET" */
	const char *target; /* path and query as they go over the line */
	const char *range;  /* value of the Range field */
	const char *node;   /* who asks: its address */
	const char *to;     /* who is asked, by the address that the asker has of it */
	const char *zone;   /* value of Peer-Zone */
};
/* Appends the value of the Authorization field for a request that is sent at wall_ms (Unix time as
 * the receiver's clock has it), and tells the number used once, which the answer is bound to.
 * -EINVAL: a node that is none; -EIO, -ENOMEM. */
MUST_USE int cluster_key_sign(struct cluster_key *k, const struct cluster_words *words,
			      int64_t wall_ms, struct buf *ret,
			      char ret_nonce[static CLUSTER_NONCE_HEX + 1]);

/* The same of one that is sent now, to whose clock is ahead of ours by so much: appends the whole
 * field. */
MUST_USE int cluster_key_authorize(struct cluster_key *k, const struct cluster_words *words,
				   int64_t ahead_ms, struct buf *ret_line,
				   char ret_nonce[static CLUSTER_NONCE_HEX + 1]);

#define CLUSTER_TRIES 2 /* a second one with the clock that the first has told: CLUSTER_STALE */

enum cluster_verdict {
	CLUSTER_TRUE,
	CLUSTER_FALSE, /* no field, no such key, another text: says nothing more on purpose */
	CLUSTER_STALE, /* the right key, but another time than ours, or before we began: the sender
			   * may correct it */
	CLUSTER_REPLAYED, /* seen before */
	CLUSTER_FULL,     /* as it should be, but no more can be remembered now: it was not heard */
};
/* What is known of a request by its field: all "" if CLUSTER_FALSE. */
struct cluster_heard {
	char node[CLUSTER_NODE_MAX + 1], to[CLUSTER_NODE_MAX + 1];
	char nonce[CLUSTER_NONCE_HEX + 1];
};
/* Looks at a request that came at wall_ms with that field, or NULL. words->node and words->to are
 * not looked at; *ret tells them, and whether the request is for this node is the caller's to
 * judge. A number counts as seen once it was found CLUSTER_TRUE; for how long: nonces.h. */
enum cluster_verdict cluster_key_verify(struct cluster_key *k, const struct cluster_words *words,
					const char *authorization, int64_t wall_ms,
					struct cluster_heard *ret);

/* What is signed of an answer; likewise. */
struct cluster_answer {
	int status;
	const char *content_range; /* value of Content-Range, and so on */
	const char *others;        /* Peer-Others; of a 200 Peer-Digests */
	const char *zone, *number, *quiet;
	const char *node; /* id of the process that answers: no blank, '"' or '\' */
	int64_t wall_ms;  /* its clock */
};
/* Appends the value of the Authentication-Info field of the answer to request `nonce`. Errors as
 * above. */
MUST_USE int cluster_key_sign_answer(struct cluster_key *k, const struct cluster_answer *a,
				     const char *nonce, struct buf *ret);
/* True if `info`, or NULL if there is no such field, is what a member would say. a->node and
 * a->wall_ms are not looked at; what the field says of them goes to ret_node and *ret_wall_ms. */
bool cluster_key_check_answer(struct cluster_key *k, const struct cluster_answer *a,
			      const char *nonce, const char *info,
			      char ret_node[static CLUSTER_NODE_MAX + 1], int64_t *ret_wall_ms);
/* The same of one that has just come: *ret_ahead_ms is how far its clock is ahead of ours. */
bool cluster_key_believe(struct cluster_key *k, const struct cluster_answer *a, const char *nonce,
			 const char *info, char ret_node[static CLUSTER_NODE_MAX + 1],
			 int64_t *ret_ahead_ms);

#endif
