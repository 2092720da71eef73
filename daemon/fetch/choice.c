/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/choice.h"

#include "daemon/base/clock.h"

/* Those that are not to be asked now. */
static uint64_t shunned(const struct choice *c)
{
	struct pulls *pulls = c->pull->all;
	uint64_t bad;

	lock_take(&pulls->lock);
	bad = (c->desperate ? distrust_twice : distrust_shunned)(&c->pull->distrust,
								 c->source_count, clock_ms());
	lock_drop(&pulls->lock);
	return bad;
}

static bool is_slow(struct source *s)
{
	return s->is_slow && s->is_slow(s);
}

/* The next whose turn it is: one that is slow only after all others. False if there is none. */
static bool pick(struct choice *c)
{
	uint64_t out = shunned(c) | c->asked;
	unsigned next = c->source_count;

	for (unsigned i = 0; i < c->source_count; i++) {
		if (out >> i & 1)
			continue;
		if (next == c->source_count)
			next = i;
		if (!is_slow(c->sources[i])) {
			next = i;
			break;
		}
	}
	if (next == c->source_count)
		return false;
	c->source = next;
	c->asked |= UINT64_C(1) << next;
	return true;
}

void choice_begin(struct choice *c)
{
	c->asked = 0;
	if (!pick(c))
		c->source = 0; /* which may not be asked */
}

/* False if no place is left. */
static bool pick_origin_locked(struct choice *c, int64_t now_ms)
{
	struct origin *next = origins_next(&c->pull->origins, c->tried, now_ms);

	if (!next)
		return false;
	c->origin = next;
	c->tried |= UINT64_C(1) << next->number;
	return true;
}

/* All places have their turn again; there is one at least. */
static void begin_origins(struct choice *c)
{
	struct pulls *pulls = c->pull->all;

	lock_take(&pulls->lock);
	c->tried = 0;
	(void)pick_origin_locked(c, clock_ms());
	lock_drop(&pulls->lock);
}

void choice_init(struct choice *c, struct pull *p, struct source *const *sources,
		 unsigned source_count)
{
	*c = (struct choice){ .pull = p, .sources = sources, .source_count = source_count };
	begin_origins(c);
	choice_begin(c);
}

bool choice_may_ask(struct choice *c)
{
	if (!(shunned(c) >> c->source & 1))
		return true;
	choice_begin(c);
	return !(shunned(c) >> c->source & 1);
}

bool choice_next(struct choice *c)
{
	if (pick(c))
		return false;
	choice_begin(c);
	return true;
}

bool choice_next_origin(struct choice *c)
{
	struct pulls *pulls = c->pull->all;
	int64_t now_ms = clock_ms();
	bool so;

	lock_take(&pulls->lock);
	origin_rest(c->origin, now_ms);
	so = pick_origin_locked(c, now_ms);
	lock_drop(&pulls->lock);
	return so;
}

bool choice_again(struct choice *c)
{
	if (c->desperate || !shunned(c))
		return false;
	c->desperate = true;
	begin_origins(c);
	choice_begin(c);
	return true;
}
