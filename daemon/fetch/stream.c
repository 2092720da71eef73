/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/fetch/asking.h"
#include "daemon/fetch/choice.h"
#include "daemon/fetch/landing.h"
#include "daemon/fetch/retry.h"

#define FAILURES_MAX 5  /* of one run in a row, over all sources */
#define TRICKLE_MS 2000 /* a request may bring less than SOURCE_TRICKLE_RATE for so long */
#define LONG_MS 3000    /* a hub takes for what it is asked for at a time, if all is well */
#define PAUSE_MS 100    /* of a pause at a time, so that a stop is noticed */
#define YIELD_MS 20     /* pause of others after each piece while somebody waits for bytes */
#define OUTAGE_MS 5000  /* so long after a hub has failed another node's word for it is believed */
#define ENOUGH 1        /* the sink's word for "the run has ended nearer than asked" */

struct streams {
	struct streams_conf conf;
	atomic_int stop;
	/* Guarded by conf.pulls->lock. */
	unsigned threads, idle;
	struct cond ended;
};

/* One run on its way. land.pos and end are this thread's copies of the run's. */
struct carrier {
	struct streams *all;
	struct run *run;
	struct pull *pull;
	struct landing land;
	struct retry retry;
	struct choice choice; /* who is being asked, for which place */
	/* This request: its words, when it went out, from where, and up to where. */
	struct source_ask ask;
	int64_t asked_ms;
	uint64_t asked_pos, asked_end;
	uint64_t end;
	enum urgency urgency; /* as it was last known */
	int refused;          /* the first failure that waiting cannot mend, or 0 */
	int passing;          /* the last one in this round over the sources that it can, or 0 */
	const char *blamed;   /* the source of the last failure that was noted, or NULL */
};

/* When the run gives up: before the deadline of the last reader who waits for bytes of it, so that
 * he learns the reason, however long it took before he came. */
static int64_t until_locked(const struct carrier *c)
{
	int64_t until_ms = c->retry.deadline_ms, early_ms = c->all->conf.give_up_ms / 4;

	for (const struct waiter *w = c->pull->waiters.first; w; w = w->next)
		if (!w->only && !w->verdict && w->off < c->run->end &&
		    w->off + w->len > c->run->pos)
			until_ms = max_i64(until_ms, w->deadline_ms - early_ms);
	return until_ms;
}

static void note_urgency_locked(struct carrier *c)
{
	int64_t failed_ms = c->all->conf.pulls->failed_ms;

	c->urgency = run_urgency(c->run);
	c->ask.demand = c->urgency == URGENCY_DEMAND;
	c->ask.failing = failed_ms && clock_ms() - failed_ms < OUTAGE_MS;
	c->ask.until_ms = until_locked(c);
}

/* The disk takes bytes again, if it did not and has not refused any for a while. */
static void note_kept_locked(struct carrier *c, int64_t now_ms)
{
	struct pulls *pulls = c->all->conf.pulls;

	if (c->run->direct || !pulls->full_ms || now_ms - pulls->full_ms < UNKEPT_MS)
		return;
	pulls->full_ms = 0;
	log_info("the cache takes bytes again");
}

/* Without one more thread those that run come to it, later. */
static void kick_another_locked(struct streams *s)
{
	if (streams_kick_locked(s) < 0)
		log_debug("no further stream thread can be started");
}

static void note_source_locked(struct carrier *c)
{
	c->pull->sources_used |= UINT64_C(1) << c->choice.source;
	c->pull->source = c->all->conf.sources[c->choice.source]->name;
}

/* Tells the others how far we have come, and learns whether the run ends nearer now and for how
 * long more urgent ones should have the line to themselves. */
static int64_t publish(struct carrier *c, uint64_t brought)
{
	struct pulls *pulls = c->all->conf.pulls;
	struct waitlist settled = { 0 };
	int64_t now = clock_ms(), yield = 0;

	lock_take(&pulls->lock);
	if (c->land.pos > c->run->pos) {
		rate_add(&c->pull->rate, now, c->land.pos - c->run->pos);
		c->retry.deadline_ms = now + c->all->conf.give_up_ms;
	}
	asking_heard(c->run, c->land.pos, now);
	c->run->waiting = !brought;
	c->pull->moved_ms = now;
	c->end = c->run->end;
	if (brought)
		note_source_locked(c);
	else
		kick_another_locked(c->all);
	note_kept_locked(c, now);
	pull_settle_ready_locked(c->pull, &settled);
	pull_hash_kick_locked(c->pull);
	if (pace_bytes(&pulls->schedule.pace, brought, now))
		kick_another_locked(c->all);
	note_urgency_locked(c);
	if (c->urgency >= URGENCY_PREFETCH &&
	    schedule_moving(&pulls->schedule, URGENCY_DEMAND, now))
		yield = YIELD_MS;
	lock_drop(&pulls->lock);
	waitlist_wake(&settled);
	return yield;
}

/* Somebody may have come to wait for what it brings. */
static void look_who_waits(void *arg)
{
	struct carrier *c = arg;
	struct pulls *pulls = c->all->conf.pulls;

	lock_take(&pulls->lock);
	note_urgency_locked(c);
	lock_drop(&pulls->lock);
}

/* Takes nothing more for as long as limits and more urgent ones ask for. */
static void hold_back(struct carrier *c, uint64_t brought, int64_t yield_ms)
{
	int64_t owed = throttle_pause_ms(c->all->conf.throttle, c->urgency, brought);
	int64_t ms = owed > yield_ms ? owed : yield_ms;

	if (ms <= 0)
		return;
	landing_pause(&c->land, true);
	for (; ms > 0 && !atomic_load(&c->all->stop);
	     ms = throttle_pause_ms(c->all->conf.throttle, c->urgency, 0)) {
		clock_sleep_ms(ms < PAUSE_MS ? ms : PAUSE_MS);
		look_who_waits(c);
	}
	landing_pause(&c->land, false);
}

/* True if so little comes that another connection, or another source, is worth a try: what has come
 * is not lost. A source of hearsay tells by itself who of those behind it is slow, and bytes may
 * begin late there: they pass through many hands. */
static bool is_trickle(const struct carrier *c)
{
	int64_t took = clock_ms() - c->asked_ms - c->land.held_ms;

	return !c->all->conf.sources[c->choice.source]->hearsay && took > TRICKLE_MS &&
	       (c->land.pos - c->asked_pos) * 1000 / (uint64_t)took < SOURCE_TRICKLE_RATE;
}

static int on_bytes(void *arg, const void *data, size_t len)
{
	struct carrier *c = arg;
	int64_t yield_ms;
	int r;

	assert(len <= SOURCE_PIECE_MAX);
	if (!len) {
		publish(c, 0);
		return c->land.pos >= c->end ? ENOUGH : 0;
	}
	r = landing_put(&c->land, data, len, c->end);
	if (r < 0)
		return r;
	retry_reset(&c->retry);
	yield_ms = publish(c, len);
	hold_back(c, len, yield_ms);
	c->retry.deadline_ms = clock_ms() + c->all->conf.give_up_ms;
	if (c->land.pos >= c->end)
		return ENOUGH;
	return is_trickle(c) ? ERR_TIMEOUT : 0;
}

/* Nothing is told of what nobody has compared: no reader gets it, or is given more time for it. */
static int on_bytes_to_compare(void *arg, const void *data, size_t len)
{
	struct carrier *c = arg;

	assert(len <= SOURCE_PIECE_MAX);
	return landing_put(&c->land, data, len, c->end);
}

static void on_take_back(void *arg)
{
	struct carrier *c = arg;

	landing_take_back(&c->land);
}

/* Whoever is asked says who else may start meanwhile: see schedule.h. False if nothing is left to
 * be asked for. */
static bool begin_request(struct carrier *c, const struct source *src)
{
	struct pulls *pulls = c->all->conf.pulls;

	lock_take(&pulls->lock);
	c->end = c->run->end;
	note_urgency_locked(c);
	c->asked_ms = clock_ms();
	c->asked_pos = c->land.pos;
	c->asked_end =
		asking_begin(c->run, c->land.pos, c->choice.source, !src->hearsay, c->asked_ms);
	if (pulls->schedule.waits_max && !src->hearsay)
		kick_another_locked(c->all);
	lock_drop(&pulls->lock);
	c->land.held_ms = 0;
	return c->asked_end > c->asked_pos;
}

static void end_request(struct carrier *c, const struct source *src, int r)
{
	struct pulls *pulls = c->all->conf.pulls;

	lock_take(&pulls->lock);
	asking_end(c->run, c->land.pos - min_u64(c->asked_pos, c->land.pos),
		   clock_ms() - c->asked_ms - c->land.held_ms);
	lock_drop(&pulls->lock);
	if (r == ENOUGH && c->land.pos < c->asked_end)
		log_debug("request cut short source=%s etag=%s from=%llu at=%llu before=%llu",
			  src->name, c->pull->what.etag, (unsigned long long)c->asked_pos,
			  (unsigned long long)c->land.pos, (unsigned long long)c->asked_end);
}

static int ask_source(struct carrier *c)
{
	struct source *src = c->all->conf.sources[c->choice.source];
	int r;

	c->ask = (struct source_ask){
		.blob = &c->choice.origin->what,
		.off = c->land.pos,
		.deadline_ms = CLOCK_FOREVER, /* silence ends a request, length does not */
		.cancel = &c->run->cancel,
		.look = look_who_waits,
		.sink = on_bytes,
		.lay = c->run->direct ? NULL : on_bytes_to_compare,
		.take_back = on_take_back,
		.arg = c,
	};
	if (!begin_request(c, src))
		return 0;
	c->ask.len = c->asked_end - c->ask.off;
	r = src->get(src, &c->ask, &c->retry.asked_ms);
	end_request(c, src, r);
	if (r == ENOUGH || (r == 0 && c->land.pos == c->asked_end))
		return 0;
	return r == 0 ? ERR_CUT : r;
}

/* A server has more than it can do: there are to be fewer requests; this may be one too many. */
static void slow_down(struct carrier *c, int r)
{
	struct pulls *pulls = c->all->conf.pulls;
	struct schedule *s = &pulls->schedule;
	int64_t now = clock_ms();

	lock_take(&pulls->lock);
	if (r == ERR_BUSY)
		pace_refused(&s->pace, schedule_moving(s, URGENCY_BACKGROUND, now),
			     c->retry.asked_ms, now);
	else
		pace_failed(&s->pace, now);
	c->run->pos = c->land.pos;
	/* Of what nobody reads any more nothing may be wanted again. */
	if (r == ERR_BUSY && c->pull->readers && run_yield(c->run, now))
		c->end = c->land.pos;
	lock_drop(&pulls->lock);
}

/* True if failure r is tried again until the deadline, not just a few times: who is told to come
 * later has been heard; and where nodes share, others wait for what this one is to bring. */
static bool is_lasting(const struct carrier *c, int r)
{
	return r == ERR_BUSY || c->all->conf.pulls->schedule.waits_max;
}

/* Waits before the next try; others may use the time. */
static int rest(struct carrier *c, int r)
{
	struct pulls *pulls = c->all->conf.pulls;

	lock_take(&pulls->lock);
	c->run->resting = c->run->failing = true;
	c->retry.deadline_ms = until_locked(c);
	kick_another_locked(c->all);
	lock_drop(&pulls->lock);
	if (is_lasting(c, r) && c->retry.failures > FAILURES_MAX / 2)
		c->retry.failures = FAILURES_MAX / 2;
	r = retry_wait(&c->retry, r);
	lock_take(&pulls->lock);
	c->run->resting = false;
	lock_drop(&pulls->lock);
	return r;
}

/* For other runs of this node, which may be others' to bring. */
static void note_outage(struct carrier *c)
{
	struct pulls *pulls = c->all->conf.pulls;

	lock_take(&pulls->lock);
	pulls->failed_ms = clock_ms();
	lock_drop(&pulls->lock);
}

/* For who asks why; also while it is tried again. */
static void note_failure(struct carrier *c, int r)
{
	const struct streams_conf *conf = &c->all->conf;

	if (retry_passes(r) && !conf->sources[c->choice.source]->hearsay)
		note_outage(c);
	c->blamed = conf->sources[c->choice.source]->name;
	if (conf->failures)
		failures_note(conf->failures, c->pull->what.etag, c->blamed, r);
}

/* All sources have had their turn. */
static int after_round(struct carrier *c)
{
	int r = c->passing;

	c->passing = 0;
	if (r)
		return rest(c, r);
	if (choice_next_origin(&c->choice) || choice_again(&c->choice))
		return 0;
	if (c->choice.desperate)
		return ERR_DIGEST;
	return c->refused ? c->refused : ERR_OFFLINE; /* those who pass have no one to pass to */
}

/* True if other nodes say, when time is over, that hubs fail: they are not asked once more. */
static bool is_told(struct carrier *c, int r)
{
	struct pulls *pulls = c->all->conf.pulls;
	bool over;

	lock_take(&pulls->lock);
	over = clock_ms() >= until_locked(c);
	lock_drop(&pulls->lock);
	return over && r == ERR_UPSTREAM && c->all->conf.sources[c->choice.source]->hearsay;
}

/* Decides what follows failure r: 0 to ask again (perhaps elsewhere, perhaps after a pause), or the
 * failure the run ends with. It ends when waiting cannot mend what any of the sources said. */
static int after_failure(struct carrier *c, int r)
{
	if (r == ERR_CANCELED || r == ERR_STOPPING)
		return r;
	if (r == SOURCE_PASS)
		return choice_next(&c->choice) ? after_round(c) : 0;
	if (err_is_disk(r))
		return landing_make_room(&c->land, r) ? 0 : r;
	if (is_told(c, r))
		return r;
	if (r == ERR_BUSY || r == ERR_SERVER)
		slow_down(c, r);
	if (c->land.pos == c->end)
		return rest(c, r);
	log_line_err(LOG_LEVEL_DEBUG, NULL, r, "fetch failed source=%s etag=%s off=%llu",
		     c->all->conf.sources[c->choice.source]->name, c->pull->what.etag,
		     (unsigned long long)c->land.pos);
	note_failure(c, r);
	if (retry_passes(r))
		c->passing = r;
	else if (!c->refused ||
		 err_errno(c->refused) == ENOENT) /* that one has not got it says least */
		c->refused = r;
	return choice_next(&c->choice) ? after_round(c) : 0;
}

/* True if another node may have come to what is left meanwhile. */
static bool was_long(const struct carrier *c)
{
	return c->all->conf.pulls->schedule.waits_max &&
	       (c->blamed || clock_ms() - c->asked_ms > LONG_MS);
}

/* Asks until the run has all its bytes or nothing helps. */
static int carry_bytes(struct carrier *c)
{
	int r = 0;

	while (r == 0 && c->land.pos < c->end) {
		if (atomic_load(&c->all->stop))
			return ERR_STOPPING;
		if (!choice_may_ask(&c->choice))
			return ERR_DIGEST;
		r = ask_source(c);
		if (r != 0)
			r = after_failure(c, r);
		else if (was_long(c))
			choice_begin(&c->choice);
	}
	return r;
}

/* Says once that the disk is full, not for each run. */
static void report_full(struct carrier *c, int r)
{
	struct pulls *pulls = c->all->conf.pulls;
	bool before;

	lock_take(&pulls->lock);
	before = pulls->full_ms;
	pulls->full_ms = clock_ms();
	lock_drop(&pulls->lock);
	if (before)
		return;
	if (r == ERR_FULL)
		log_warn(r, "what is open, pinned or was read just now fills the cache: files are "
			    "served without being kept, until some of it can go");
	else
		log_warn(r, "the cache's disk takes no bytes: files are served without being kept, "
			    "until it does again (make room on it, or give the cache less: "
			    "--cache-size)");
}

static void report(struct carrier *c, int r)
{
	const struct source_blob *what = &c->choice.origin->what;

	if (r >= 0 || r == ERR_CANCELED || r == ERR_STOPPING)
		return;
	if (!c->blamed || err_is_disk(r))
		note_failure(c, r);
	if (err_is_disk(r))
		report_full(c, r);
	else
		log_err(r, "cannot fetch path=%s repo=%s commit=%s off=%llu source=%s", what->path,
			what->repo.name, what->commit, (unsigned long long)c->land.pos, c->blamed);
}

/* What a run needs before its first byte. */
static int prepare(struct carrier *c)
{
	struct streams *s = c->all;

	if (!s->conf.source_count)
		return ERR_OFFLINE;
	choice_init(&c->choice, c->pull, s->conf.sources, s->conf.source_count);
	retry_init(&c->retry, FAILURES_MAX, clock_ms() + s->conf.give_up_ms, c->land.pos);
	c->retry.stop = &s->stop;
	return landing_init(&c->land);
}

static void carry(struct streams *s, struct run *run)
{
	struct pull *p = pull_of(run);
	struct carrier c = {
		.all = s,
		.run = run,
		.pull = p,
		.land = { run, p, s->conf.make_room, s->conf.arg, .pos = run->pos },
	};
	struct pulls *pulls = s->conf.pulls;
	struct waitlist settled = { 0 };
	struct pull *idle;
	int r = prepare(&c);

	lock_take(&pulls->lock);
	c.end = run->end;
	lock_drop(&pulls->lock);
	if (r == 0)
		r = carry_bytes(&c);
	if (s->conf.source_count)
		report(&c, r);
	landing_fini(&c.land);
	lock_take(&pulls->lock);
	run->bytes = steal(c.land.bytes);
	pull_end_run_locked(run, r, &settled);
	pull_hash_kick_locked(p);
	idle = pull_if_idle_locked(p);
	lock_drop(&pulls->lock);
	waitlist_wake(&settled);
	pull_free(idle);
}

static void *stream_main(void *arg)
{
	struct streams *s = arg;
	struct pulls *pulls = s->conf.pulls;
	int r = 0;

	lock_take(&pulls->lock);
	while (!pulls->stop) {
		struct run *run = schedule_next(&pulls->schedule, clock_ms());

		if (run) {
			r = 0;
			kick_another_locked(s);
			lock_drop(&pulls->lock);
			carry(s, run);
			lock_take(&pulls->lock);
			continue;
		}
		if (r == -ETIMEDOUT)
			break;
		s->idle++;
		r = cond_wait(&pulls->work, &pulls->lock, clock_ms() + s->conf.idle_ms);
		s->idle--;
	}
	s->threads--;
	cond_wake_all(&s->ended);
	lock_drop(&pulls->lock);
	return NULL;
}

int streams_new(const struct streams_conf *conf, struct streams **ret)
{
	struct streams *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	assert(conf->source_count <= SCHEDULE_HUBS_MAX);
	s->conf = *conf;
	cond_init(&s->ended);
	*ret = s;
	return 0;
}

int streams_kick_locked(struct streams *s)
{
	struct pulls *pulls = s->conf.pulls;
	pthread_t thread;
	int r;

	if (pulls->stop || !schedule_has_next(&pulls->schedule, clock_ms()))
		return 0;
	if (s->idle)
		cond_wake_one(&pulls->work);
	if (s->idle || s->threads >= s->conf.threads_max)
		return 0;
	r = thread_start(&thread, "mfs-stream", stream_main, s);
	if (r < 0)
		return s->threads ? 0 : r; /* those that run will come to it */
	pthread_detach(thread);
	s->threads++;
	return 0;
}

static int cancel_runs(void *arg, void *value)
{
	struct streams *s = arg;
	struct pull *p = value;

	for (struct run *run = p->fill.runs; run; run = run->next)
		httpc_cancel(s->conf.http, &run->cancel);
	return 0;
}

void streams_stop(struct streams *s)
{
	struct pulls *pulls = s->conf.pulls;

	atomic_store(&s->stop, 1);
	lock_take(&pulls->lock);
	map_each(&pulls->by_etag, cancel_runs, s);
	cond_wake_all(&pulls->work);
	while (s->threads)
		cond_wait(&s->ended, &pulls->lock, CLOCK_FOREVER);
	lock_drop(&pulls->lock);
}

void streams_free(struct streams *s)
{
	if (!s)
		return;
	cond_fini(&s->ended);
	free(s);
}
