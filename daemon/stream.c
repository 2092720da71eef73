/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/stream.h"

#include <assert.h>
#include <stdatomic.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/chunk.h"
#include "daemon/retry.h"

#define FAILURES_MAX 5  /* of one run in a row, over all sources */
#define STALL_MS 1000   /* a run that brought nothing for so long holds up no other */
#define THREADS_CAP 256 /* with those that carry stalled runs */
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
	const struct source_blob *what; /* the origin being asked for */
	struct xxh3 *sum;               /* of the chunk that pos is in */
	struct retry retry;
	unsigned source; /* the one being asked */
	uint64_t pos, end;
	int refused; /* the first failure that waiting cannot mend, or 0 */
	int passing; /* the last one in this round over the sources that it can, or 0 */
};

/* Writes one piece that lies within a chunk. */
static int put_piece(struct carrier *c, const char *data, size_t len)
{
	struct blob *blob = c->pull->blob;
	uint32_t chunk = chunk_of(c->pos);
	int r = blob_write(blob, data, len, c->pos);

	if (r < 0)
		return r;
	xxh3_update(c->sum, data, len);
	c->pos += len;
	if (c->pos < chunk_end(chunk, blob_size(blob)))
		return 0;
	r = blob_put_chunk(blob, chunk, xxh3_value(c->sum));
	xxh3_reset(c->sum);
	if (r < 0)
		c->pos = chunk_start(chunk); /* it is not there: it is asked for again */
	return r;
}

/* Tells the others how far we have come, and learns whether the run ends nearer now. */
static void publish(struct carrier *c)
{
	struct pulls *pulls = c->all->conf.pulls;
	struct waitlist settled = { 0 };

	lock_take(&pulls->lock);
	if (c->pos > c->run->pos)
		rate_add(&c->pull->rate, clock_ms(), c->pos - c->run->pos);
	c->run->pos = c->pos;
	c->run->moved_ms = clock_ms();
	c->end = c->run->end;
	c->pull->sources_used |= UINT64_C(1) << c->source;
	c->pull->source = c->all->conf.sources[c->source]->name;
	pull_settle_ready_locked(c->pull, &settled);
	pull_hash_kick_locked(c->pull);
	lock_drop(&pulls->lock);
	waitlist_wake(&settled);
}

static int on_bytes(void *arg, const void *data, size_t len)
{
	struct carrier *c = arg;
	const char *at = data;
	int r = 0;

	assert(len <= SOURCE_PIECE_MAX);

	while (r == 0 && len && c->pos < c->end) {
		uint64_t room = chunk_end(chunk_of(c->pos), c->end) - c->pos;
		size_t n = len < room ? len : (size_t)room;

		r = put_piece(c, at, n);
		at += n;
		len -= n;
	}
	if (r < 0)
		return r;
	retry_reset(&c->retry);
	c->retry.deadline_ms = clock_ms() + c->all->conf.give_up_ms;
	publish(c);
	return c->pos < c->end ? 0 : ENOUGH;
}

static int ask_source(struct carrier *c)
{
	struct source *src = c->all->conf.sources[c->source];
	struct source_ask ask = {
		.blob = c->what,
		.off = c->pos,
		.len = c->end - c->pos,
		.deadline_ms = CLOCK_FOREVER, /* silence ends a request, length does not */
		.cancel = &c->run->cancel,
		.sink = on_bytes,
		.arg = c,
	};
	int r = src->get(src, &ask, &c->retry.asked_ms);

	if (r == ENOUGH || (r == 0 && c->pos == c->end))
		return 0;
	return r == 0 ? ERR_CUT : r;
}

static uint64_t bad_sources(struct carrier *c)
{
	struct pulls *pulls = c->all->conf.pulls;
	uint64_t bad;

	lock_take(&pulls->lock);
	bad = c->pull->distrust.sources_bad;
	lock_drop(&pulls->lock);
	return bad;
}

static void first_source(struct carrier *c)
{
	uint64_t bad = bad_sources(c);

	c->source = 0;
	while (c->source + 1 < c->all->conf.source_count && bad >> c->source & 1)
		c->source++;
}

/* The next source that was not part of a wrong digest; true when all have had their turn. */
static bool next_source(struct carrier *c)
{
	uint64_t bad = bad_sources(c);

	do
		c->source++;
	while (c->source < c->all->conf.source_count && bad >> c->source & 1);
	if (c->source < c->all->conf.source_count)
		return false;
	first_source(c);
	return true;
}

/* Goes on to the blob's next origin; false if there is none. */
static bool next_origin(struct carrier *c)
{
	struct pulls *pulls = c->all->conf.pulls;
	const struct source_blob *next;

	lock_take(&pulls->lock);
	next = pull_origin_after_locked(c->pull, c->what);
	lock_drop(&pulls->lock);
	if (next)
		c->what = next;
	return next;
}

/* Decides what follows failure r: 0 to ask again (perhaps elsewhere, perhaps after a pause), or the
 * failure the run ends with. It ends when waiting cannot mend what any of the sources said. */
static int after_failure(struct carrier *c, int r)
{
	if (r == ERR_CANCELED || r == ERR_STOPPING)
		return r;
	if (r == -ENOSPC || r == -EDQUOT)
		return c->all->conf.make_room(c->all->conf.arg) ? 0 : r;
	log_debug("fetch failed source=%s etag=%s off=%llu: %s",
		  c->all->conf.sources[c->source]->name, c->pull->what.etag,
		  (unsigned long long)c->pos, err_text(r));
	if (retry_passes(r))
		c->passing = r;
	else if (!c->refused)
		c->refused = r;
	if (!next_source(c))
		return 0;
	r = c->passing;
	c->passing = 0;
	if (r)
		return retry_wait(&c->retry, r);
	return next_origin(c) ? 0 : c->refused;
}

/* Asks until the run has all its bytes or nothing helps. */
static int carry_bytes(struct carrier *c)
{
	for (;;) {
		int r;

		if (atomic_load(&c->all->stop))
			return ERR_STOPPING;
		r = ask_source(c);
		if (r == 0)
			return 0;
		r = after_failure(c, r);
		if (r < 0)
			return r;
	}
}

static void report(struct carrier *c, int r)
{
	const struct streams_conf *conf = &c->all->conf;
	const char *source = conf->sources[c->source]->name;

	if (r >= 0 || r == ERR_CANCELED || r == ERR_STOPPING)
		return;
	if (conf->failures)
		failures_note(conf->failures, c->pull->what.etag, source, r);
	log_err(r, "cannot fetch path=%s repo=%s commit=%s off=%llu source=%s", c->what->path,
		c->what->repo.name, c->what->commit, (unsigned long long)c->pos, source);
}

static void carry(struct streams *s, struct run *run)
{
	struct carrier c = {
		.all = s,
		.run = run,
		.pull = run->pull,
		.what = &run->pull->what,
		.pos = run->pos,
	};
	struct pulls *pulls = s->conf.pulls;
	struct waitlist settled = { 0 };
	struct pull *idle;
	int r = s->conf.source_count ? xxh3_new(&c.sum) : ERR_OFFLINE;

	lock_take(&pulls->lock);
	c.end = run->end;
	lock_drop(&pulls->lock);
	if (r == 0) {
		first_source(&c);
		retry_init(&c.retry, FAILURES_MAX, clock_ms() + s->conf.give_up_ms, c.pos);
		c.retry.stop = &s->stop;
		r = carry_bytes(&c);
		report(&c, r);
	}
	xxh3_free(c.sum);
	lock_take(&pulls->lock);
	run_end_locked(run, r, &settled);
	pull_hash_kick_locked(c.pull);
	idle = pull_if_idle_locked(c.pull);
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
		struct run *run = run_next_locked(pulls);

		if (run) {
			r = 0;
			if (streams_kick_locked(s) < 0)
				log_debug("no further stream thread can be started");
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

static bool may_start_locked(const struct streams *s)
{
	unsigned stalled;

	if (s->threads < s->conf.threads_max)
		return true;
	if (s->threads >= THREADS_CAP || !s->conf.pulls->demand.first)
		return false;
	stalled = pulls_stalled_locked(s->conf.pulls, clock_ms() - STALL_MS);
	return s->threads - s->conf.threads_max < stalled;
}

int streams_kick_locked(struct streams *s)
{
	struct pulls *pulls = s->conf.pulls;
	pthread_t thread;
	int r;

	if (pulls->stop || s->idle || (!pulls->demand.first && !pulls->ahead.first) ||
	    !may_start_locked(s))
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

	for (struct run *run = p->runs; run; run = run->next)
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
