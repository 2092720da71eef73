/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers lie in spans of time by when their requests say they were sent. One window long each,
 * three of them hold all that may still be accepted; the others are forgotten. */
#include "daemon/peer/nonces.h"

#include <stdbool.h>
#include <stdlib.h>

#define LATE_MS 1000 /* a thread may come so much later with its time than another */
#define CAP_MIN 1024

void nonces_init(struct nonces *n, int64_t began_ms)
{
	*n = (struct nonces){ .began_ms = began_ms };
}

/* --- the numbers of a span */

static void forget_span(struct nonces_span *s)
{
	free(s->slots);
	*s = (struct nonces_span){ .number = s->number };
}

/* Where it is, or belongs. There is a free slot; numbers are hashes already. */
static uint64_t *slot_of(const struct nonces_span *s, uint64_t number)
{
	size_t at = number & (s->cap - 1);

	while (s->slots[at] && s->slots[at] != number)
		at = (at + 1) & (s->cap - 1);
	return &s->slots[at];
}

static bool has(const struct nonces_span *s, uint64_t number)
{
	return s->cap && *slot_of(s, number);
}

/* False if there is no memory. */
static bool grow(struct nonces_span *s)
{
	struct nonces_span larger = *s;

	if (s->cap && s->count < s->cap / 4 * 3)
		return true;
	larger.cap = s->cap ? 2 * s->cap : CAP_MIN;
	larger.slots = calloc(larger.cap, sizeof(*larger.slots));
	if (!larger.slots)
		return false;
	for (size_t i = 0; i < s->cap; i++)
		if (s->slots[i])
			*slot_of(&larger, s->slots[i]) = s->slots[i];
	free(s->slots);
	s->slots = larger.slots;
	s->cap = larger.cap;
	return true;
}

/* --- all spans */

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
		count += s->count;
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

	number += !number; /* 0 is none */
	if (llabs(settle(n, wall_ms) - sent_ms) > NONCES_WINDOW_MS || sent_ms < n->began_ms)
		return NONCE_STALE;
	count = forget_old(n);
	s->number = span;
	if (has(s, number))
		return NONCE_SEEN;
	if (count + count_share(n, share) >= NONCES_MAX || !grow(s))
		return NONCE_FULL;
	*slot_of(s, number) = number;
	s->count++;
	s->shares[share]++;
	return NONCE_NEW;
}
