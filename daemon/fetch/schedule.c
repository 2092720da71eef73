/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/schedule.h"

#include <assert.h>
#include <errno.h>

#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"

void schedule_init(struct schedule *s)
{
	*s = (struct schedule){ 0 };
	pace_init(&s->pace);
}

void fill_init(struct fill *f, struct schedule *s, struct blob *blob)
{
	*f = (struct fill){ .all = s, .blob = blob };
}

/* ---- wants ---- */

static void want_link(struct want *w)
{
	struct want_queue *q = &w->fill->all->wants[w->urgency];

	w->prev = q->last;
	if (q->last)
		q->last->next = w;
	else
		q->first = w;
	q->last = w;
	w->fill->want_count++;
}

static void want_free(struct want *w)
{
	struct want_queue *q = &w->fill->all->wants[w->urgency];

	if (w->prev)
		w->prev->next = w->next;
	else
		q->first = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		q->last = w->prev;
	w->fill->want_count--;
	free(w);
}

/* True if one run may well bring both. Whoever waits for bytes far behind the start of a want is
 * better off with a run of his own. */
static bool goes_with(const struct want *w, uint64_t from, uint64_t to)
{
	if (from > w->to || w->from > to)
		return false;
	return w->urgency != URGENCY_DEMAND || from < w->from + RUN_NEAR;
}

/* A want of the same kind that touches [from, to). */
static struct want *want_near(const struct want *as)
{
	if (as->fill->want_count == 0)
		return NULL;
	for (struct want *w = as->fill->all->wants[as->urgency].first; w; w = w->next)
		if (w->fill == as->fill && w->guest == as->guest && goes_with(w, as->from, as->to))
			return w;
	return NULL;
}

/* Wants the same as `as`, which is copied. */
static int want_add(const struct want *as)
{
	struct want *w = want_near(as);

	if (w) {
		w->from = min_u64(w->from, as->from);
		w->to = max_u64(w->to, as->to);
		w->run_max = max_u64(w->run_max, as->run_max);
		return 0;
	}
	w = malloc(sizeof(*w));
	if (!w)
		return -ENOMEM;
	*w = *as;
	want_link(w);
	return 0;
}

static void unwant(struct fill *f, enum urgency u)
{
	struct want *next;

	for (struct want *w = f->want_count ? f->all->wants[u].first : NULL; w; w = next) {
		next = w->next;
		if (w->fill == f)
			want_free(w);
	}
}

void fill_unwant_ahead(struct fill *f)
{
	for (enum urgency u = URGENCY_AHEAD; u < URGENCY_COUNT; u++)
		unwant(f, u);
}

/* ---- runs ---- */

/* What brings the byte at off, or has brought it of a chunk that is not complete yet. A chunk that
 * it has passed is there, or was lost since: then another one may bring it. */
static struct run *run_at(const struct fill *f, uint64_t off)
{
	uint64_t end = chunk_end(chunk_of(off), blob_size(f->blob));

	for (struct run *run = f->runs; run; run = run->next)
		if (!run->direct && off >= run->start && off < run->end && run->pos < run->end &&
		    run->pos < end)
			return run;
	return NULL;
}

static void run_link(struct run *run, int64_t now_ms)
{
	struct fill *f = run->fill;

	run->began_ms = run->moved_ms = run->brought_ms = now_ms;
	run->prev = NULL;
	run->next = f->runs;
	if (f->runs)
		f->runs->prev = run;
	f->runs = run;
	if (f->run_count++ > 0)
		return;
	f->prev = NULL;
	f->next = f->all->busy;
	if (f->next)
		f->next->prev = f;
	f->all->busy = f;
}

static void fill_idle(struct fill *f)
{
	if (f->prev)
		f->prev->next = f->next;
	else
		f->all->busy = f->next;
	if (f->next)
		f->next->prev = f->prev;
}

void run_free(struct run *run)
{
	struct fill *f = run->fill;

	if (run->prev)
		run->prev->next = run->next;
	else
		f->runs = run->next;
	if (run->next)
		run->next->prev = run->prev;
	f->all->direct_count -= run->direct;
	if (--f->run_count == 0)
		fill_idle(f);
	free(run->bytes);
	free(run);
}

uint64_t fill_until(const struct fill *f, uint64_t off)
{
	const struct run *run;

	if (blob_has(f->blob, chunk_of(off)))
		return chunk_end(chunk_of(off), blob_size(f->blob));
	run = run_at(f, off);
	return run && run->pos > off ? run->pos : off;
}

static void drop_direct(struct fill *f)
{
	struct run **at = &f->all->direct, *run;

	while ((run = *at)) {
		if (run->fill != f) {
			at = &run->next;
			continue;
		}
		*at = run->next;
		free(run);
	}
}

/* Of what a hub was asked for all that would come soon has most likely been sent. */
static uint64_t sent_end(const struct run *run, int64_t now_ms)
{
	uint64_t brought = run->pos - run->start;
	uint64_t soon = max_u64(run->fill->all->soon, RUN_NEAR); /* as asking_begin() has it */

	if (!run->under_way || run->asked)
		return run->asked;
	if (brought)
		soon = brought * RUN_SOON_MS / (uint64_t)max_i64(now_ms - run->began_ms, 1);
	return chunk_floor(run->pos + min_u64(soon, RUN_BYTES_MAX));
}

/* A chunk further: its carrier cannot have passed that without telling. */
static uint64_t nearest_end(const struct run *run)
{
	return min_u64(run->end, chunk_ceil(run->pos + CHUNK_BYTES, blob_size(run->fill->blob)));
}

static void unwant_all(struct fill *f)
{
	for (enum urgency u = 0; u < URGENCY_COUNT; u++)
		unwant(f, u);
	drop_direct(f);
}

/* What is on its way would be so all the same: who comes next would ask for it again. */
void fill_leave(struct fill *f, int64_t now_ms)
{
	unwant_all(f);
	for (struct run *run = f->runs; run; run = run->next)
		if (!run->direct)
			run->end =
				min_u64(run->end, max_u64(nearest_end(run), sent_end(run, now_ms)));
}

void fill_give_up(struct fill *f)
{
	unwant_all(f);
	for (struct run *run = f->runs; run; run = run->next)
		if (!run->direct)
			run->end = nearest_end(run);
}

/* One past what is there or on its way from off on; off if that chunk is neither. */
static uint64_t taken_until(const struct fill *f, uint64_t off)
{
	const struct run *run = run_at(f, off);

	if (run)
		return run->end;
	if (blob_may_have(f->blob, chunk_of(off)))
		return chunk_end(chunk_of(off), blob_size(f->blob));
	return off;
}

/* Moves the start of a want to its first chunk that is neither there nor on its way. */
static bool want_has_gap(struct want *w)
{
	uint64_t until;

	while (w->from < w->to && (until = taken_until(w->fill, w->from)) > w->from)
		w->from = until;
	return w->from < w->to;
}

static uint64_t gap_end(const struct want *w)
{
	uint64_t end = w->from;
	uint64_t max = min_u64(w->to, w->from + max_u64(w->run_max, RUN_BYTES_MIN));
	uint64_t border = w->fill->all->border;

	if (border)
		max = min_u64(max, (w->from / border + 1) * border);
	while (end < max && taken_until(w->fill, end) == end)
		end = chunk_end(chunk_of(end), blob_size(w->fill->blob));
	return end;
}

/* Cuts a run from a want that has a gap. NULL: no memory; the want stays. */
static struct run *run_cut(struct want *w, int64_t now_ms)
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run)
		return NULL;
	run->fill = w->fill;
	run->urgency = w->urgency;
	run->guest = w->guest;
	run->start = run->pos = w->from;
	run->end = gap_end(w);
	w->from = run->end;
	run_link(run, now_ms);
	return run;
}

/* ---- wanting ---- */

/* Gives what a run was to bring from `from` on back to those who want it; the demand itself is
 * wanted by the caller. */
static int run_give_back(struct run *run, uint64_t from)
{
	const struct want rest = {
		.fill = run->fill,
		.urgency = run->urgency,
		.from = from,
		.to = run->end,
		.run_max = RUN_BYTES_MAX,
		.guest = run->guest,
	};

	run->end = from;
	return want_add(&rest);
}

/* True if a run will have come to `off` before another could. What was cut off would be on its way
 * all the same for a while, for nobody: what was asked for to come soon has the time to do so. */
static bool comes_soon(const struct run *run, uint64_t off, int64_t now_ms)
{
	uint64_t left = off - run->pos, brought = run->pos - run->start;
	int64_t took = now_ms - run->began_ms;

	if (off < run->pos + RUN_NEAR || took < (off < run->asked ? RUN_SOON_MS : RUN_YOUNG_MS))
		return true;
	return brought && (double)left / (double)brought * (double)took < RUN_SOON_MS;
}

static int demand(struct want w, int64_t now_ms)
{
	struct fill *f = w.fill;
	uint64_t until;
	int r = 0;

	w.from = chunk_floor(w.from);
	w.to = chunk_ceil(w.to, blob_size(f->blob));
	while (r == 0 && w.from < w.to && !blob_is_sealed(f->blob)) {
		struct run *run = run_at(f, w.from);

		if (run && w.from > run->pos && !comes_soon(run, w.from, now_ms))
			r = run_give_back(run, w.from);
		else if (run)
			run->demanded = max_u64(run->demanded, w.to);
		until = taken_until(f, w.from);
		if (until == w.from)
			return r == 0 ? want_add(&w) : r;
		w.from = until;
	}
	return r;
}

int fill_demand(struct fill *f, uint64_t from, uint64_t to, uint64_t run_max, int64_t now_ms)
{
	return demand((struct want){ .fill = f, .from = from, .to = to, .run_max = run_max },
		      now_ms);
}

int fill_demand_for_guest(struct fill *f, uint64_t from, uint64_t to, uint64_t run_max,
			  int64_t now_ms)
{
	return demand(
		(struct want){
			.fill = f, .from = from, .to = to, .run_max = run_max, .guest = true },
		now_ms);
}

int fill_want(struct fill *f, uint64_t from, uint64_t to, enum urgency u, uint64_t run_max)
{
	assert(u != URGENCY_DEMAND);
	from = chunk_floor(from);
	to = chunk_ceil(to, blob_size(f->blob));
	if (from >= to || blob_is_sealed(f->blob))
		return 0;
	return want_add(&(struct want){
		.fill = f, .urgency = u, .from = from, .to = to, .run_max = run_max });
}

int fill_direct(struct fill *f, uint64_t off, uint64_t len)
{
	struct run *run = calloc(1, sizeof(*run)), **end = &f->all->direct;

	if (!run)
		return -ENOMEM;
	run->direct = true;
	run->fill = f;
	run->urgency = URGENCY_DEMAND;
	run->start = run->pos = off;
	run->end = off + len;
	while (*end)
		end = &(*end)->next;
	*end = run;
	return 0;
}

/* ---- turns ---- */

enum urgency run_urgency(const struct run *run)
{
	return run->pos < run->demanded ? URGENCY_DEMAND : run->urgency;
}

static bool is_moving(const struct run *run, enum urgency least, int64_t now_ms)
{
	return run_urgency(run) <= least && !run->resting &&
	       (run->paused || now_ms - run->moved_ms < RUN_STALL_MS);
}

unsigned schedule_moving(const struct schedule *s, enum urgency least, int64_t now_ms)
{
	unsigned n = 0;

	for (const struct fill *f = s->busy; f; f = f->next)
		for (const struct run *run = f->runs; run; run = run->next)
			n += is_moving(run, least, now_ms);
	return n;
}

/* The same without those that others have coming: a demand does not wait for these. */
static unsigned count_bringing(const struct schedule *s, enum urgency least, int64_t now_ms)
{
	unsigned n = 0;

	for (const struct fill *f = s->busy; f; f = f->next)
		for (const struct run *run = f->runs; run; run = run->next)
			n += !run->waiting && is_moving(run, least, now_ms);
	return n;
}

/* True if only those may start that others wait for: the rest could come to wait for others. */
static bool is_for_guests(const struct schedule *s)
{
	unsigned n = 0;

	if (!s->waits_max)
		return false;
	for (const struct fill *f = s->busy; f; f = f->next)
		for (const struct run *run = f->runs; run; run = run->next)
			n += !run->guest && !run->first_hand;
	return n >= s->waits_max;
}

unsigned schedule_busy(const struct schedule *s)
{
	unsigned n = 0;

	for (const struct fill *f = s->busy; f; f = f->next)
		n++;
	return n;
}

bool run_yield(struct run *run, int64_t now_ms)
{
	const struct schedule *s = run->fill->all;

	if (run->direct || run->pos != chunk_floor(run->pos) ||
	    schedule_moving(s, URGENCY_BACKGROUND, now_ms) <= s->pace.limit)
		return false;
	return run_give_back(run, run->pos) == 0;
}

/* Those who wait for bytes are held back only after a server has asked for it; then one of the
 * places is left for them. */
static bool may_start(const struct schedule *s, enum urgency u, int64_t now_ms)
{
	bool careful = pace_is_careful(&s->pace, now_ms);
	enum urgency least = careful ? URGENCY_BACKGROUND : u;
	unsigned limit = s->pace.limit;

	if (u == URGENCY_DEMAND)
		return count_bringing(s, least, now_ms) < (careful ? limit : PACE_MAX);
	if (careful && limit > 1)
		limit--;
	return schedule_moving(s, least, now_ms) < limit;
}

/* The want whose turn it is: of the blob with the fewest runs, else the oldest. Those that have
 * nothing left to bring end here. */
static struct want *want_next(struct schedule *s, enum urgency u)
{
	struct want *best = NULL, *next;
	bool guests = is_for_guests(s);

	for (struct want *w = s->wants[u].first; w; w = next) {
		next = w->next;
		if (guests && !w->guest)
			continue;
		if (best && w->fill->run_count >= best->fill->run_count)
			continue;
		if (want_has_gap(w))
			best = w;
		else
			want_free(w);
		if (best && best->fill->run_count == 0)
			break;
	}
	return best;
}

static struct want *find_next(struct schedule *s, int64_t now_ms)
{
	for (enum urgency u = 0; u < URGENCY_COUNT; u++) {
		struct want *w = s->wants[u].first ? want_next(s, u) : NULL;

		if (w && may_start(s, u, now_ms))
			return w;
		if (w)
			pace_wanted(&s->pace);
	}
	return NULL;
}

static bool direct_may_start(const struct schedule *s)
{
	return s->direct && s->direct_count < RUN_DIRECT_MAX;
}

bool schedule_has_next(struct schedule *s, int64_t now_ms)
{
	return direct_may_start(s) || find_next(s, now_ms);
}

struct run *schedule_next(struct schedule *s, int64_t now_ms)
{
	struct run *run = s->direct;
	struct want *w;

	if (direct_may_start(s)) {
		s->direct = run->next;
		s->direct_count++;
		run_link(run, now_ms);
		return run;
	}
	w = find_next(s, now_ms);
	run = w ? run_cut(w, now_ms) : NULL;
	if (run && w->from >= w->to)
		want_free(w);
	return run;
}
