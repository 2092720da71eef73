/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/relay_priv.h"

static struct bucket *buckets;

/* What comes at once at least: a hundredth of a second's. */
static double bucket_step(const struct bucket *b)
{
	double step = (double)b->rate / 100;

	return step < 1 ? 1 : step;
}

void bucket_set(struct bucket *b, uint64_t rate)
{
	b->rate = rate;
	b->tokens = 0;
	b->at_us = relay_now_us;
}

void bucket_init(struct bucket *b, uint64_t rate)
{
	bucket_set(b, rate);
	b->next = buckets;
	buckets = b;
}

static void bucket_fill(struct bucket *b)
{
	double most = 4 * bucket_step(b);

	b->tokens += (double)(relay_now_us - b->at_us) / 1e6 * (double)b->rate;
	b->at_us = relay_now_us;
	if (b->tokens > most)
		b->tokens = most;
}

static void bucket_wait(struct bucket *b, struct half *h)
{
	h->waits = b;
	h->next_waiting = NULL;
	if (b->last)
		b->last->next_waiting = h;
	else
		b->first = h;
	b->last = h;
}

static struct half *bucket_pop(struct bucket *b)
{
	struct half *h = b->first;

	b->first = h->next_waiting;
	if (!b->first)
		b->last = NULL;
	h->waits = NULL;
	return h;
}

void half_leave(struct half *h)
{
	struct bucket *b = h->waits;
	struct half **at, *before = NULL;

	if (!b)
		return;
	for (at = &b->first; *at != h; at = &(*at)->next_waiting)
		before = *at;
	*at = h->next_waiting;
	if (b->last == h)
		b->last = before;
	h->waits = NULL;
}

/* The buckets that a direction takes from. */
static unsigned half_buckets(struct half *h, struct bucket *ret[2])
{
	struct bucket *own = &h->flow->pair->bucket[h->direction], *in = &h->flow->client->in;
	unsigned count = 0;

	if (own->rate)
		ret[count++] = own;
	if (h->direction == DOWN && in->rate)
		ret[count++] = in;
	return count;
}

size_t half_may(struct half *h, bool served)
{
	struct bucket *of[2];
	unsigned count = half_buckets(h, of);
	size_t most = count ? PIECE_LIMITED : PIECE;

	for (unsigned i = 0; i < count; i++) {
		bucket_fill(of[i]);
		if (of[i]->tokens < 1 || (of[i]->first && !served)) {
			bucket_wait(of[i], h);
			return 0;
		}
		if (of[i]->tokens < (double)most)
			most = (size_t)of[i]->tokens;
	}
	return most;
}

void half_pay(struct half *h, size_t len)
{
	struct bucket *of[2];
	unsigned count = half_buckets(h, of);

	for (unsigned i = 0; i < count; i++)
		of[i]->tokens -= (double)len;
}

/* Once around. */
static void bucket_serve(struct bucket *b)
{
	const struct half *last = b->last, *h = NULL;

	while (b->first && b->tokens >= 1 && h != last) {
		struct half *next = bucket_pop(b);

		half_pump(next, true);
		h = next;
	}
}

bool buckets_serve(void)
{
	bool waits = false;

	for (struct bucket *b = buckets; b; b = b->next) {
		bucket_fill(b);
		if (b->tokens >= bucket_step(b))
			bucket_serve(b);
		waits |= b->first != NULL;
	}
	return waits;
}
