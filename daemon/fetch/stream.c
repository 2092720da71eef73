/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/fetch/choice.h"
#include "daemon/cache/chunk.h"
#include "daemon/fetch/retry.h"

#define FAILURES_MAX 5  /* of one run in a row, over all sources */
#define TRICKLE_MS 2000 /* a request is given so long to bring TRICKLE_RATE bytes a second */
#define PAUSE_MS 100    /* of a pause at a time, so that a stop is noticed */
#define YIELD_MS 20     /* pause of others after each piece while somebody waits for bytes */
#define ENOUGH 1        /* the sink's word for "the run has ended nearer than asked" */

struct streams {
	struct streams_conf conf;
	atomic_int stop;
	/* Guarded by conf.pulls->lock. */
	unsigned threads, idle;
	struct cond ended;
};

/* One run on its way. pos and end are this thread's copies of the run's. */
struct carrier {
	struct streams *all;
	struct run *run;
	struct pull *pull;
	struct xxh3 *sum; /* of the chunk that pos is in */
	char *bytes;      /* of a direct run; the run's once it has ended */
	struct retry retry;
	struct choice choice; /* who is being asked */
	/* Of this request: when it went out, from where, and how long we held it back since. */
	int64_t asked_ms, held_ms;
	uint64_t asked_pos;
	uint64_t pos, end;
	int refused; /* the first failure that waiting cannot mend, or 0 */
	int passing; /* the last one in this round over the sources that it can, or 0 */
	bool writes; /* the chunk `writing` has been begun, and is not there yet */
	uint32_t writing;
	bool no_room;       /* none could be made: this run does not try again */
	const char *blamed; /* the source of the last failure that was noted, or NULL */
};

/* Nothing is taken from the line meanwhile, which is no fault of the source. */
static void set_paused(struct carrier *c, bool paused)
{
	struct pulls *pulls = c->all->conf.pulls;

	c->held_ms += paused ? -clock_ms() : clock_ms();
	lock_take(&pulls->lock);
	c->run->paused = paused;
	c->run->moved_ms = clock_ms();
	lock_drop(&pulls->lock);
}

/* The cache refused bytes with r: true if others made room and they may be written again. */
static bool make_room(struct carrier *c, int r)
{
	const struct streams_conf *conf = &c->all->conf;

	if (!err_is_full(r) || c->no_room)
		return false;
	set_paused(c, true);
	c->no_room = !conf->make_room(conf->arg, r);
	set_paused(c, false);
	return !c->no_room;
}

/* Past the cache nobody could be given what nobody has verified. */
static bool may_go_beyond(struct carrier *c)
{
	struct pulls *pulls = c->all->conf.pulls;
	bool may;

	lock_take(&pulls->lock);
	may = c->pull->verified_only && c->pull->waiters.first;
	lock_drop(&pulls->lock);
	return may;
}

static int write_piece(struct carrier *c, const char *data, size_t len)
{
	int r;

	do
		r = blob_write(c->pull->blob, data, len, c->pos);
	while (make_room(c, r));
	if (r == ERR_FULL && may_go_beyond(c))
		r = blob_write_beyond(c->pull->blob, data, len, c->pos);
	return r;
}

/* Writes one piece that lies within a chunk. */
static int put_piece(struct carrier *c, const char *data, size_t len)
{
	struct blob *blob = c->pull->blob;
	uint32_t chunk = chunk_of(c->pos);
	int r;

	c->writes = true;
	c->writing = chunk;
	r = write_piece(c, data, len);
	if (r < 0)
		return r;
	xxh3_update(c->sum, data, len);
	c->pos += len;
	if (c->pos < chunk_end(chunk, blob_size(blob)))
		return 0;
	do
		r = blob_put_chunk(blob, chunk, xxh3_value(c->sum));
	while (make_room(c, r));
	xxh3_reset(c->sum);
	c->writes = r < 0;
	if (r < 0)
		c->pos = chunk_start(chunk); /* it is not there: it is asked for again */
	return r;
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
	if (c->pos > c->run->pos) {
		rate_add(&c->pull->rate, now, c->pos - c->run->pos);
		c->run->brought_ms = now;
	}
	c->run->pos = c->pos;
	c->run->moved_ms = now;
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
	if (c->run->urgency >= URGENCY_PREFETCH &&
	    schedule_moving(&pulls->schedule, URGENCY_DEMAND, now))
		yield = YIELD_MS;
	lock_drop(&pulls->lock);
	waitlist_wake(&settled);
	return yield;
}

/* Takes nothing more for as long as limits and more urgent ones ask for. */
static void hold_back(struct carrier *c, uint64_t brought, int64_t yield_ms)
{
	enum urgency u = c->run->urgency;
	int64_t owed = throttle_pause_ms(c->all->conf.throttle, u, brought);
	int64_t ms = owed > yield_ms ? owed : yield_ms;

	if (ms <= 0)
		return;
	set_paused(c, true);
	for (; ms > 0 && !atomic_load(&c->all->stop);
	     ms = throttle_pause_ms(c->all->conf.throttle, u, 0))
		clock_sleep_ms(ms < PAUSE_MS ? ms : PAUSE_MS);
	set_paused(c, false);
}

/* True if so little comes that another connection, or another source, is worth a try: what has come
 * is not lost. A source of hearsay tells by itself who of those behind it is slow, and bytes may
 * begin late there: they pass through many hands. */
static bool is_trickle(const struct carrier *c)
{
	int64_t took = clock_ms() - c->asked_ms - c->held_ms;

	return !c->all->conf.sources[c->choice.source]->hearsay && took > TRICKLE_MS &&
	       (c->pos - c->asked_pos) * 1000 / (uint64_t)took < TRICKLE_RATE;
}

/* Bytes past the cache, for one reader. */
static void put_direct(struct carrier *c, const char *data, size_t len)
{
	uint64_t left = c->end - c->pos;
	size_t n = len < left ? len : (size_t)left;

	memcpy(c->bytes + (c->pos - c->run->start), data, n);
	c->pos += n;
}

static int put_kept(struct carrier *c, const char *data, size_t len)
{
	int r = 0;

	while (r == 0 && len && c->pos < c->end) {
		uint64_t room = chunk_end(chunk_of(c->pos), c->end) - c->pos;
		size_t n = len < room ? len : (size_t)room;

		r = put_piece(c, data, n);
		data += n;
		len -= n;
	}
	return r;
}

static int on_bytes(void *arg, const void *data, size_t len)
{
	struct carrier *c = arg;
	int64_t yield_ms;
	int r = 0;

	assert(len <= SOURCE_PIECE_MAX);
	if (!len) {
		publish(c, 0);
		return c->pos >= c->end ? ENOUGH : 0;
	}
	if (c->run->direct)
		put_direct(c, data, len);
	else
		r = put_kept(c, data, len);
	if (r < 0)
		return r;
	retry_reset(&c->retry);
	yield_ms = publish(c, len);
	hold_back(c, len, yield_ms);
	c->retry.deadline_ms = clock_ms() + c->all->conf.give_up_ms;
	if (c->pos >= c->end)
		return ENOUGH;
	return is_trickle(c) ? ERR_TIMEOUT : 0;
}

/* Whoever is asked says who else may start meanwhile: see schedule.h. */
static void note_asked(struct carrier *c, const struct source *src)
{
	struct pulls *pulls = c->all->conf.pulls;

	lock_take(&pulls->lock);
	c->run->waiting = false;
	c->run->first_hand = !src->hearsay;
	if (pulls->schedule.waits_max && !src->hearsay)
		kick_another_locked(c->all);
	lock_drop(&pulls->lock);
}

static int ask_source(struct carrier *c)
{
	struct source *src = c->all->conf.sources[c->choice.source];
	struct source_ask ask = {
		.blob = c->choice.what,
		.off = c->pos,
		.len = c->end - c->pos,
		.deadline_ms = CLOCK_FOREVER, /* silence ends a request, length does not */
		.demand = c->run->urgency == URGENCY_DEMAND,
		.cancel = &c->run->cancel,
		.sink = on_bytes,
		.arg = c,
	};
	int r;

	note_asked(c, src);
	c->asked_ms = clock_ms();
	c->asked_pos = c->pos;
	c->held_ms = 0;
	r = src->get(src, &ask, &c->retry.asked_ms);
	if (r == ENOUGH || (r == 0 && c->pos == c->end))
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
	c->run->pos = c->pos;
	/* Of what nobody reads any more nothing may be wanted again. */
	if (r == ERR_BUSY && c->pull->readers && run_yield(c->run, now))
		c->end = c->pos;
	lock_drop(&pulls->lock);
}

/* Waits before the next try; others may use the time. */
static int rest(struct carrier *c, int r)
{
	struct pulls *pulls = c->all->conf.pulls;

	lock_take(&pulls->lock);
	c->run->resting = true;
	kick_another_locked(c->all);
	lock_drop(&pulls->lock);
	/* Who is told to come later has been heard: that ends with the deadline, not before. */
	if (r == ERR_BUSY && c->retry.failures > FAILURES_MAX / 2)
		c->retry.failures = FAILURES_MAX / 2;
	r = retry_wait(&c->retry, r);
	lock_take(&pulls->lock);
	c->run->resting = false;
	lock_drop(&pulls->lock);
	return r;
}

/* For who asks why; also while it is tried again. */
static void note_failure(struct carrier *c, int r)
{
	const struct streams_conf *conf = &c->all->conf;

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

/* Decides what follows failure r: 0 to ask again (perhaps elsewhere, perhaps after a pause), or the
 * failure the run ends with. It ends when waiting cannot mend what any of the sources said. */
static int after_failure(struct carrier *c, int r)
{
	if (r == ERR_CANCELED || r == ERR_STOPPING)
		return r;
	if (r == SOURCE_PASS)
		return choice_next(&c->choice) ? after_round(c) : 0;
	if (err_is_disk(r))
		return make_room(c, r) ? 0 : r;
	if (r == ERR_BUSY || r == ERR_SERVER)
		slow_down(c, r);
	if (c->pos == c->end)
		return rest(c, r);
	log_line_err(LOG_LEVEL_DEBUG, NULL, r, "fetch failed source=%s etag=%s off=%llu",
		     c->all->conf.sources[c->choice.source]->name, c->pull->what.etag,
		     (unsigned long long)c->pos);
	note_failure(c, r);
	if (retry_passes(r))
		c->passing = r;
	else if (!c->refused ||
		 err_errno(c->refused) == ENOENT) /* that one has not got it says least */
		c->refused = r;
	return choice_next(&c->choice) ? after_round(c) : 0;
}

/* Asks until the run has all its bytes or nothing helps. */
static int carry_bytes(struct carrier *c)
{
	for (;;) {
		int r;

		if (atomic_load(&c->all->stop))
			return ERR_STOPPING;
		if (c->pos == c->end)
			return 0;
		if (!choice_may_ask(&c->choice))
			return ERR_DIGEST;
		r = ask_source(c);
		if (r == 0)
			return 0;
		r = after_failure(c, r);
		if (r < 0)
			return r;
	}
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
	if (r >= 0 || r == ERR_CANCELED || r == ERR_STOPPING)
		return;
	if (!c->blamed || err_is_disk(r))
		note_failure(c, r);
	if (err_is_disk(r))
		report_full(c, r);
	else
		log_err(r, "cannot fetch path=%s repo=%s commit=%s off=%llu source=%s",
			c->choice.what->path, c->choice.what->repo.name, c->choice.what->commit,
			(unsigned long long)c->pos, c->blamed);
}

/* What a run needs before its first byte. */
static int prepare(struct carrier *c)
{
	struct streams *s = c->all;

	if (!s->conf.source_count)
		return ERR_OFFLINE;
	choice_init(&c->choice, c->pull, s->conf.sources, s->conf.source_count);
	retry_init(&c->retry, FAILURES_MAX, clock_ms() + s->conf.give_up_ms, c->pos);
	c->retry.stop = &s->stop;
	if (!c->run->direct)
		return xxh3_new(&c->sum);
	c->bytes = malloc(c->run->end - c->run->start);
	return c->bytes ? 0 : -ENOMEM;
}

/* A chunk that has not become whole is worth nothing once its run has ended. */
static void abandon(struct carrier *c)
{
	struct pulls *pulls = c->all->conf.pulls;

	if (!c->writes)
		return;
	lock_take(&pulls->lock); /* nobody is to be given its bytes from now on */
	c->run->pos = min_u64(c->run->pos, chunk_start(c->writing));
	lock_drop(&pulls->lock);
	blob_abandon_chunk(c->pull->blob, c->writing);
}

static void carry(struct streams *s, struct run *run)
{
	struct pull *p = pull_of(run);
	struct carrier c = { .all = s, .run = run, .pull = p, .pos = run->pos };
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
	abandon(&c);
	xxh3_free(c.sum);
	lock_take(&pulls->lock);
	run->bytes = steal(c.bytes);
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
	assert(conf->source_count <= 64);
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
