/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/xet/gather.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/num.h"
#include "daemon/xet/xorb.h"

#define BESIDE_MAX (4u << 20) /* that waits and is not in the range: ends of terms */

struct kept {
	char *data;
	uint32_t part, chunk, len;
};

#define EACH (sizeof(struct kept) + 32) /* what one that waits costs beside its bytes */

struct gather {
	const struct rebuild *plan;
	gather_fn fn;
	void *arg;
	uint64_t skip, left; /* bytes to come that are not given, and that are */
	/* What is next: that chunk of that term, of which so many bytes went. */
	size_t term;
	uint32_t chunk;
	uint64_t of_term;
	struct buf kept; /* struct kept */
	uint64_t kept_bytes, kept_max;
	/* Of the last term: the next chunk to come, how many bytes of the range are in those that
	 * have not come, and behind which chunk the range ends, as far as is known. */
	uint32_t last_next, last_to;
	uint64_t last_left;
};

static void find_last(struct gather *a)
{
	size_t last = rebuild_term_count(a->plan) - 1;

	a->last_left = a->skip + a->left;
	for (size_t i = 0; i < last; i++)
		a->last_left -= min_u64(a->last_left, rebuild_term(a->plan, i)->bytes);
	a->last_next = rebuild_term(a->plan, last)->from;
	a->last_to = rebuild_term(a->plan, last)->to;
}

int gather_new(const struct rebuild *plan, uint64_t len, gather_fn fn, void *arg,
	       struct gather **ret)
{
	struct gather *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->plan = plan;
	a->fn = fn;
	a->arg = arg;
	a->skip = plan->skip;
	a->left = len;
	a->chunk = rebuild_term(plan, 0)->from;
	a->kept_max = len + BESIDE_MAX;
	find_last(a);
	*ret = a;
	return 0;
}

static size_t count(const struct gather *a)
{
	return a->kept.len / sizeof(struct kept);
}

static struct kept *kept_at(const struct gather *a, size_t i)
{
	return (struct kept *)(void *)a->kept.data + i;
}

static void drop(struct gather *a, size_t i)
{
	a->kept_bytes -= kept_at(a, i)->len + EACH;
	free(kept_at(a, i)->data);
	*kept_at(a, i) = *kept_at(a, count(a) - 1);
	a->kept.len -= sizeof(struct kept);
}

void gather_free(struct gather *a)
{
	if (!a)
		return;
	while (count(a))
		drop(a, count(a) - 1);
	buf_free(&a->kept);
	free(a);
}

bool gather_done(const struct gather *a, uint32_t *ret_part)
{
	if (a->left)
		*ret_part = rebuild_term(a->plan, a->term)->part;
	return !a->left;
}

/* Stores may tell of more than was asked for: what is behind the range need not wait. */
static void note_last(struct gather *a, uint32_t part, uint32_t chunk, size_t len)
{
	const struct rebuild_term *last = rebuild_term(a->plan, rebuild_term_count(a->plan) - 1);

	if (part != last->part || chunk != a->last_next || chunk >= a->last_to)
		return;
	a->last_next++;
	a->last_left -= min_u64(a->last_left, len);
	if (!a->last_left)
		a->last_to = a->last_next;
}

static uint32_t end_of_term(const struct gather *a, size_t i)
{
	return i + 1 < rebuild_term_count(a->plan) ? rebuild_term(a->plan, i)->to : a->last_to;
}

/* How often what is still to be given has that chunk; two are as good as many. */
static unsigned wanted(const struct gather *a, uint32_t part, uint32_t chunk)
{
	unsigned times = 0;

	for (size_t i = a->term; times < 2 && a->left && i < rebuild_term_count(a->plan); i++) {
		const struct rebuild_term *t = rebuild_term(a->plan, i);
		uint32_t from = i == a->term ? a->chunk : t->from;

		times += t->part == part && chunk >= from && chunk < end_of_term(a, i);
	}
	return times;
}

static bool is_next(const struct gather *a, uint32_t part, uint32_t chunk)
{
	return a->left && a->chunk == chunk && rebuild_term(a->plan, a->term)->part == part;
}

/* ---- the next chunk goes ---- */

static int step(struct gather *a, size_t len)
{
	const struct rebuild_term *t = rebuild_term(a->plan, a->term);

	a->of_term += len;
	a->chunk++;
	if (a->of_term > t->bytes || (a->chunk == t->to) != (a->of_term == t->bytes))
		return -EBADMSG;
	if (a->chunk < t->to)
		return 0;
	a->term++;
	a->of_term = 0;
	if (a->term < rebuild_term_count(a->plan))
		a->chunk = rebuild_term(a->plan, a->term)->from;
	else if (a->left)
		return -EBADMSG;
	return 0;
}

static int give(struct gather *a, const char *data, size_t len)
{
	uint64_t skip = min_u64(a->skip, len), n = min_u64(len - skip, a->left);
	int r;

	a->skip -= skip;
	a->left -= n;
	r = step(a, len);
	return r < 0 || !n ? r : a->fn(a->arg, data + skip, n);
}

static struct kept *find(const struct gather *a)
{
	for (size_t i = 0; i < count(a); i++)
		if (is_next(a, kept_at(a, i)->part, kept_at(a, i)->chunk))
			return kept_at(a, i);
	return NULL;
}

int gather_go(struct gather *a)
{
	struct kept *k;
	int r = 0;

	while (r == 0 && (k = find(a))) {
		r = give(a, k->data, k->len);
		if (!wanted(a, k->part, k->chunk))
			drop(a, (size_t)(k - kept_at(a, 0)));
	}
	return r;
}

/* ---- a chunk comes ---- */

static int keep(struct gather *a, uint32_t part, uint32_t chunk, const void *data, size_t len)
{
	struct kept k = { malloc(len), part, chunk, (uint32_t)len };

	if (!k.data || buf_add(&a->kept, &k, sizeof(k)) < 0) {
		free(k.data);
		return -ENOMEM;
	}
	memcpy(k.data, data, len);
	a->kept_bytes += len + EACH;
	return a->kept_bytes > a->kept_max ? -E2BIG : 0;
}

int gather_add(struct gather *a, uint32_t part, uint32_t chunk, const void *data, size_t len,
	       bool hold)
{
	bool next = !hold && is_next(a, part, chunk);
	int r = 0;

	note_last(a, part, chunk, len);
	if (wanted(a, part, chunk) > next)
		r = keep(a, part, chunk, data, len);
	if (r < 0 || hold)
		return r;
	if (next && wanted(a, part, chunk) == 1)
		r = give(a, data, len);
	return r == 0 ? gather_go(a) : r;
}
