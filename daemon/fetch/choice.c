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

static void begin(struct choice *c)
{
	c->asked = 0;
	if (!pick(c))
		c->source = 0; /* which may not be asked */
}

void choice_init(struct choice *c, struct pull *p, struct source *const *sources,
		 unsigned source_count)
{
	*c = (struct choice){ .pull = p, .sources = sources, .source_count = source_count };
	c->what = &p->what;
	begin(c);
}

bool choice_may_ask(struct choice *c)
{
	if (!(shunned(c) >> c->source & 1))
		return true;
	begin(c);
	return !(shunned(c) >> c->source & 1);
}

bool choice_next(struct choice *c)
{
	if (pick(c))
		return false;
	begin(c);
	return true;
}

bool choice_next_origin(struct choice *c)
{
	struct pulls *pulls = c->pull->all;
	const struct source_blob *next;

	lock_take(&pulls->lock);
	next = pull_origin_after_locked(c->pull, c->what);
	lock_drop(&pulls->lock);
	if (next)
		c->what = next;
	return next;
}

bool choice_again(struct choice *c)
{
	if (c->desperate || !shunned(c))
		return false;
	c->desperate = true;
	c->what = &c->pull->what;
	begin(c);
	return true;
}
