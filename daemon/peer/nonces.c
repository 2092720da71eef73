/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers lie in spans of time by when their requests say they were sent. One window long each,
 * three of them hold all that may still be accepted; the others are forgotten. */
#include "daemon/peer/nonces.h"

#include <stdlib.h>
#include <string.h>

#define LATE_MS 1000 /* a thread may come so much later with its time than another */

void nonces_init(struct nonces *n, int64_t began_ms)
{
	*n = (struct nonces){ .began_ms = began_ms };
}

static void forget_span(struct nonces_span *s)
{
	map_fini(&s->numbers);
	memset(s->shares, 0, sizeof(s->shares));
}

void nonces_fini(struct nonces *n)
{
	for (unsigned i = 0; i < NONCES_SPANS; i++)
		forget_span(&n->spans[i]);
}

/* The latest time: what was forgotten then must not be heard by a thread that comes late. Unless
 * the clock was set back: then we did not begin later than now, either. */
static int64_t settle(struct nonces *n, int64_t wall_ms)
{
	if (wall_ms > n->wall_ms || n->wall_ms - wall_ms > LATE_MS)
		n->wall_ms = wall_ms;
	if (wall_ms < n->began_ms)
		n->began_ms = wall_ms;
	return n->wall_ms;
}

/* Forgets what cannot be accepted any more, and tells how many are left. */
static size_t forget_old(struct nonces *n)
{
	int64_t first = (n->wall_ms - NONCES_WINDOW_MS) / NONCES_WINDOW_MS;
	size_t count = 0;

	for (unsigned i = 0; i < NONCES_SPANS; i++) {
		struct nonces_span *s = &n->spans[i];

		if (s->number < first || s->number >= first + NONCES_SPANS)
			forget_span(s);
		count += s->numbers.count;
	}
	return count;
}

/* How many of those that are kept are of the nodes with that share. */
static size_t count_share(const struct nonces *n, uint64_t share)
{
	size_t count = 0;

	for (unsigned i = 0; i < NONCES_SPANS; i++)
		count += n->spans[i].shares[share];
	return count;
}

enum nonce nonces_hear(struct nonces *n, uint64_t number, uint64_t node, int64_t sent_ms,
		       int64_t wall_ms)
{
	int64_t span = sent_ms / NONCES_WINDOW_MS;
	uint64_t share = node % NONCES_SHARES;
	struct nonces_span *s = &n->spans[span % NONCES_SPANS];
	size_t count;

	if (llabs(settle(n, wall_ms) - sent_ms) > NONCES_WINDOW_MS || sent_ms < n->began_ms)
		return NONCE_STALE;
	count = forget_old(n);
	s->number = span;
	if (map_find_u64(&s->numbers, number))
		return NONCE_SEEN;
	if (count >= NONCES_MAX || count_share(n, share) >= NONCES_OF_NODE ||
	    map_put_u64(&s->numbers, number, s) < 0)
		return NONCE_STALE;
	s->shares[share]++;
	return NONCE_NEW;
}
