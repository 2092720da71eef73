/* SPDX-License-Identifier: Apache-2.0 */
/* The machine that fetches, over two scripted sources: pull, stream and seal together. */
#include "daemon/fetch/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/log.h"
#include "daemon/base/wait.h"
#include "daemon/cache/blob_lists.h"
#include "daemon/cache/chunk.h"
#include "daemon/fetch/pull.h"
#include "tests/fake_source.h"
#include "tests/workdir.h"

#define MIB CHUNK_BYTES
#define SEED 42
#define SIZE (5 * MIB + 777)
#define TIMEOUT_MS 30000
#define READERS 32
#define LONG_MS 60000
#define SHORT_MS 500

struct world {
	struct workdir dir;
	struct httpc *http;
	struct store *store;
	struct catalog *catalog;
	struct fake_source a, b;
	struct source *sources[2];
	unsigned source_count;
	int64_t timeout_ms;
	uint64_t memory_bytes;
	bool strict, lists;
	struct verifier verifier;
	bool judging;      /* guarded by lock: the verifier waits for its end */
	unsigned verified; /* likewise: how many there were */
	atomic_uint whole_drops, right_of_dropped;
	struct fetch *fetch;
	struct source_blob what;
	atomic_int rooms; /* how often room can still be made */
	atomic_int rooms_asked;
	int64_t room_takes_ms;
	struct lock lock;
	struct cond cond;
	unsigned wrong;      /* guarded by lock */
	struct pull *judged; /* whose blame is noted when its bytes are wrong; or NULL */
	uint64_t blamed;
};

/* Against a limit of the cache one more chunk is the room that can be made. */
static int make_room(void *arg, int refusal)
{
	struct world *w = arg;
	bool can = atomic_fetch_sub(&w->rooms, 1) > 0;

	atomic_fetch_add(&w->rooms_asked, 1);
	clock_sleep_ms(w->room_takes_ms);
	if (can && refusal == ERR_FULL)
		store_limit(w->store,
			    &(struct cache_limits){ store_used_bytes(w->store) + MIB, 0 });
	return can;
}

static void on_wrong(void *arg, const char *etag)
{
	struct world *w = arg;

	assert(strcmp(etag, w->what.etag) == 0);
	if (w->judged) {
		lock_take(&w->judged->all->lock);
		w->blamed = w->judged->distrust.once;
		lock_drop(&w->judged->all->lock);
		w->judged = NULL;
	}
	lock_take(&w->lock);
	w->wrong++;
	cond_wake_all(&w->cond);
	lock_drop(&w->lock);
}

static bool await_wrong(struct world *w, unsigned count)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;
	bool so;

	lock_take(&w->lock);
	while (!(so = w->wrong >= count) && clock_ms() < deadline)
		cond_wait(&w->cond, &w->lock, deadline);
	lock_drop(&w->lock);
	return so;
}

static unsigned wrong_count(struct world *w)
{
	unsigned n;

	lock_take(&w->lock);
	n = w->wrong;
	lock_drop(&w->lock);
	return n;
}

static void start(struct world *w)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct fetch_conf conf = {
		.http = w->http,
		.sources = w->sources,
		.source_count = w->source_count,
		.timeout_ms = w->timeout_ms,
		.strict = w->strict,
		.lists = w->lists,
		.memory_bytes = w->memory_bytes,
		.make_room = make_room,
		.make_room_arg = w,
		.outcry = { .on_wrong = on_wrong, .arg = w },
		.verifier = w->verifier,
	};

	assert_int_equal(store_open(w->dir.path, "me", &w->store, &why), 0);
	assert_int_equal(catalog_open(store_index_dir(w->store), &w->catalog, &why), 0);
	conf.store = w->store;
	conf.catalog = w->catalog;
	assert_int_equal(fetch_new(&conf, &w->fetch), 0);
}

static void stop(struct world *w)
{
	fetch_stop(w->fetch);
	fetch_free(steal(w->fetch));
	catalog_close(steal(w->catalog));
	store_close(steal(w->store));
}

static int setup(void **state)
{
	struct httpc_conf http = { .user_agent = "test", .connect_ms = 1000, .stall_ms = 1000 };
	struct world *w = calloc(1, sizeof(*w));

	if (!w || httpc_new(&http, &w->http) < 0)
		return -1;
	workdir_init(&w->dir);
	lock_init(&w->lock, LOCK_TEST);
	cond_init(&w->cond);
	fake_source_init(&w->a, "a", SEED);
	fake_source_init(&w->b, "b", SEED);
	w->sources[0] = &w->a.source;
	w->sources[1] = &w->b.source;
	w->source_count = 2;
	w->timeout_ms = TIMEOUT_MS;
	w->memory_bytes = 64 * MIB;
	fake_blob(SEED, SIZE, DIGEST_SHA256, &w->what);
	start(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	if (w->fetch)
		stop(w);
	fake_source_fini(&w->b);
	fake_source_fini(&w->a);
	cond_fini(&w->cond);
	lock_fini(&w->lock);
	httpc_free(w->http);
	workdir_fini(&w->dir);
	free(w);
	return 0;
}

static void restart(struct world *w)
{
	stop(w);
	start(w);
}

static struct pull *open_file(struct world *w)
{
	struct pull *p = NULL;

	assert_int_equal(fetch_open(w->fetch, &w->what, &p), 0);
	return p;
}

static int read_whole(struct fetch *f, struct pull *p, uint64_t off, uint64_t len, struct waiter *w,
		      const void **ret)
{
	uint64_t all;

	return fetch_read(f, p, off, len, w, ret, &all);
}

/* Reads as fs/ does: parks, and asks again when woken. -EBADMSG: bytes that are not the file's. */
static int read_within(struct world *w, struct pull *p, uint64_t off, uint64_t len,
		       int64_t timeout_ms)
{
	struct parked parked;
	const void *data;
	int r;

	parked_init(&parked, timeout_ms);
	do {
		r = read_whole(w->fetch, p, off, len, &parked.waiter, &data);
		r = r == PARKED ? parked_wait(&parked) : r < 0 ? r : PARKED;
		if (r == -ETIME)
			fetch_leave(w->fetch, &parked.waiter);
		parked.woken = 0;
	} while (r == 0);
	parked_fini(&parked);
	if (r != PARKED)
		return r;
	r = fake_bytes_are(SEED, off, data, len) ? 0 : -EBADMSG;
	fetch_done(p, data, len);
	return r;
}

static int read_bytes(struct world *w, struct pull *p, uint64_t off, uint64_t len)
{
	return read_within(w, p, off, len, LONG_MS);
}

static int read_all(struct world *w, struct pull *p)
{
	int r = 0;

	for (uint64_t off = 0; r == 0 && off < w->what.file.size; off += MIB)
		r = read_bytes(w, p, off, chunk_end(chunk_of(off), w->what.file.size) - off);
	return r;
}

/* Nobody is told when a blob is sealed. */
static bool await_sealed(struct pull *p)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;

	while (!blob_is_sealed(fetch_blob(p)) && clock_ms() < deadline)
		clock_sleep_ms(1);
	return blob_is_sealed(fetch_blob(p));
}

static bool row_is_sealed(struct world *w)
{
	struct catalog_blob row = { 0 };

	return catalog_get_blob(w->catalog, w->what.etag, &row) == 0 && row.sealed;
}

static bool is_parked(struct world *w, struct pull *p, struct parked *parked, uint64_t off,
		      uint64_t len, int64_t timeout_ms)
{
	const void *data;

	parked_init(parked, timeout_ms);
	return read_whole(w->fetch, p, off, len, &parked->waiter, &data) == PARKED;
}

/* Lets the whole file come, asking once: bytes that turn out wrong are not asked for again. */
static int touch_all(struct world *w, struct pull *p)
{
	struct parked parked;
	int r;

	if (!is_parked(w, p, &parked, 0, w->what.file.size, LONG_MS))
		return -EALREADY;
	r = parked_wait(&parked);
	if (r == -ETIME)
		fetch_leave(w->fetch, &parked.waiter);
	parked_fini(&parked);
	return r;
}

/* ---- all is well ---- */

static void who_is_content_with_some_gets_the_first_bytes_of_a_slow_one(void **state)
{
	struct fake_rule rule = { .act = FAKE_HOLD, .after = 1000 };
	struct world *w = *state;
	struct pull *p = open_file(w);
	struct parked some, all;
	const void *data;
	uint64_t len;
	int r;

	fake_source_rule(&w->a, &rule);
	parked_init(&some, LONG_MS);
	some.waiter.some = true;
	assert_true(is_parked(w, p, &all, 0, 64 << 10, LONG_MS));
	r = fetch_read(w->fetch, p, 0, 64 << 10, &some.waiter, &data, &len);
	if (r == PARKED && (r = parked_wait(&some)) == 0)
		r = fetch_read(w->fetch, p, 0, 64 << 10, &some.waiter, &data, &len);
	assert_int_equal(r, 0);
	assert_in_range(len, 1, 1000);
	assert_true(fake_bytes_are(SEED, 0, data, len));
	fetch_done(p, data, len);
	/* The twin: who wants all of them waits. */
	assert_int_equal(all.woken, 0);
	fake_source_release(&w->a);
	assert_int_equal(parked_wait(&all), 0);
	parked_fini(&some);
	parked_fini(&all);
	fetch_close(w->fetch, p);
}

static void a_file_is_fetched_once_and_sealed(void **state)
{
	struct world *w = *state;
	struct pull *p = open_file(w);
	char source[FETCH_SOURCE_MAX + 1];

	assert_int_equal(read_all(w, p), 0);
	fetch_source_of(w->fetch, w->what.etag, source);
	assert_string_equal(source, "a");
	assert_true(await_sealed(p));
	assert_true(row_is_sealed(w));
	assert_int_equal(read_all(w, p), 0);
	assert_int_equal(fake_source_bytes(&w->a), SIZE);
	assert_int_equal(fake_source_calls(&w->b), 0);
	assert_int_equal(wrong_count(w), 0);
	fetch_close(w->fetch, p);
}

static void a_git_blob_is_sealed_by_its_own_digest(void **state)
{
	struct world *w = *state;
	struct pull *p;

	fake_blob(SEED, 3000, DIGEST_GIT_SHA1, &w->what);
	p = open_file(w);
	assert_int_equal(read_bytes(w, p, 10, 100), 0);
	assert_true(await_sealed(p));
	fetch_close(w->fetch, p);
}

/* ---- digest lists ---- */

/* It comes after the seal, and nobody is told. */
static struct chunk_list *await_list(struct world *w)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;
	uint64_t size = w->what.file.size;
	struct chunk_list *l = NULL;

	while (store_chunk_list(w->store, w->what.etag, size, &l) < 0 && clock_ms() < deadline)
		clock_sleep_ms(1);
	return l;
}

static void check_kept_list(struct world *w, struct pull *p)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = await_list(w), *want = NULL;
	uint64_t size = w->what.file.size;

	assert_non_null(l);
	assert_int_equal(
		chunk_list_make(blob_fd(fetch_blob(p)), w->what.etag, size, NULL, NULL, &want), 0);
	assert_int_equal(l->count, chunk_count(size));
	assert_memory_equal(l->digests, want->digests, l->count * sizeof(l->digests[0]));
}

static void start_with_lists(struct world *w)
{
	stop(w);
	w->lists = true;
	start(w);
}

static void of_what_is_sealed_the_digest_list_is_kept(void **state)
{
	struct world *w = *state;
	struct pull *p;

	start_with_lists(w);
	p = open_file(w);
	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	check_kept_list(w, p);
	fetch_close(w->fetch, p);
	fake_blob(SEED, 3000, DIGEST_GIT_SHA1, &w->what);
	p = open_file(w);
	assert_int_equal(read_all(w, p), 0);
	check_kept_list(w, p);
	fetch_close(w->fetch, p);
}

static int list_result(struct world *w)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;

	return store_chunk_list(w->store, w->what.etag, w->what.file.size, &l);
}

static void without_lists_none_is_kept(void **state)
{
	struct world *w = *state;
	struct pull *p = open_file(w);

	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	fetch_close(w->fetch, p);
	fetch_stop(w->fetch); /* the sealers have ended */
	assert_int_equal(list_result(w), -ENOENT);
}

static void what_was_lied_about_has_a_list_once_it_is_right(void **state)
{
	const struct fake_rule lie = { .act = FAKE_WRONG, .to = MIB, .times = 1 };
	struct world *w = *state;
	struct pull *p;

	start_with_lists(w);
	fake_source_rule(&w->a, &lie);
	p = open_file(w);
	assert_int_equal(touch_all(w, p), 0);
	assert_true(await_wrong(w, 1));
	assert_int_equal(list_result(w), -ENOENT);
	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	check_kept_list(w, p);
	fetch_close(w->fetch, p);
}

static void an_empty_file_is_sealed_without_asking(void **state)
{
	struct world *w = *state;
	struct pull *p;

	fake_blob(SEED, 0, DIGEST_GIT_SHA1, &w->what);
	p = open_file(w);
	assert_true(await_sealed(p));
	assert_int_equal(fake_source_calls(&w->a), 0);
	fetch_close(w->fetch, p);
}

static void an_empty_file_with_a_wrong_digest_is_not(void **state)
{
	struct world *w = *state;
	struct pull *p;

	fake_blob(SEED, 0, DIGEST_SHA256, &w->what);
	w->what.file.digest[3] ^= 1;
	p = open_file(w);
	assert_true(await_wrong(w, 1));
	assert_false(blob_is_sealed(fetch_blob(p)));
	fetch_close(w->fetch, p);
	stop(w);
	assert_int_equal(wrong_count(w), 1);
}

struct reader {
	struct world *w;
	struct pull *pull;
	uint64_t off, len;
	unsigned seed;
	int rounds;
	int result;
	pthread_t thread;
};

static void *read_once(void *arg)
{
	struct reader *r = arg;

	r->result = read_bytes(r->w, r->pull, r->off, r->len);
	return NULL;
}

static void many_who_read_the_same_bytes_cause_one_request(void **state)
{
	const struct fake_rule rule = { .act = FAKE_HOLD, .after = 0 };
	struct reader readers[READERS];
	struct world *w = *state;
	struct pull *p = open_file(w);

	fake_source_rule(&w->a, &rule);
	for (int i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .w = w, .pull = p, .off = 100, .len = 5000 };
		assert_int_equal(thread_start(&readers[i].thread, "reader", read_once, &readers[i]),
				 0);
	}
	assert_true(fake_source_await_held(&w->a, 1));
	fake_source_calm(&w->a);
	fake_source_release(&w->a);
	for (int i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].result, 0);
	}
	assert_true(fake_source_await_idle(&w->a));
	assert_true(fake_source_bytes(&w->a) <= SIZE);
	fetch_close(w->fetch, p);
}

static void two_handles_share_what_is_fetched(void **state)
{
	struct world *w = *state;
	struct pull *p = open_file(w), *q = open_file(w);

	assert_ptr_equal(fetch_blob(p), fetch_blob(q));
	assert_int_equal(read_all(w, p), 0);
	assert_int_equal(read_all(w, q), 0);
	assert_int_equal(fake_source_bytes(&w->a), SIZE);
	fetch_close(w->fetch, p);
	assert_true(await_sealed(q));
	fetch_close(w->fetch, q);
}

static void wanted_bytes_do_not_wait_for_their_chunk(void **state)
{
	const struct fake_rule rule = { .act = FAKE_HOLD, .to = 1, .after = 100 * 1000 };
	struct world *w = *state;
	struct pull *p = open_file(w);
	struct parked parked;

	fake_source_rule(&w->a, &rule);
	assert_int_equal(read_bytes(w, p, 0, 4096), 0);
	assert_int_equal(read_bytes(w, p, 90000, 10000), 0);
	assert_false(blob_has(fetch_blob(p), 0));
	assert_true(is_parked(w, p, &parked, 90000, 10001, LONG_MS));
	assert_true(fake_source_await_held(&w->a, 1));
	fake_source_calm(&w->a);
	fake_source_release(&w->a);
	assert_int_equal(parked_wait(&parked), 0);
	parked_fini(&parked);
	fetch_close(w->fetch, p);
}

static void asking_without_a_waiter_starts_nothing(void **state)
{
	struct world *w = *state;
	struct pull *p = open_file(w);
	const void *data;

	assert_int_equal(read_whole(w->fetch, p, 0, 10, NULL, &data), PARKED);
	assert_int_equal(fake_source_calls(&w->a), 0);
	assert_int_equal(read_bytes(w, p, 0, 10), 0);
	assert_int_equal(read_whole(w->fetch, p, 0, 10, NULL, &data), 0);
	fetch_done(p, data, 10);
	fetch_close(w->fetch, p);
}

static void another_size_of_an_open_file_is_refused(void **state)
{
	struct world *w = *state;
	struct pull *p = open_file(w), *q = NULL;

	w->what.file.size++;
	assert_int_equal(fetch_open(w->fetch, &w->what, &q), ERR_SIZE);
	assert_null(q);
	fetch_close(w->fetch, p);
	assert_int_equal(fetch_open(w->fetch, &w->what, &q), 0);
	fetch_close(w->fetch, q);
}

/* ---- failures that pass ---- */

static void a_cut_in_a_chunk_is_mended(void **state)
{
	const struct fake_rule rule = {
		.act = FAKE_END, .times = 1, .after = 300 * 1000, .result = ERR_CUT
	};
	struct world *w = *state;
	struct pull *p = open_file(w);

	w->source_count = 1;
	fake_source_rule(&w->a, &rule);
	fake_source_rule(&w->b, &rule);
	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	assert_int_equal(fake_source_bytes(&w->a) + fake_source_bytes(&w->b), SIZE);
	fetch_close(w->fetch, p);
}

static void a_short_body_is_a_cut(void **state)
{
	const struct fake_rule rule = { .act = FAKE_END, .times = 1, .after = MIB + 5 };
	struct world *w = *state;
	struct pull *p = open_file(w);

	fake_source_rule(&w->a, &rule);
	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	fetch_close(w->fetch, p);
}

static void a_source_that_recovers_is_asked_again(void **state)
{
	const struct fake_rule rule = {
		.act = FAKE_END, .times = 2, .result = ERR_SERVER, .wait_ms = 10
	};
	struct world *w = *state;
	struct pull *p;

	w->source_count = 1;
	restart(w);
	p = open_file(w);
	fake_source_rule(&w->a, &rule);
	assert_int_equal(read_bytes(w, p, 0, 100), 0);
	assert_true(fake_source_calls(&w->a) >= 3);
	fetch_close(w->fetch, p);
}

static void a_source_that_does_not_gives_its_reason(void **state)
{
	const struct fake_rule rule = { .act = FAKE_END, .result = ERR_SERVER, .wait_ms = 10 };
	struct world *w = *state;
	struct pull *p;

	w->source_count = 1;
	restart(w);
	p = open_file(w);
	fake_source_rule(&w->a, &rule);
	assert_int_equal(read_bytes(w, p, 0, 100), ERR_SERVER);
	fake_source_calm(&w->a);
	clock_sleep_ms(FAILED_MS);
	assert_int_equal(read_bytes(w, p, 0, 100), 0);
	fetch_close(w->fetch, p);
}

/* ---- outages ---- */

/* A node that shares with others, or not: the first source passes, the second fails so often. */
static struct pull *begin_outage(struct world *w, unsigned times, bool shares)
{
	const struct fake_rule pass = { .act = FAKE_END, .result = SOURCE_PASS };
	const struct fake_rule fail = { .act = FAKE_END, .times = times, .result = ERR_UPSTREAM };

	w->a.source.hearsay = shares;
	restart(w);
	fake_source_rule(&w->a, &pass);
	fake_source_rule(&w->b, &fail);
	return open_file(w);
}

static void where_nodes_share_a_run_is_tried_again_while_there_is_time(void **state)
{
	struct world *w = *state;
	struct pull *p = begin_outage(w, 8, true);

	assert_int_equal(read_bytes(w, p, 0, 100), 0);
	assert_int_equal(fake_source_calls(&w->b), 9);
	assert_false(fetch_is_failing(p, 0));
	fetch_close(w->fetch, p);
}

static void where_they_do_not_it_is_tried_a_few_times(void **state)
{
	struct world *w = *state;
	struct pull *p = begin_outage(w, 8, false);

	assert_int_equal(read_bytes(w, p, 0, 100), ERR_UPSTREAM);
	assert_in_range(fake_source_calls(&w->b), 2, 7);
	fetch_close(w->fetch, p);
}

static void when_time_is_over_the_reason_is_told(void **state)
{
	struct world *w = *state;
	struct pull *p;

	w->timeout_ms = 2000;
	p = begin_outage(w, 0, true);
	assert_int_equal(read_within(w, p, 0, 100, 2000), ERR_UPSTREAM);
	fetch_close(w->fetch, p);
}

/* What was brought ahead of him, in vain, takes nothing of it. */
static void who_comes_late_to_an_outage_has_all_his_time(void **state)
{
	const int64_t timeout_ms = 4000, comes_ms = 2000, lasts_ms = 3800;
	struct world *w = *state;
	struct parked parked;
	const void *data;
	struct pull *p;

	w->timeout_ms = timeout_ms;
	p = begin_outage(w, 0, true);
	assert_int_equal(fetch_want(w->fetch, p, 0, MIB, URGENCY_AHEAD), 0);
	clock_sleep_ms(comes_ms);
	assert_true(fetch_is_failing(p, 0));
	parked_init(&parked, timeout_ms);
	assert_int_equal(read_whole(w->fetch, p, 0, 100, &parked.waiter, &data), PARKED);
	clock_sleep_ms(lasts_ms - comes_ms);
	fake_source_calm(&w->b);
	assert_int_equal(parked_wait(&parked), 0);
	parked_fini(&parked);
	fetch_close(w->fetch, p);
}

static void what_waiting_cannot_mend_is_told_at_once(void **state)
{
	const struct fake_rule rule = { .act = FAKE_END, .result = ERR_GATED };
	struct world *w = *state;
	struct pull *p = open_file(w);

	fake_source_rule(&w->a, &rule);
	fake_source_rule(&w->b, &rule);
	assert_int_equal(read_bytes(w, p, 0, 100), ERR_GATED);
	assert_int_equal(fake_source_calls(&w->a), 1);
	assert_int_equal(fake_source_calls(&w->b), 1);
	fetch_close(w->fetch, p);
}

static void the_second_source_stands_in(void **state)
{
	static const int failures[] = { ERR_UPSTREAM, ERR_NOENTRY, ERR_CUT };
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
		const struct fake_rule rule = { .act = FAKE_END, .result = failures[i] };
		struct pull *p;
		char source[FETCH_SOURCE_MAX + 1];

		fake_blob(SEED, SIZE - i, DIGEST_SHA256, &w->what);
		fake_source_calm(&w->a);
		fake_source_rule(&w->a, &rule);
		p = open_file(w);
		assert_int_equal(read_all(w, p), 0);
		fetch_source_of(w->fetch, w->what.etag, source);
		assert_string_equal(source, "b");
		fetch_close(w->fetch, p);
	}
	assert_int_equal(fake_source_bytes(&w->a), 0);
}

static void who_passes_has_not_failed_and_the_next_one_gives(void **state)
{
	const struct fake_rule pass = { .act = FAKE_END, .result = SOURCE_PASS };
	struct world *w = *state;
	struct pull *p = open_file(w);

	fake_source_rule(&w->a, &pass);
	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	assert_int_equal(fake_source_bytes(&w->a), 0);
	assert_int_equal(p->distrust.once, 0);
	fetch_close(w->fetch, p);
}

static void who_passes_after_some_bytes_leaves_the_rest_to_the_next_one(void **state)
{
	const struct fake_rule pass = { .act = FAKE_END, .after = MIB + 5, .result = SOURCE_PASS };
	struct world *w = *state;
	struct pull *p = open_file(w);

	fake_source_rule(&w->a, &pass);
	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	assert_true(fake_source_bytes(&w->a) > 0);
	assert_int_equal(fake_source_bytes(&w->a) + fake_source_bytes(&w->b), SIZE);
	fetch_close(w->fetch, p);
}

static void when_all_pass_the_reader_is_told_at_once(void **state)
{
	const struct fake_rule pass = { .act = FAKE_END, .result = SOURCE_PASS };
	struct world *w = *state;
	struct pull *p = open_file(w);

	fake_source_rule(&w->a, &pass);
	fake_source_rule(&w->b, &pass);
	assert_int_equal(read_bytes(w, p, 0, 100), ERR_OFFLINE);
	fetch_close(w->fetch, p);
}

static void read_only(struct world *w, struct pull *p, uint64_t off, uint64_t only)
{
	struct parked parked;
	const void *data;
	int r;

	parked_init(&parked, LONG_MS);
	parked.waiter.only = only;
	r = read_whole(w->fetch, p, off, MIB, &parked.waiter, &data);
	if (r == PARKED && (r = parked_wait(&parked)) == 0)
		r = read_whole(w->fetch, p, off, MIB, &parked.waiter, &data);
	assert_int_equal(r, 0);
	fetch_done(p, data, MIB);
	parked_fini(&parked);
	assert_true(fake_source_await_idle(&w->a));
}

/* Two MiB, by who says that it wants no more, or who does not, who waits for more than so many
 * bytes then: how many came. */
static uint64_t come_with(struct world *w, uint64_t only, uint64_t more_than)
{
	int64_t until_ms = clock_ms() + LONG_MS;
	struct pull *p = open_file(w);

	read_only(w, p, 0, only);
	read_only(w, p, MIB, only);
	while (fake_source_bytes(&w->a) <= more_than && clock_ms() < until_ms)
		clock_sleep_ms(1);
	fetch_close(w->fetch, p);
	return fake_source_bytes(&w->a);
}

static void who_asks_for_somebody_else_has_no_more_brought_than_it_says(void **state)
{
	assert_int_equal(come_with(*state, MIB, 0), 2 * MIB);
}

static void who_reads_for_itself_has_brought_what_comes_next(void **state)
{
	assert_true(come_with(*state, 0, 2 * MIB) > 2 * MIB);
}

/* Somebody waits for bytes that are held, who says that it wants no more, or does not: whether
 * anybody waits here then. */
static bool waits_here(struct world *w, uint64_t only)
{
	const struct fake_rule hold = { .act = FAKE_HOLD };
	struct pull *p = open_file(w);
	struct parked parked;
	const void *data;
	bool so;

	fake_source_rule(&w->a, &hold);
	assert_false(fetch_has_waiting(w->fetch));
	parked_init(&parked, LONG_MS);
	parked.waiter.only = only;
	assert_int_equal(read_whole(w->fetch, p, 0, MIB, &parked.waiter, &data), PARKED);
	assert_true(fake_source_await_held(&w->a, 1));
	so = fetch_has_waiting(w->fetch);
	fake_source_calm(&w->a);
	fake_source_release(&w->a);
	assert_int_equal(parked_wait(&parked), 0);
	assert_false(fetch_has_waiting(w->fetch));
	parked_fini(&parked);
	fetch_close(w->fetch, p);
	return so;
}

static void who_reads_for_itself_waits_here(void **state)
{
	assert_true(waits_here(*state, 0));
}

static void who_asks_for_somebody_else_does_not_wait_here(void **state)
{
	assert_false(waits_here(*state, MIB));
}

/* The first of both sources gives a MiB and passes, the second lies about the rest: whom that is
 * held against. */
static uint64_t blamed(struct world *w)
{
	const struct fake_rule pass = { .act = FAKE_END, .after = MIB, .result = SOURCE_PASS };
	const struct fake_rule lie = { .act = FAKE_WRONG };
	struct pull *p = open_file(w);

	w->judged = p;
	fake_source_rule(&w->a, &pass);
	fake_source_rule(&w->b, &lie);
	assert_int_equal(touch_all(w, p), 0);
	assert_true(await_wrong(w, 1));
	fetch_close(w->fetch, p);
	return w->blamed;
}

static void of_wrong_bytes_hearsay_is_blamed_before_others(void **state)
{
	struct world *w = *state;

	stop(w);
	w->a.source.hearsay = true;
	start(w);
	assert_int_equal(blamed(w), 1);
}

static void without_hearsay_all_who_gave_are_blamed(void **state)
{
	assert_int_equal(blamed(*state), 3);
}

static bool yes(struct source *s)
{
	(void)s;
	return true;
}

static void a_slow_source_is_asked_when_no_other_has_it(void **state)
{
	const struct fake_rule refuse = { .act = FAKE_END, .result = ERR_NOENTRY };
	struct world *w = *state;
	struct pull *p = open_file(w);

	w->a.source.is_slow = yes;
	assert_int_equal(read_all(w, p), 0);
	assert_int_equal(fake_source_bytes(&w->a), 0);
	fetch_close(w->fetch, p);
	fake_blob(SEED, SIZE - 1, DIGEST_SHA256, &w->what);
	fake_source_rule(&w->b, &refuse);
	p = open_file(w);
	assert_int_equal(read_all(w, p), 0);
	assert_int_equal(fake_source_bytes(&w->a), SIZE - 1);
	fetch_close(w->fetch, p);
}

/* One has no such file for good, the other stumbles: waiting helps. */
static void a_refusal_here_does_not_make_a_stumble_there_final(void **state)
{
	const struct fake_rule refuse = { .act = FAKE_END, .result = ERR_NOENTRY };
	const struct fake_rule stumble = {
		.act = FAKE_END, .times = 1, .after = 1000, .result = ERR_CUT, .wait_ms = 10
	};
	struct world *w = *state;
	struct pull *p = open_file(w);

	fake_source_rule(&w->a, &refuse);
	fake_source_rule(&w->b, &stumble);
	assert_int_equal(read_all(w, p), 0);
	fetch_close(w->fetch, p);
}

/* A run may last longer than the give-up time, as long as it comes on. */
static void progress_puts_off_giving_up(void **state)
{
	const struct fake_rule slow = { .act = FAKE_END,
					.times = 1,
					.after = 15 * 64 * 1024,
					.delay_ms = 40,
					.result = ERR_CUT,
					.wait_ms = 200 };
	struct world *w = *state;
	struct pull *p;

	w->source_count = 1;
	w->timeout_ms = 600; /* gives up after 480 */
	restart(w);
	p = open_file(w);
	fake_source_rule(&w->a, &slow);
	assert_int_equal(read_bytes(w, p, MIB / 2, MIB / 2), 0);
	fetch_close(w->fetch, p);
}

/* ---- wrong bytes ---- */

static void wrong_bytes_are_dropped_and_fetched_elsewhere(void **state)
{
	const struct fake_rule lie = { .act = FAKE_WRONG, .after = 2 * MIB };
	struct world *w = *state;
	struct pull *p = open_file(w);

	fake_source_rule(&w->a, &lie);
	assert_int_equal(touch_all(w, p), 0);
	assert_true(await_wrong(w, 1));
	assert_false(row_is_sealed(w));
	assert_int_equal(read_all(w, p), 0);
	assert_true(blob_is_sealed(fetch_blob(p)));
	assert_true(row_is_sealed(w));
	assert_int_equal(wrong_count(w), 1);
	assert_true(fake_source_bytes(&w->b) >= SIZE);
	fetch_close(w->fetch, p);
}

static void after_wrong_bytes_only_verified_ones_are_served(void **state)
{
	const struct fake_rule lie = { .act = FAKE_WRONG };
	const struct fake_rule hold = { .act = FAKE_HOLD, .after = 1000, .from = 0, .to = MIB };
	struct world *w = *state;
	struct pull *p = open_file(w);
	struct parked parked;

	fake_source_rule(&w->a, &lie);
	fake_source_rule(&w->b, &hold);
	assert_int_equal(touch_all(w, p), 0);
	assert_true(await_wrong(w, 1));
	assert_true(is_parked(w, p, &parked, 0, 100, LONG_MS));
	assert_true(fake_source_await_held(&w->b, 1));
	assert_int_equal(parked_woken(&parked), 0); /* its bytes are there, but who knows */
	fake_source_release(&w->b);
	assert_int_equal(parked_wait(&parked), 0);
	assert_true(blob_is_sealed(fetch_blob(p)));
	parked_fini(&parked);
	fetch_close(w->fetch, p);
}

static void distrust_outlives_the_handle(void **state)
{
	const struct fake_rule lie = { .act = FAKE_WRONG };
	struct world *w = *state;
	struct pull *p = open_file(w);

	fake_source_rule(&w->a, &lie);
	assert_int_equal(touch_all(w, p), 0);
	fetch_close(w->fetch, p);
	assert_true(await_wrong(w, 1));
	p = open_file(w);
	assert_int_equal(read_bytes(w, p, 0, 100), 0);
	assert_true(blob_is_sealed(fetch_blob(p)));
	fetch_close(w->fetch, p);
}

static void what_was_wrong_is_shown_to_members_when_all_of_it_is_right(void **state)
{
	const struct fake_rule lie = { .act = FAKE_WRONG };
	struct waiter member = { .only = 100 };
	struct world *w = *state;
	struct pull *p = open_file(w);

	assert_true(fetch_shows(p, &member));
	fake_source_rule(&w->a, &lie);
	assert_int_equal(touch_all(w, p), 0);
	fetch_close(w->fetch, p);
	assert_true(await_wrong(w, 1));
	p = open_file(w);
	assert_false(fetch_shows(p, &member));
	assert_int_equal(read_bytes(w, p, 0, 100), 0);
	assert_true(blob_is_sealed(fetch_blob(p)));
	assert_true(fetch_shows(p, &member));
	fetch_close(w->fetch, p);
}

/* Who digested it may have it open for a moment still. */
static bool await_evicted(struct world *w)
{
	int64_t until_ms = clock_ms() + PARKED_WAIT_MS;
	int64_t freed;

	do
		freed = store_evict(w->store, w->what.etag);
	while (freed == -EBUSY && clock_ms() < until_ms);
	return freed > 0;
}

static void distrust_outlives_the_seal_and_eviction(void **state)
{
	const struct fake_rule lie = { .act = FAKE_WRONG };
	struct world *w = *state;
	struct pull *p = open_file(w);
	unsigned asked;

	fake_source_rule(&w->a, &lie);
	assert_int_equal(touch_all(w, p), 0);
	assert_true(await_wrong(w, 1));
	assert_int_equal(read_all(w, p), 0); /* right this time, from b */
	assert_true(blob_is_sealed(fetch_blob(p)));
	fetch_close(w->fetch, p);
	asked = fake_source_calls(&w->a);
	for (int lives = 0; lives < 2; lives++) {
		if (lives)
			restart(w);
		assert_true(await_evicted(w));
		p = open_file(w);
		assert_int_equal(read_bytes(w, p, 0, 100), 0); /* and no wrong one before */
		assert_true(blob_is_sealed(fetch_blob(p)));
		assert_true(lives || fake_source_calls(&w->a) == asked);
		fetch_close(w->fetch, p);
	}
	assert_int_equal(wrong_count(w), 2); /* after a restart nobody knows who it was */
}

static void distrust_outlives_a_restart(void **state)
{
	const struct fake_rule lie = { .act = FAKE_WRONG };
	const struct fake_rule hold = { .act = FAKE_HOLD, .after = 1000, .to = MIB };
	struct world *w = *state;
	struct pull *p = open_file(w);
	struct parked parked;

	fake_source_rule(&w->a, &lie);
	assert_int_equal(touch_all(w, p), 0);
	fetch_close(w->fetch, p);
	assert_true(await_wrong(w, 1));
	assert_true(fake_source_await_idle(&w->b));
	restart(w);
	fake_source_calm(&w->a);
	fake_source_rule(&w->a, &hold);
	p = open_file(w);
	assert_true(is_parked(w, p, &parked, 0, 100, LONG_MS));
	assert_true(fake_source_await_held(&w->a, 1));
	assert_int_equal(parked_woken(&parked), 0);
	fake_source_release(&w->a);
	assert_int_equal(parked_wait(&parked), 0);
	parked_fini(&parked);
	fetch_close(w->fetch, p);
	restart(w); /* the seal has ended it */
	p = open_file(w);
	assert_true(blob_is_sealed(fetch_blob(p)));
	fetch_close(w->fetch, p);
}

/* ---- rot ---- */

static void flip_bit(struct pull *p, uint64_t off)
{
	uint8_t byte;

	assert_int_equal(pread(blob_fd(fetch_blob(p)), &byte, 1, (off_t)off), 1);
	byte ^= 4;
	assert_int_equal(pwrite(blob_fd(fetch_blob(p)), &byte, 1, (off_t)off), 1);
}

/* So long nothing that came is compared again. */
static void age(void)
{
	clock_sleep_ms(3100);
}

static void what_rots_while_it_is_open_is_found_by_a_read(void **state)
{
	struct world *w = *state;
	struct pull *p = open_file(w);
	uint64_t given;

	assert_int_equal(read_bytes(w, p, MIB, MIB), 0);
	assert_int_equal(read_bytes(w, p, 3 * MIB, MIB), 0);
	assert_true(fake_source_await_idle(&w->a));
	flip_bit(p, 3 * MIB + 4096);
	age();
	given = fake_source_bytes(&w->a);
	assert_int_equal(read_bytes(w, p, MIB, 100), 0);
	assert_int_equal(wrong_count(w), 0); /* the twin: it is as it was */
	assert_int_equal(fake_source_bytes(&w->a), given);
	assert_int_equal(read_bytes(w, p, 3 * MIB, MIB), 0);
	assert_true(await_wrong(w, 1)); /* the kernel forgets what it has of it */
	assert_int_equal(fake_source_bytes(&w->a), given + MIB);
	fetch_close(w->fetch, p);
}

/* All but the first chunk, so that nothing can be digested. */
static struct pull *open_all_but_first(struct world *w)
{
	struct pull *p = open_file(w);

	assert_int_equal(read_bytes(w, p, MIB, SIZE - MIB), 0);
	assert_true(fake_source_await_idle(&w->a));
	return p;
}

static void rotten_chunks_alone_are_fetched_again_and_nobody_is_blamed(void **state)
{
	struct world *w = *state;

	for (int aged = 0; aged < 2; aged++) {
		struct pull *p = open_all_but_first(w);
		struct catalog_blob row;
		uint64_t given;

		flip_bit(p, 2 * MIB);
		if (aged)
			age();
		given = fake_source_bytes(&w->a) + fake_source_bytes(&w->b);
		assert_int_equal(read_bytes(w, p, 0, MIB), 0);
		assert_true(await_sealed(p));
		assert_true(await_wrong(w, (unsigned)aged + 1));
		assert_int_equal(fetch_drops(p), aged ? 0 : 1); /* found before it was digested */
		assert_int_equal(read_all(w, p), 0);
		assert_int_equal(fake_source_bytes(&w->a) + fake_source_bytes(&w->b) - given,
				 2 * MIB);
		assert_int_equal(catalog_get_blob(w->catalog, w->what.etag, &row), 0);
		assert_true(row.sealed && !row.distrusted);
		fetch_close(w->fetch, p);
		assert_true(await_evicted(w));
	}
}

static bool await_drop(struct pull *p)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;

	while (!fetch_drops(p) && clock_ms() < deadline)
		clock_sleep_ms(1);
	return fetch_drops(p);
}

/* A chunk that was digested goes, and comes again wrong: what was digested is not what is there. */
static void come_again_wrong(struct world *w, bool trimmed)
{
	const struct fake_rule lie = { .act = FAKE_WRONG, .from = 0, .to = MIB, .times = 1 };
	struct pull *p;

	w->source_count = 1;
	restart(w);
	p = open_file(w);
	assert_int_equal(read_bytes(w, p, 0, MIB), 0);
	assert_true(fake_source_await_idle(&w->a));
	assert_true(blob_present_bytes(fetch_blob(p)) < SIZE);
	if (!trimmed)
		flip_bit(p, 4096);
	age();
	assert_true(!trimmed || blob_trim(fetch_blob(p), 1) == MIB);
	fake_source_rule(&w->a, &lie);
	assert_int_equal(read_bytes(w, p, 0, MIB), -EBADMSG); /* nobody can know yet */
	assert_int_equal(read_bytes(w, p, MIB, SIZE - MIB), 0);
	assert_true(await_drop(p));
	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	fetch_close(w->fetch, p);
}

static void what_rotted_after_it_was_digested_is_digested_again(void **state)
{
	come_again_wrong(*state, false);
}

static void what_went_after_it_was_digested_is_digested_again(void **state)
{
	come_again_wrong(*state, true);
}

static bool await_present(struct pull *p, uint64_t bytes)
{
	int64_t until_ms = clock_ms() + PARKED_WAIT_MS;

	while (blob_present_bytes(fetch_blob(p)) != bytes && clock_ms() < until_ms)
		clock_sleep_ms(1);
	return blob_present_bytes(fetch_blob(p)) == bytes;
}

/* It comes in two runs: the second is there before the first. */
static void what_is_lost_before_its_digest_comes_again_for_who_waits_for_the_verdict(void **state)
{
	const struct fake_rule hold = { .act = FAKE_HOLD, .after = 1000, .to = MIB };
	struct world *w = *state;

	w->source_count = 1;
	w->strict = true;
	restart(w);
	fake_source_rule(&w->a, &hold);
	for (int lost = 0; lost < 2; lost++) {
		struct pull *p = open_file(w);
		struct parked parked;
		uint64_t given = fake_source_bytes(&w->a);

		assert_true(is_parked(w, p, &parked, 0, 100, LONG_MS));
		assert_true(fake_source_await_held(&w->a, 1));
		assert_true(await_present(p, SIZE - 4 * MIB));
		if (lost)
			flip_bit(p, 4 * MIB);
		assert_true(blob_check(fetch_blob(p), 4) != lost);
		fake_source_release(&w->a);
		assert_int_equal(parked_wait(&parked), 0);
		assert_true(blob_is_sealed(fetch_blob(p)));
		assert_int_equal(fake_source_bytes(&w->a) - given, SIZE + (lost ? MIB : 0));
		parked_fini(&parked);
		fetch_close(w->fetch, p);
		assert_true(await_evicted(w));
	}
}

static void what_had_to_go_before_its_digest_is_forgotten_by_the_kernel(void **state)
{
	struct world *w = *state;

	for (int trimmed = 0; trimmed < 2; trimmed++) {
		struct pull *p = open_all_but_first(w);
		int64_t until_ms = clock_ms() + (trimmed ? PARKED_WAIT_MS : 0);

		while (clock_ms() < until_ms && !blob_trim(fetch_blob(p), MIB))
			clock_sleep_ms(20);
		assert_int_equal(blob_present_bytes(fetch_blob(p)),
				 SIZE - MIB - (trimmed ? MIB : 0));
		fetch_close(w->fetch, p); /* that outlives the handle */
		p = open_file(w);
		assert_int_equal(read_all(w, p), 0);
		assert_true(await_sealed(p));
		assert_true(!trimmed || await_wrong(w, 1));
		assert_int_equal(wrong_count(w), trimmed);
		fetch_close(w->fetch, p);
		assert_true(await_evicted(w));
	}
}

/* ---- strict ---- */

static void start_strict(struct world *w, int64_t timeout_ms)
{
	stop(w);
	w->strict = true;
	w->timeout_ms = timeout_ms;
	start(w);
}

static void strict_gives_no_byte_before_the_digest(void **state)
{
	const struct fake_rule lie = { .act = FAKE_WRONG };
	struct world *w = *state;
	struct pull *p;

	start_strict(w, TIMEOUT_MS);
	fake_source_rule(&w->a, &lie);
	p = open_file(w);
	assert_int_equal(read_bytes(w, p, 0, 100), 0); /* the second source's, and right */
	assert_true(blob_is_sealed(fetch_blob(p)));
	assert_int_equal(wrong_count(w), 1);
	fetch_close(w->fetch, p);
}

static void without_strict_bytes_are_given_as_they_come(void **state)
{
	const struct fake_rule hold = { .act = FAKE_HOLD, .after = 2 * MIB };
	struct world *w = *state;
	struct pull *p = open_file(w);

	fake_source_rule(&w->a, &hold);
	assert_int_equal(read_bytes(w, p, 0, 100), 0);
	assert_false(blob_is_sealed(fetch_blob(p)));
	fake_source_release(&w->a);
	fetch_close(w->fetch, p);
}

/* A large file takes longer than any time-out: it is silence that ends a wait. */
static void who_waits_for_the_digest_is_patient_while_bytes_come(void **state)
{
	const struct fake_rule slow = { .act = FAKE_GIVE, .delay_ms = 30 };
	struct world *w = *state;
	int64_t begun_ms;
	struct pull *p;

	start_strict(w, 300);
	w->a.piece_bytes = 65536;
	fake_source_rule(&w->a, &slow);
	begun_ms = clock_ms();
	p = open_file(w);
	assert_int_equal(read_within(w, p, 0, 100, 300), 0);
	assert_true(clock_ms() - begun_ms > 450);
	fetch_close(w->fetch, p);
}

static void who_waits_for_the_digest_is_told_of_silence(void **state)
{
	const struct fake_rule hang = { .act = FAKE_HOLD, .after = MIB };
	struct world *w = *state;
	int64_t begun_ms = clock_ms();
	struct pull *p;

	start_strict(w, SHORT_MS);
	w->source_count = 1;
	fake_source_rule(&w->a, &hang);
	p = open_file(w);
	assert_true(read_within(w, p, 0, 100, SHORT_MS) < 0);
	assert_true(clock_ms() - begun_ms < 10 * SHORT_MS);
	fake_source_release(&w->a);
	fetch_close(w->fetch, p);
}

/* Or a file that comes slowly into a small cache would never be whole. */
static void what_is_waited_for_is_not_given_back(void **state)
{
	const struct fake_rule hang = { .act = FAKE_HOLD, .after = 2 * MIB };
	struct world *w = *state;
	struct parked parked;
	struct pull *p;

	start_strict(w, TIMEOUT_MS);
	w->source_count = 1;
	fake_source_rule(&w->a, &hang);
	p = open_file(w);
	assert_true(is_parked(w, p, &parked, 0, SIZE, LONG_MS));
	assert_true(fake_source_await_held(&w->a, 1));
	clock_sleep_ms(3100);
	assert_true(blob_present_bytes(fetch_blob(p)) > 0);
	assert_int_equal(blob_trim(fetch_blob(p), SIZE), 0);
	fake_source_release(&w->a);
	assert_int_equal(parked_wait(&parked), 0);
	parked_fini(&parked);
	assert_int_equal(read_bytes(w, p, 0, 100), 0);
	fetch_close(w->fetch, p);
}

static void who_lied_once_is_asked_again_if_no_other_has_it(void **state)
{
	const struct fake_rule none = { .act = FAKE_END, .result = ERR_NOREPO };
	const struct fake_rule lie = { .act = FAKE_WRONG, .to = 1, .times = 1 };
	struct world *w = *state;
	struct pull *p = open_file(w);

	fake_source_rule(&w->a, &none);
	fake_source_rule(&w->b, &lie);
	assert_int_equal(touch_all(w, p), 0);
	assert_true(await_wrong(w, 1));
	assert_int_equal(read_bytes(w, p, 0, 100), 0);
	assert_true(blob_is_sealed(fetch_blob(p)));
	fetch_close(w->fetch, p);
}

/* ---- waiting at others ---- */

static bool was_woken(struct parked *p)
{
	bool so;

	lock_take(&p->lock);
	so = p->woken;
	lock_drop(&p->lock);
	return so;
}

/* How his wait ends when what is coming is let come, whenever that was asked for. */
static int end_of(struct world *w, struct parked *p)
{
	int64_t until = clock_ms() + PARKED_WAIT_MS;
	int r;

	while (!was_woken(p) && clock_ms() < until) {
		fake_source_release(&w->a);
		clock_sleep_ms(2);
	}
	r = parked_wait(p);
	parked_fini(p);
	return r;
}

/* The first source has nothing for longer than a trickle may last, and begins with little: what the
 * second one is asked for. */
static uint64_t asked_of_another(struct world *w, bool hearsay)
{
	const struct fake_rule late = { .act = FAKE_HOLD, .times = 1 };
	struct parked reader;
	struct pull *p;

	stop(w);
	w->a.source.hearsay = hearsay;
	w->a.piece_bytes = 4096;
	start(w);
	fake_source_rule(&w->a, &late);
	p = open_file(w);
	assert_true(is_parked(w, p, &reader, 0, 100000, LONG_MS));
	assert_true(fake_source_await_held(&w->a, 1));
	clock_sleep_ms(2200);
	fake_source_release(&w->a);
	assert_int_equal(end_of(w, &reader), 0);
	fetch_close(w->fetch, p);
	return fake_source_bytes(&w->b);
}

static void what_begins_late_with_little_is_left(void **state)
{
	assert_int_not_equal(asked_of_another(*state, false), 0);
}

static void who_passes_bytes_on_may_begin_late(void **state)
{
	assert_int_equal(asked_of_another(*state, true), 0);
}

#define WAITS 30 /* more than run at once for those who read here */
#define APART (3 * MIB)
#define WAITS_SIZE (WAITS * APART + 32 * MIB)

/* Another node has what is read here coming, and gives it when somebody, who fetches for others or
 * reads here, has been given what lies behind: is that so soon? */
static bool goes_on(struct world *w, uint64_t memory_bytes, uint64_t only)
{
	const struct fake_rule coming = { .act = FAKE_COMING, .from = 0, .to = WAITS_SIZE - MIB };
	struct parked here[WAITS], last;
	struct pull *p;
	int64_t until;
	bool so;

	stop(w);
	w->memory_bytes = memory_bytes;
	w->source_count = 1;
	w->a.source.hearsay = true;
	fake_blob(SEED, WAITS_SIZE, DIGEST_SHA256, &w->what);
	start(w);
	fake_source_rule(&w->a, &coming);
	p = open_file(w);
	for (uint64_t i = 0; i < WAITS; i++)
		assert_true(is_parked(w, p, &here[i], i * APART, 100, LONG_MS));
	assert_true(fake_source_await_held(&w->a, 1));
	clock_sleep_ms(200);
	parked_init(&last, LONG_MS);
	last.waiter.only = only;
	so = fetch_read(w->fetch, p, WAITS_SIZE - MIB, 100, &last.waiter, &(const void *){ 0 },
			&(uint64_t){ 0 }) == PARKED;
	assert_true(so);
	for (until = clock_ms() + 2000; !(so = was_woken(&last)) && clock_ms() < until;)
		clock_sleep_ms(5);
	fake_source_calm(&w->a);
	assert_int_equal(end_of(w, &last), 0);
	for (int i = 0; i < WAITS; i++)
		assert_int_equal(end_of(w, &here[i]), 0);
	fetch_close(w->fetch, p);
	return so;
}

static void nodes_that_wait_for_each_other_do_not_stand_still(void **state)
{
	assert_true(goes_on(*state, 64 * MIB, 100));
}

static void nor_with_memory_for_two(void **state)
{
	assert_true(goes_on(*state, 4 * MIB, 100));
}

/* The twin: the place is kept for others alone. */
static void who_reads_here_waits_for_his_turn(void **state)
{
	assert_false(goes_on(*state, 4 * MIB, 0));
}

#define PLACES 42 /* of a stream and a piece each, in 64 MiB */
#define READS (2 * PLACES)
#define MOST_HELD (PLACES / 2 - PLACES / 8) /* the other ones are what its source has besides */

/* How many are asked for at once at most, with those that its source may have besides; it is waited
 * for that so many are. */
static unsigned at_once(struct world *w, uint64_t memory_bytes, bool hearsay, unsigned least)
{
	const struct fake_rule hold = { .act = FAKE_HOLD };
	struct parked here[READS];
	struct pull *p;

	stop(w);
	w->memory_bytes = memory_bytes;
	w->source_count = 1;
	w->a.source.hearsay = hearsay;
	fake_blob(SEED, READS * APART, DIGEST_SHA256, &w->what);
	start(w);
	fake_source_rule(&w->a, &hold);
	p = open_file(w);
	for (uint64_t i = 0; i < READS; i++)
		assert_true(is_parked(w, p, &here[i], i * APART, 100, LONG_MS));
	assert_true(fake_source_await_held(&w->a, least));
	clock_sleep_ms(300); /* for those that are too many */
	fake_source_calm(&w->a);
	fake_source_release(&w->a);
	for (size_t i = 0; i < READS; i++)
		assert_int_equal(end_of(w, &here[i]), 0);
	fetch_close(w->fetch, p);
	return fake_source_most(&w->a) + w->a.source.besides_max;
}

static void what_a_source_of_hearsay_has_besides_is_within_the_memory(void **state)
{
	struct world *w = *state;

	assert_in_range(at_once(w, 64 * MIB, true, MOST_HELD), PLACES / 2, PLACES);
	assert_int_equal(w->a.source.besides_max, PLACES / 8);
}

/* The twins. */
static void with_little_memory_it_has_none_besides(void **state)
{
	struct world *w = *state;

	assert_in_range(at_once(w, 4 * MIB, true, 1), 1, 2);
	assert_int_equal(w->a.source.besides_max, 0);
}

static void nor_has_a_hub(void **state)
{
	struct world *w = *state;

	at_once(w, 64 * MIB, false, 1);
	assert_int_equal(w->a.source.besides_max, 0);
}

/* ---- the middle of a slow run ---- */

#define RUN (8 * MIB)

/* Somebody has a run brought from a hub that is slow, and another one wants what lies at `off` of
 * it; how much was asked for until all of it is there. Other nodes have none of it, or there are
 * none. */
static uint64_t asked_for(struct world *w, uint64_t off, uint64_t only, bool shares)
{
	const struct fake_rule hold = { .act = FAKE_HOLD, .times = 1, .after = 100 };
	const struct fake_rule pass = { .act = FAKE_END, .result = SOURCE_PASS };
	struct parked first, second;
	struct pull *p;

	stop(w);
	w->b.source.hearsay = true;
	w->sources[0] = &w->b.source;
	w->sources[1] = &w->a.source;
	if (!shares)
		w->sources[0] = &w->a.source;
	w->source_count = 1 + shares;
	fake_source_rule(&w->b, &pass);
	fake_blob(SEED, RUN, DIGEST_SHA256, &w->what);
	start(w);
	fake_source_rule(&w->a, &hold);
	p = open_file(w);
	parked_init(&first, LONG_MS);
	first.waiter.only = RUN;
	assert_int_equal(fetch_read(w->fetch, p, 0, MIB, &first.waiter, &(const void *){ 0 },
				    &(uint64_t){ 0 }),
			 PARKED);
	assert_true(fake_source_await_held(&w->a, 1));
	parked_init(&second, LONG_MS);
	second.waiter.only = only;
	assert_int_equal(fetch_read(w->fetch, p, off, MIB, &second.waiter, &(const void *){ 0 },
				    &(uint64_t){ 0 }),
			 PARKED);
	if (off >= RUN_NEAR)
		assert_int_equal(parked_wait(&second), 0); /* while the first still waits */
	fake_source_release(&w->a);
	assert_int_equal(parked_wait(&first), 0);
	if (off < RUN_NEAR)
		assert_int_equal(parked_wait(&second), 0);
	parked_fini(&first);
	parked_fini(&second);
	assert_true(await_sealed(p));
	fetch_close(w->fetch, p);
	return fake_source_asked(&w->a);
}

static void a_guest_who_wants_the_middle_of_a_run_costs_a_hub_nothing(void **state)
{
	assert_int_equal(asked_for(*state, 5 * MIB, MIB, true), RUN);
}

static void nor_does_a_reader_here(void **state)
{
	assert_int_equal(asked_for(*state, 5 * MIB, 0, true), RUN);
}

static void nor_does_who_wants_what_comes_next(void **state)
{
	assert_int_equal(asked_for(*state, MIB, MIB, true), RUN);
}

/* The twin: alone, one asks for all at once, and for the middle once more. */
static void who_shares_with_nobody_asks_for_it_again(void **state)
{
	assert_int_equal(asked_for(*state, 5 * MIB, MIB, false), RUN + 3 * MIB);
}

/* ---- verifiers ---- */

/* Drops what is wrong, as one would who knows it all; while he is told to wait he does. */
static int find_wrong(void *arg, const struct doubt *d)
{
	struct world *w = arg;
	int dropped = 0;

	lock_take(&w->lock);
	w->verified++;
	cond_wake_all(&w->cond);
	while (w->judging && !atomic_load(&d->cancel->canceled))
		cond_wait(&w->cond, &w->lock, clock_ms() + 10);
	lock_drop(&w->lock);
	if (atomic_load(&d->cancel->canceled))
		return ERR_CANCELED;
	for (uint32_t i = 0; i < blob_chunks(d->blob); i++) {
		uint64_t start = chunk_start(i), end = chunk_end(i, blob_size(d->blob));

		if (fake_bytes_are(SEED, start, blob_data(d->blob, start), end - start))
			continue;
		assert_int_equal(blob_drop_chunk(d->blob, i), 0);
		dropped++;
	}
	return dropped;
}

static int find_nothing(void *arg, const struct doubt *d UNUSED)
{
	struct world *w = arg;

	lock_take(&w->lock);
	w->verified++;
	lock_drop(&w->lock);
	return 0;
}

/* All was dropped; how many of its chunks were right, as is told. */
static void note_dropped(void *arg, const char *etag UNUSED, const struct chunk_list *was)
{
	CLEANUP(freep) char *bytes = malloc(MIB);
	struct world *w = arg;
	uint8_t right[CHUNK_LIST_DIGEST];

	w->right_of_dropped = 0;
	for (uint32_t i = 0; bytes && was && i < was->count; i++) {
		size_t len = chunk_end(i, SIZE) - chunk_start(i);

		fake_bytes(SEED, chunk_start(i), bytes, len);
		if (digest_of(DIGEST_SHA256, bytes, len, right) == 0)
			w->right_of_dropped += chunk_digest_same(was->digests[i], right);
	}
	w->whole_drops++;
}

/* One who may know which chunks are wrong; one source alone, so that what it gives is all. */
static void start_doubts(struct world *w, int (*look)(void *arg, const struct doubt *d))
{
	stop(w);
	w->verifier = (struct verifier){ .look = look, .dropped = note_dropped, .arg = w };
	w->source_count = 1;
	w->lists = true;
	start(w);
}

/* Its first chunk turns out wrong while one request brings all of the file, and has come to its
 * third. With `told` fetch_lost is called; how often the kernel is told, if the file is whole then
 * without anybody reading on. */
static unsigned lose_first(struct world *w, bool told)
{
	const struct fake_rule hold = { .act = FAKE_HOLD, .after = 2 * MIB, .times = 1 };
	struct pull *p = open_file(w);
	unsigned wrong;

	fake_source_rule(&w->a, &hold);
	assert_int_equal(fetch_want(w->fetch, p, 0, SIZE, URGENCY_AHEAD), 0);
	assert_true(fake_source_await_held(&w->a, 1));
	assert_int_equal(read_bytes(w, p, 0, MIB), 0);
	assert_int_equal(blob_drop_chunk(fetch_blob(p), 0), 0);
	if (told)
		fetch_lost(w->fetch, p, 0, 1);
	fake_source_release(&w->a);
	if (told)
		assert_true(await_sealed(p));
	else
		clock_sleep_ms(500);
	assert_int_equal(blob_is_sealed(fetch_blob(p)), told);
	wrong = wrong_count(w);
	assert_int_equal(fetch_drops(p), told);
	assert_int_equal(read_all(w, p), 0);
	fetch_close(w->fetch, p);
	return wrong;
}

static void what_is_lost_while_the_rest_comes_comes_again(void **state)
{
	assert_int_equal(lose_first(*state, true), 2); /* then, and when it is sealed */
}

/* The twin. */
static void nobody_asks_for_what_nobody_knows_to_be_lost(void **state)
{
	assert_int_equal(lose_first(*state, false), 0);
}

/* One chunk is wrong, and judged so: it alone comes again. */
static void is_fetched_again_alone(struct world *w, int (*judge)(void *arg, const struct doubt *d))
{
	const struct fake_rule lie = { .act = FAKE_WRONG, .after = MIB, .times = 1 };
	struct pull *p;

	start_doubts(w, judge);
	fake_source_rule(&w->a, &lie);
	p = open_file(w);
	assert_int_equal(touch_all(w, p), 0);
	assert_true(await_wrong(w, 1));
	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	assert_int_equal(w->verified, 1);
	assert_int_equal(w->whole_drops, 0);
	assert_in_range(fake_source_bytes(&w->a), SIZE + 1, 2 * SIZE - MIB);
	fetch_close(w->fetch, p);
}

static void what_is_named_alone_is_fetched_again(void **state)
{
	is_fetched_again_alone(*state, find_wrong);
}

/* The twin. */
static void if_nobody_can_tell_all_of_it_is(void **state)
{
	const struct fake_rule lie = { .act = FAKE_WRONG, .after = MIB, .times = 1 };
	struct world *w = *state;
	struct pull *p;

	start_doubts(w, find_nothing);
	fake_source_rule(&w->a, &lie);
	p = open_file(w);
	assert_int_equal(touch_all(w, p), 0);
	assert_true(await_wrong(w, 2)); /* when it is doubted, and when it is dropped */
	assert_int_equal(read_all(w, p), 0);
	assert_true(blob_is_sealed(fetch_blob(p)));
	assert_int_equal(w->verified, 1);
	assert_int_equal(w->whole_drops, 1);
	assert_int_equal(w->right_of_dropped, 1); /* its first chunk */
	assert_int_equal(fake_source_bytes(&w->a), 2 * SIZE);
	fetch_close(w->fetch, p);
}

/* What is wrong is found by somebody else meanwhile. */
static int find_too_late(void *arg, const struct doubt *d)
{
	return find_wrong(arg, d) < 0 ? ERR_CANCELED : 0;
}

static void what_went_while_it_was_looked_for_alone_is_fetched_again(void **state)
{
	is_fetched_again_alone(*state, find_too_late);
}

static void await_judge(struct world *w, unsigned count)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;

	lock_take(&w->lock);
	while (w->verified < count && clock_ms() < deadline)
		cond_wait(&w->cond, &w->lock, deadline);
	assert_int_equal(w->verified, count);
	lock_drop(&w->lock);
}

static void end_judging(struct world *w)
{
	lock_take(&w->lock);
	w->judging = false;
	cond_wake_all(&w->cond);
	lock_drop(&w->lock);
}

/* Who reads here, or fetches for others (only), asks while a part is known to be wrong. */
static void wait_for_verifier(struct world *w, uint64_t only)
{
	const struct fake_rule lie = { .act = FAKE_WRONG, .times = 1 };
	struct parked parked;
	const void *data;
	struct pull *p;

	w->judging = true;
	start_doubts(w, find_wrong);
	fake_source_rule(&w->a, &lie);
	p = open_file(w);
	assert_int_equal(touch_all(w, p), 0);
	await_judge(w, 1);
	parked_init(&parked, LONG_MS);
	parked.waiter.only = only;
	assert_int_equal(read_whole(w->fetch, p, 0, 100, &parked.waiter, &data), PARKED);
	clock_sleep_ms(50);
	assert_int_equal(parked.woken, 0);
	end_judging(w);
	assert_int_equal(parked_wait(&parked), 0);
	parked_fini(&parked);
	assert_int_equal(read_all(w, p), 0);
	fetch_close(w->fetch, p);
}

static void who_reads_what_is_looked_into_waits_for_that(void **state)
{
	wait_for_verifier(*state, 0);
}

static void who_fetches_for_others_is_given_nothing_that_is_in_doubt(void **state)
{
	wait_for_verifier(*state, 100);
}

static void a_stop_ends_a_verification(void **state)
{
	const struct fake_rule lie = { .act = FAKE_WRONG };
	struct world *w = *state;
	struct pull *p;

	w->judging = true;
	start_doubts(w, find_wrong);
	fake_source_rule(&w->a, &lie);
	p = open_file(w);
	assert_int_equal(touch_all(w, p), 0);
	await_judge(w, 1);
	fetch_close(w->fetch, p);
	fetch_stop(w->fetch);
}

static void who_lies_for_ever_is_not_looked_into_for_ever(void **state)
{
	const struct fake_rule lie = { .act = FAKE_WRONG };
	struct world *w = *state;
	struct pull *p;
	int r = 0;

	start_doubts(w, find_wrong);
	fake_source_rule(&w->a, &lie);
	p = open_file(w);
	for (int i = 0; i < 100 && r != ERR_DIGEST; i++) {
		r = touch_all(w, p);
		r = r == -EALREADY ? read_bytes(w, p, 0, 1) : r;
		clock_sleep_ms(20);
	}
	assert_int_equal(r, ERR_DIGEST);
	assert_in_range(w->verified, 1, 10);
	fetch_close(w->fetch, p);
}

/* That another knows nothing of it is no reason to say that it does not exist. */
static void who_lied_twice_is_not_and_readers_are_told_why(void **state)
{
	const struct fake_rule none = { .act = FAKE_END, .result = ERR_NOREPO };
	const struct fake_rule lie = { .act = FAKE_WRONG };
	struct world *w = *state;
	struct pull *p = open_file(w);

	fake_source_rule(&w->a, &none);
	fake_source_rule(&w->b, &lie);
	assert_int_equal(touch_all(w, p), 0);
	assert_true(await_wrong(w, 1));
	assert_int_equal(read_bytes(w, p, 0, 100), ERR_DIGEST);
	assert_false(blob_is_sealed(fetch_blob(p)));
	fetch_close(w->fetch, p);
}

static void when_all_sources_lie_readers_are_told(void **state)
{
	const struct fake_rule lie = { .act = FAKE_WRONG };
	struct world *w = *state;
	struct pull *p = open_file(w);
	unsigned calls;

	fake_source_rule(&w->a, &lie);
	fake_source_rule(&w->b, &lie);
	assert_int_equal(touch_all(w, p), 0);
	assert_true(await_wrong(w, 1));
	assert_int_equal(read_bytes(w, p, 0, 100), ERR_DIGEST);
	assert_in_range(wrong_count(w), 3, 4); /* each has had two tries, or a part in one */
	assert_true(fake_source_calls(&w->b) > 0);
	assert_false(row_is_sealed(w));
	/* From now on at once, and without asking anybody. */
	calls = fake_source_calls(&w->a) + fake_source_calls(&w->b);
	for (int i = 0; i < 10; i++)
		assert_int_equal(read_bytes(w, p, 0, 100), ERR_DIGEST);
	assert_int_equal(fake_source_calls(&w->a) + fake_source_calls(&w->b), calls);
	fetch_close(w->fetch, p);
}

/* As what was wanted, or on its way, since before the digest was wrong. */
static void want_behind_the_bar(struct world *w, struct pull *p, enum urgency urgency)
{
	struct pulls *pulls = fetch_pulls(w->fetch);

	lock_take(&pulls->lock);
	assert_int_equal(fill_want(&p->fill, 0, SIZE, urgency, RUN_BYTES_MAX), 0);
	lock_drop(&pulls->lock);
	assert_int_equal(fetch_want(w->fetch, p, 0, 0, urgency), 0); /* wakes the streams */
}

/* Wants the file in every class, in both ways, and waits for what comes of it. */
static unsigned calls_after_wanting(struct world *w, struct pull *p)
{
	for (enum urgency u = URGENCY_AHEAD; u < URGENCY_COUNT; u++) {
		assert_int_equal(fetch_want(w->fetch, p, 0, SIZE, u), 0);
		want_behind_the_bar(w, p, u);
		clock_sleep_ms(100);
		assert_true(fake_source_await_idle(&w->a));
	}
	return fake_source_calls(&w->a);
}

static void a_source_that_was_wrong_twice_is_not_asked_by_any_way(void **state)
{
	const struct fake_rule lie = { .act = FAKE_WRONG };
	struct world *w = *state;
	struct pull *p;
	unsigned calls;
	int touched;

	w->source_count = 1;
	restart(w);
	p = open_file(w);
	fake_source_rule(&w->a, &lie);
	touched = touch_all(w, p); /* before or after a verdict */
	assert_true(touched == 0 || touched == ERR_DIGEST);
	assert_true(await_wrong(w, 1));
	assert_int_equal(read_bytes(w, p, 0, 100), ERR_DIGEST);
	assert_true(await_wrong(w, 2));
	calls = fake_source_calls(&w->a);
	assert_int_equal(calls_after_wanting(w, p), calls);
	fetch_close(w->fetch, p);
	p = open_file(w); /* nor by who opens it anew */
	assert_int_equal(read_bytes(w, p, 0, 100), ERR_DIGEST);
	assert_int_equal(calls_after_wanting(w, p), calls);
	lock_take(&fetch_pulls(w->fetch)->lock);
	p->distrust.barred_until_ms = p->distrust.twice_until_ms = 0; /* but later once more */
	lock_drop(&fetch_pulls(w->fetch)->lock);
	assert_true(calls_after_wanting(w, p) > calls);
	fetch_close(w->fetch, p);
}

/* ---- waits end ---- */

static void a_hanging_source_meets_the_deadline(void **state)
{
	const struct fake_rule hang = { .act = FAKE_HOLD };
	struct world *w = *state;
	struct pull *p = open_file(w);
	int64_t begun = clock_ms();

	fake_source_rule(&w->a, &hang);
	assert_int_equal(read_within(w, p, 0, 100, SHORT_MS), ERR_TIMEOUT);
	assert_in_range(clock_ms() - begun, SHORT_MS, 2 * SHORT_MS);
	fake_source_release(&w->a);
	clock_sleep_ms(LATE_MS);
	assert_int_equal(read_bytes(w, p, 0, 100), 0);
	fetch_close(w->fetch, p);
}

static void who_leaves_is_not_woken(void **state)
{
	const struct fake_rule hang = { .act = FAKE_HOLD };
	struct world *w = *state;
	struct pull *p = open_file(w);
	struct parked parked;

	fake_source_rule(&w->a, &hang);
	assert_true(is_parked(w, p, &parked, 0, 100, LONG_MS));
	assert_int_equal(fetch_leave(w->fetch, &parked.waiter), 1);
	assert_int_equal(fetch_leave(w->fetch, &parked.waiter), 0);
	fake_source_release(&w->a);
	fake_source_calm(&w->a);
	assert_int_equal(read_bytes(w, p, 0, 100), 0);
	assert_int_equal(parked_woken(&parked), 0);
	parked_fini(&parked);
	fetch_close(w->fetch, p);
}

static void an_interrupt_before_parking_counts(void **state)
{
	struct world *w = *state;
	struct pull *p = open_file(w);
	struct parked parked;
	const void *data;

	parked_init(&parked, LONG_MS);
	atomic_store(&parked.waiter.canceled, 1);
	assert_int_equal(read_whole(w->fetch, p, 0, 100, &parked.waiter, &data), ERR_CANCELED);
	parked_fini(&parked);
	fetch_close(w->fetch, p);
}

static void stopping_wakes_readers_and_ends_requests(void **state)
{
	const struct fake_rule hang = { .act = FAKE_HOLD };
	struct parked parked[READERS];
	struct world *w = *state;
	struct pull *p = open_file(w);
	int64_t begun;

	fake_source_rule(&w->a, &hang);
	for (uint64_t i = 0; i < READERS; i++)
		assert_true(is_parked(w, p, &parked[i], i * 100000, 100, LONG_MS));
	assert_true(fake_source_await_held(&w->a, 1));
	begun = clock_ms();
	fetch_stop(w->fetch);
	assert_true(clock_ms() - begun < 1000);
	for (int i = 0; i < READERS; i++) {
		assert_int_equal(parked_wait(&parked[i]), ERR_STOPPING);
		assert_int_equal(parked_woken(&parked[i]), 1);
		parked_fini(&parked[i]);
	}
	assert_int_equal(read_bytes(w, p, 0, 100), ERR_STOPPING);
	fetch_close(w->fetch, p);
}

static void closing_under_way_leaves_nothing_behind(void **state)
{
	const struct fake_rule slow = { .act = FAKE_GIVE, .delay_ms = 1 };
	struct world *w = *state;

	fake_source_rule(&w->a, &slow);
	for (int i = 0; i < 10; i++) {
		struct pull *p = open_file(w);

		assert_int_equal(read_bytes(w, p, (uint64_t)i * MIB / 2, 10), 0);
		fetch_close(w->fetch, p);
	}
	assert_true(fake_source_await_idle(&w->a));
	stop(w); /* the store asserts nothing, but leaks would show */
}

static void a_closed_file_is_not_fetched_on(void **state)
{
	const struct fake_rule hang = { .act = FAKE_HOLD, .after = 100000 };
	struct world *w = *state;
	struct pull *p = open_file(w);

	fake_source_rule(&w->a, &hang);
	assert_int_equal(read_bytes(w, p, 0, 10), 0);
	assert_true(fake_source_await_held(&w->a, 1));
	fetch_close(w->fetch, p);
	fake_source_release(&w->a);
	assert_true(fake_source_await_idle(&w->a));
	assert_in_range(fake_source_bytes(&w->a), MIB, MIB + 2 * w->a.piece_bytes);
}

/* A server that is too busy takes the rest of a run back to the queue, where nobody is left to want
 * it. */
static void what_nobody_reads_any_more_is_not_queued_again(void **state)
{
	const struct fake_rule busy = { .act = FAKE_END,
					.to = 1,
					.after = MIB,
					.result = ERR_BUSY,
					.delay_ms = 50,
					.wait_ms = 10 };
	const struct fake_rule slow = { .act = FAKE_GIVE, .delay_ms = 100 };
	struct source_blob other;
	struct world *w = *state;
	struct pull *p, *q;

	w->source_count = 1;
	restart(w);
	w->a.piece_bytes = MIB / 4;
	fake_source_rule(&w->a, &busy);
	fake_source_rule(&w->a, &slow);
	fake_blob(SEED, 4 * MIB, DIGEST_SHA256, &other);
	assert_int_equal(fetch_open(w->fetch, &other, &q), 0);
	assert_int_equal(fetch_want(w->fetch, q, MIB, 4 * MIB, URGENCY_AHEAD), 0);
	p = open_file(w);
	assert_int_equal(fetch_want(w->fetch, p, 0, SIZE, URGENCY_AHEAD), 0);
	assert_true(fake_source_await_calls(&w->a, 2));
	clock_sleep_ms(350);
	fetch_close(w->fetch, p);
	assert_true(fake_source_await_idle(&w->a));
	/* All of the other, and here what comes within a second. */
	assert_in_range(fake_source_bytes(&w->a), 3 * MIB, 13 * MIB / 2);
	fetch_close(w->fetch, q);
}

/* Zeros among our own, under the id of the file that the source has. */
static void put_own(struct world *w)
{
	CLEANUP(buf_free) struct buf dir = { 0 };
	CLEANUP(closep) int fd = -1;

	buf_printf(&dir, "%s/own/blobs/%.2s", w->dir.path, w->what.etag);
	assert_int_equal(file_mkdirs(buf_str(&dir)), 0);
	buf_printf(&dir, "/%s", w->what.etag);
	fd = open(buf_str(&dir), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	buf_clear(&dir);
	buf_printf(&dir, "%s/own", w->dir.path);
	assert_int_equal(store_set_own(w->store, buf_str(&dir)), 0);
}

static void what_is_our_own_is_given_to_nobody_else_who_names_its_id(void **state)
{
	struct world *w = *state;
	struct source_blob own = w->what;
	struct pull *p, *q, *none = NULL;
	const void *data;

	w->source_count = 1;
	restart(w);
	own.own = true;
	assert_int_equal(fetch_open(w->fetch, &own, &none), ERR_CORRUPT); /* and not asked for */
	put_own(w);
	assert_int_equal(fetch_open(w->fetch, &own, &p), 0);
	q = open_file(w);
	assert_ptr_not_equal(fetch_blob(p), fetch_blob(q));
	assert_false(blob_is_sealed(fetch_blob(q)));
	assert_int_equal(read_whole(w->fetch, p, 0, SIZE, NULL, &data), 0);
	assert_int_equal(*(const char *)data, 0);
	fetch_done(p, data, SIZE);
	assert_int_equal(fake_source_calls(&w->a), 0);
	assert_int_equal(read_within(w, q, 0, SIZE, LONG_MS), 0);
	assert_int_equal(fake_source_bytes(&w->a), SIZE);
	fetch_close(w->fetch, q);
	assert_true(blob_is_sealed(fetch_blob(p)));
	fetch_close(w->fetch, p);
}

static void who_asks_just_after_a_failure_gets_the_same_answer(void **state)
{
	const struct fake_rule down = { .act = FAKE_END, .result = ERR_UPSTREAM };
	struct world *w = *state;
	struct pull *p;
	unsigned calls;

	w->source_count = 1;
	restart(w);
	p = open_file(w);
	fake_source_rule(&w->a, &down);
	assert_int_equal(read_bytes(w, p, 0, 10), ERR_UPSTREAM);
	calls = fake_source_calls(&w->a);
	assert_int_equal(read_bytes(w, p, 0, 10), ERR_UPSTREAM);
	assert_int_equal(fake_source_calls(&w->a), calls);
	fake_source_calm(&w->a);
	clock_sleep_ms(FAILED_MS);
	assert_int_equal(read_bytes(w, p, 0, 10), 0);
	fetch_close(w->fetch, p);
}

/* A large read that waited in vain is asked for anew in pieces by the kernel. */
static void what_was_waited_for_in_vain_is_not_waited_for_again_at_once(void **state)
{
	const struct fake_rule hang = { .act = FAKE_HOLD, .after = 5000 };
	struct world *w = *state;
	struct pull *p;
	int64_t began;

	w->source_count = 1;
	restart(w);
	p = open_file(w);
	fake_source_rule(&w->a, &hang);
	assert_int_equal(read_within(w, p, 0, MIB, 1000), ERR_TIMEOUT);
	began = clock_ms();
	assert_int_equal(read_bytes(w, p, 0, 4096), 0); /* has come */
	assert_int_equal(read_bytes(w, p, 8192, 4096), ERR_TIMEOUT);
	assert_in_range(clock_ms() - began, 0, LATE_MS);
	clock_sleep_ms(LATE_MS);
	fake_source_release(&w->a);
	fake_source_calm(&w->a);
	assert_int_equal(read_bytes(w, p, 8192, 4096), 0);
	fetch_close(w->fetch, p);
}

static void what_slow_bytes_do_not_come_to_is_not_waited_for_again_at_once(void **state)
{
	const struct fake_rule slow = { .act = FAKE_GIVE, .delay_ms = 100 };
	struct world *w = *state;
	struct pull *p;
	int64_t began;

	w->source_count = 1;
	w->a.piece_bytes = 8192;
	w->timeout_ms = 1000;
	restart(w);
	p = open_file(w);
	fake_source_rule(&w->a, &slow);
	assert_int_equal(read_within(w, p, 0, MIB, 1000), ERR_TIMEOUT);
	began = clock_ms();
	assert_int_equal(read_bytes(w, p, MIB / 2, 4096), ERR_TIMEOUT);
	assert_in_range(clock_ms() - began, 0, LATE_MS);
	assert_int_equal(read_bytes(w, p, 98304, 4096), 0); /* is about to come */
	fetch_close(w->fetch, p);
}

static void slow_bytes_that_come_are_waited_for_again(void **state)
{
	const struct fake_rule slow = { .act = FAKE_GIVE, .delay_ms = 60 };
	struct world *w = *state;
	struct pull *p;

	w->source_count = 1;
	w->a.piece_bytes = 65536;
	restart(w);
	p = open_file(w);
	fake_source_rule(&w->a, &slow);
	assert_int_equal(read_within(w, p, 0, MIB, 100), ERR_TIMEOUT);
	assert_int_equal(read_bytes(w, p, MIB / 2, 4096), 0);
	fetch_close(w->fetch, p);
}

/* ---- the disk ---- */

static void from_a_full_disk_the_reader_is_served_past_the_cache(void **state)
{
	const struct fake_rule full = {
		.act = FAKE_END, .times = 1, .after = 5000, .result = -ENOSPC
	};
	struct world *w = *state;
	struct pull *p = open_file(w);

	fake_source_rule(&w->a, &full);
	assert_false(fetch_begin_anew(w->fetch, p));
	assert_int_equal(read_bytes(w, p, 100, 100000), 0);
	assert_int_equal(read_bytes(w, p, SIZE - 5, 5), 0);
	assert_true(fetch_begin_anew(w->fetch, p));
	assert_int_equal(atomic_load(&w->rooms_asked), 1);
	assert_int_equal(blob_present_bytes(fetch_blob(p)), 0);
	assert_int_equal(fake_source_bytes(&w->a), 5000 + 100000 + 5); /* no more than was read */
	assert_int_equal(fake_source_calls(&w->b), 0); /* it is not the source's fault */
	fetch_close(w->fetch, p);
}

static void when_the_disk_takes_bytes_again_they_are_kept(void **state)
{
	const struct fake_rule full = {
		.act = FAKE_END, .times = 1, .after = 5000, .result = -ENOSPC
	};
	struct world *w = *state;
	struct pull *p = open_file(w);

	fake_source_rule(&w->a, &full);
	assert_int_equal(read_bytes(w, p, 100, 100000), 0);
	p->unkept_until_ms = clock_ms(); /* time passes */
	assert_int_equal(read_bytes(w, p, 0, MIB), 0);
	assert_true(blob_has(fetch_blob(p), 0));
	fetch_close(w->fetch, p);
}

static void nobody_left_to_take_bytes_past_the_cache_loses_none(void **state)
{
	const struct fake_rule full = {
		.act = FAKE_END, .times = 1, .after = 5000, .result = -ENOSPC
	};
	const struct fake_rule hold = { .act = FAKE_HOLD, .times = 1, .after = 10 };
	struct world *w = *state;
	struct pull *p = open_file(w);
	struct parked parked;

	fake_source_rule(&w->a, &full);
	/* More than comes before the disk is full: nothing is left on its way to the cache. */
	assert_int_equal(read_bytes(w, p, 0, 10000), 0);
	fake_source_rule(&w->a, &hold);
	assert_true(is_parked(w, p, &parked, 100, 100, LONG_MS));
	assert_true(fake_source_await_held(&w->a, 1));
	assert_int_equal(fetch_leave(w->fetch, &parked.waiter), 1);
	parked_fini(&parked);
	fake_source_release(&w->a);
	assert_true(fake_source_await_idle(&w->a));
	fetch_close(w->fetch, p);
}

static void a_full_disk_is_nothing_when_room_can_be_made(void **state)
{
	const struct fake_rule full = {
		.act = FAKE_END, .times = 2, .after = 5000, .result = -ENOSPC
	};
	struct world *w = *state;
	struct pull *p = open_file(w);

	atomic_store(&w->rooms, 2);
	fake_source_rule(&w->a, &full);
	assert_int_equal(read_bytes(w, p, 0, 100000), 0);
	assert_int_equal(atomic_load(&w->rooms_asked), 2);
	fetch_close(w->fetch, p);
}

static void at_the_limit_room_is_made_without_asking_twice(void **state)
{
	struct world *w = *state;
	struct pull *p = open_file(w);

	atomic_store(&w->rooms, 5);
	store_limit(w->store, &(struct cache_limits){ MIB, 0 });
	assert_int_equal(read_bytes(w, p, 0, SIZE), 0);
	assert_int_equal(atomic_load(&w->rooms_asked), 5);
	assert_int_equal(blob_present_bytes(fetch_blob(p)), SIZE);
	assert_int_equal(fake_source_bytes(&w->a), SIZE);
	fetch_close(w->fetch, p);
}

static void room_that_takes_long_is_not_the_sources_fault(void **state)
{
	struct world *w = *state;
	struct pull *p = open_file(w);

	atomic_store(&w->rooms, 1);
	w->room_takes_ms = 2200; /* a request that brings so little for so long is cut */
	store_limit(w->store, &(struct cache_limits){ 1, 0 });
	assert_int_equal(read_bytes(w, p, 0, 10), 0);
	assert_true(fake_source_await_idle(&w->a));
	assert_int_equal(fake_source_calls(&w->a), 1);
	assert_true(blob_has(fetch_blob(p), 0));
	fetch_close(w->fetch, p);
}

/* Only verified, in a cache of one MiB. */
static struct pull *open_strict_in_little(struct world *w)
{
	w->strict = true;
	restart(w);
	store_limit(w->store, &(struct cache_limits){ MIB, 0 });
	return open_file(w);
}

static void what_nobody_waits_for_keeps_to_the_limit_also_if_it_is_to_be_verified(void **state)
{
	struct world *w = *state;
	struct pull *p = open_strict_in_little(w);

	assert_int_equal(fetch_want(w->fetch, p, 0, SIZE, URGENCY_BACKGROUND), 0);
	assert_true(fake_source_await_calls(&w->a, 1));
	assert_true(fake_source_await_idle(&w->a));
	assert_in_range(store_used_bytes(w->store), 0, MIB);
	fetch_close(w->fetch, p);
}

static void what_is_wanted_says_that_it_cannot_be_kept(void **state)
{
	int64_t until_ms = clock_ms() + PARKED_WAIT_MS;
	struct world *w = *state;
	struct pull *p = open_file(w);
	int r;

	store_limit(w->store, &(struct cache_limits){ MIB, 0 });
	assert_int_equal(fetch_want(w->fetch, p, 0, SIZE, URGENCY_BACKGROUND), 0);
	do
		r = fetch_want(w->fetch, p, 0, SIZE, URGENCY_BACKGROUND);
	while (r == 0 && clock_ms() < until_ms);
	assert_int_equal(r, ERR_FULL);
	fetch_close(w->fetch, p);
}

static void beyond_the_limit_the_reader_is_served_past_the_cache(void **state)
{
	struct world *w = *state;
	struct pull *p = open_file(w);

	store_limit(w->store, &(struct cache_limits){ MIB, 0 });
	assert_int_equal(read_bytes(w, p, 0, SIZE), 0);
	assert_true(atomic_load(&w->rooms_asked) > 0);
	assert_true(fake_source_await_idle(&w->a));
	assert_in_range(store_used_bytes(w->store), 0, MIB);
	assert_in_range(blob_present_bytes(fetch_blob(p)), 0, MIB);
	assert_int_equal(fake_source_calls(&w->b), 0);
	fetch_close(w->fetch, p);
}

static bool has_first_chunk_anew(struct world *w, struct pull *p)
{
	assert_true(fake_source_await_idle(&w->a));
	assert_true(fetch_begin_anew(w->fetch, p));
	return !blob_has(fetch_blob(p), 0);
}

/* What is digested at that moment is not begun anew. */
static bool await_anew(struct world *w, struct pull *p)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;
	bool so;

	while (!(so = has_first_chunk_anew(w, p)) && clock_ms() < deadline)
		clock_sleep_ms(1);
	return so;
}

/* The pull may be the one that the disk took nothing of, if that was at work when it was left. */
static bool read_until_sealed(struct world *w, struct pull *p)
{
	int64_t deadline = clock_ms() + UNKEPT_MS + PARKED_WAIT_MS;

	do {
		assert_int_equal(read_all(w, p), 0);
		clock_sleep_ms(10);
	} while (!blob_is_sealed(fetch_blob(p)) && clock_ms() < deadline);
	return blob_is_sealed(fetch_blob(p));
}

static void what_had_room_only_in_part_is_begun_anew(void **state)
{
	struct world *w = *state;
	struct pull *p = open_file(w), *another = open_file(w);

	store_limit(w->store, &(struct cache_limits){ MIB, 0 });
	assert_int_equal(read_bytes(w, p, 0, SIZE), 0);
	fetch_close(w->fetch, another);
	another = open_file(w);
	assert_false(has_first_chunk_anew(w, another)); /* it is somebody else's, too */
	fetch_close(w->fetch, p);
	fetch_close(w->fetch, another);
	p = open_file(w);
	assert_true(await_anew(w, p));
	store_limit(w->store, &(struct cache_limits){ 0, 0 });
	assert_true(read_until_sealed(w, p));
	assert_false(fetch_begin_anew(w->fetch, p));
	fetch_close(w->fetch, p);
}

static void what_is_given_only_verified_is_kept_beyond_the_limit(void **state)
{
	struct world *w = *state;
	struct pull *p = open_strict_in_little(w);

	assert_int_equal(read_bytes(w, p, 100, 5), 0);
	assert_true(blob_is_sealed(fetch_blob(p)));
	assert_in_range(store_used_bytes(w->store), SIZE, SIZE + 4096);
	fetch_close(w->fetch, p);
}

/* ---- what is laid before anybody has compared it ---- */

/* A source stops in the midst of a chunk, that lays what it gives, or gives it: whether a reader
 * who is content with some has any then. */
static bool is_seen_at_once(struct world *w, bool lays)
{
	const struct fake_rule hold = { .act = FAKE_HOLD, .times = 1, .after = 200000 };
	struct parked some;
	const void *data;
	struct pull *p;
	uint64_t len;
	bool so;

	w->a.lays = lays;
	fake_source_rule(&w->a, &hold);
	p = open_file(w);
	parked_init(&some, LONG_MS);
	some.waiter.some = true;
	assert_int_equal(fetch_read(w->fetch, p, 0, 1000, &some.waiter, &data, &len), PARKED);
	assert_true(fake_source_await_held(&w->a, 1));
	so = was_woken(&some);
	assert_false(blob_has(fetch_blob(p), 0));
	fake_source_release(&w->a);
	assert_int_equal(parked_wait(&some), 0);
	parked_fini(&some);
	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	assert_int_equal(fake_source_bytes(&w->a), SIZE);
	fetch_close(w->fetch, p);
	return so;
}

static void what_is_given_is_seen_before_its_chunk_is_whole(void **state)
{
	assert_true(is_seen_at_once(*state, false));
}

static void what_is_laid_is_not(void **state)
{
	assert_false(is_seen_at_once(*state, true));
}

static void what_is_taken_back_comes_anew_and_nobody_has_seen_it(void **state)
{
	const struct fake_rule again = { .act = FAKE_AGAIN, .times = 3, .after = 300000 };
	struct world *w = *state;
	struct pull *p = open_file(w);

	w->source_count = 1;
	w->a.lays = true;
	fake_source_rule(&w->a, &again);
	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	assert_int_equal(wrong_count(w), 0);
	assert_in_range(fake_source_bytes(&w->a), SIZE + 300000, SIZE + 3 * 300000);
	fetch_close(w->fetch, p);
}

/* The first source is cut in the midst of a chunk, and the second one gives the rest: how much both
 * gave. */
static uint64_t come_of_two(struct world *w, bool lays)
{
	const struct fake_rule cut = {
		.act = FAKE_END, .times = 1, .after = 300000, .result = ERR_CUT
	};
	struct pull *p = open_file(w);

	w->a.lays = lays;
	fake_source_rule(&w->a, &cut);
	assert_int_equal(touch_all(w, p), 0);
	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	assert_true(fake_source_bytes(&w->b) > 0);
	fetch_close(w->fetch, p);
	return fake_source_bytes(&w->a) + fake_source_bytes(&w->b);
}

static void what_was_given_of_a_chunk_stays_where_its_source_is_cut(void **state)
{
	assert_int_equal(come_of_two(*state, false), SIZE);
}

static void what_was_laid_of_it_comes_again_from_its_start(void **state)
{
	assert_int_equal(come_of_two(*state, true), SIZE + 300000);
}

static void at_the_limit_room_is_made_for_what_is_laid(void **state)
{
	struct world *w = *state;

	w->a.lays = true;
	at_the_limit_room_is_made_without_asking_twice(state);
}

static void beyond_the_limit_what_was_to_be_laid_is_given_past_the_cache(void **state)
{
	struct world *w = *state;

	w->a.lays = true;
	beyond_the_limit_the_reader_is_served_past_the_cache(state);
}

static void without_sources_only_what_is_there_is_given(void **state)
{
	struct world *w = *state;
	struct pull *p = open_file(w);
	struct parked parked;
	const void *data;

	assert_int_equal(read_bytes(w, p, 0, 100), 0);
	fetch_close(w->fetch, p);
	assert_true(fake_source_await_idle(&w->a));
	w->source_count = 0;
	restart(w);
	p = open_file(w);
	assert_int_equal(read_bytes(w, p, 0, 100), 0);
	assert_false(is_parked(w, p, &parked, SIZE - 10, 10, LONG_MS));
	assert_int_equal(read_whole(w->fetch, p, SIZE - 10, 10, &parked.waiter, &data),
			 ERR_OFFLINE);
	parked_fini(&parked);
	fetch_close(w->fetch, p);
}

static void a_crash_loses_nothing_that_was_there(void **state)
{
	struct world *w = *state;
	struct pull *p = open_file(w);
	uint64_t present, given;

	assert_int_equal(read_bytes(w, p, 2 * MIB, MIB), 0);
	fetch_close(w->fetch, p);
	assert_true(fake_source_await_idle(&w->a));
	stop(w);
	start(w);
	p = open_file(w);
	present = blob_present_bytes(fetch_blob(p));
	assert_true(present >= MIB);
	given = fake_source_bytes(&w->a);
	assert_int_equal(read_all(w, p), 0);
	assert_int_equal(fake_source_bytes(&w->a), given + SIZE - present);
	assert_true(await_sealed(p));
	fetch_close(w->fetch, p);
	restart(w);
	p = open_file(w);
	assert_true(blob_is_sealed(fetch_blob(p)));
	fetch_close(w->fetch, p);
}

static void what_was_complete_is_sealed_by_the_next_start(void **state)
{
	struct world *w = *state;
	struct catalog_blob row = { .size = SIZE };
	struct pull *p = open_file(w);

	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	fetch_close(w->fetch, p);
	/* Killed between the last byte and the seal, with a full map: written by hand. */
	assert_int_equal(catalog_put_blob(w->catalog, w->what.etag, &row), 0);
	restart(w);
	p = open_file(w);
	assert_false(blob_is_sealed(fetch_blob(p)));
	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	fetch_close(w->fetch, p);
}

/* The file of a sealed row is gone; the row must not vouch for the zeros in its place. */
static void a_row_without_its_file_is_forgotten(void **state)
{
	struct world *w = *state;
	struct pull *p = open_file(w);

	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	fetch_close(w->fetch, p);
	while (store_evict(w->store, w->what.etag) == -EBUSY) /* the sealer looks back at it */
		clock_sleep_ms(1);
	assert_true(row_is_sealed(w));
	p = open_file(w);
	assert_false(blob_is_sealed(fetch_blob(p)));
	assert_false(row_is_sealed(w));
	fetch_close(w->fetch, p);
	p = open_file(w);
	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	fetch_close(w->fetch, p);
}

/* ---- many at once ---- */

static void *read_at_random(void *arg)
{
	struct reader *r = arg;

	for (int i = 0; r->result == 0 && i < r->rounds; i++) {
		uint64_t off = (unsigned)rand_r(&r->seed) % SIZE;
		uint64_t len = 1 + (unsigned)rand_r(&r->seed) % (300 * 1000);
		struct pull *p;

		if (len > SIZE - off)
			len = SIZE - off;
		r->result = fetch_open(r->w->fetch, &r->w->what, &p);
		if (r->result < 0)
			break;
		r->result = read_bytes(r->w, p, off, len);
		fetch_close(r->w->fetch, p);
	}
	return NULL;
}

static void random_reads_give_the_truth(void **state)
{
	const struct fake_rule cuts = {
		.act = FAKE_END, .times = 6, .after = 777777, .result = ERR_CUT, .wait_ms = 1
	};
	const struct fake_rule slow = { .act = FAKE_GIVE, .times = 20, .delay_ms = 1 };
	unsigned seed = (unsigned)clock_ms();
	struct reader readers[8];
	struct world *w = *state;
	struct pull *p;

	print_message("seed %u\n", seed);
	w->a.lays = true;
	fake_source_rule(&w->a, &cuts);
	fake_source_rule(&w->a, &slow);
	fake_source_rule(&w->b, &slow);
	for (unsigned i = 0; i < 8; i++) {
		readers[i] = (struct reader){ .w = w, .seed = seed + i, .rounds = 40 };
		assert_int_equal(
			thread_start(&readers[i].thread, "reader", read_at_random, &readers[i]), 0);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].result, 0);
	}
	p = open_file(w);
	assert_int_equal(read_all(w, p), 0);
	assert_true(await_sealed(p));
	assert_int_equal(wrong_count(w), 0);
	fetch_close(w->fetch, p);
}

/* Reads right and wrong bytes until the blob is barred. */
static void *read_lies(void *arg)
{
	struct reader *r = arg;

	do {
		uint64_t off = (unsigned)rand_r(&r->seed) % SIZE;
		uint64_t len = 1 + (unsigned)rand_r(&r->seed) % (SIZE - off);

		r->result = read_bytes(r->w, r->pull, off, len);
	} while (r->result == 0 || r->result == -EBADMSG);
	return NULL;
}

static void no_reader_hangs_while_lies_are_found_out(void **state)
{
	const struct fake_rule lie = { .act = FAKE_WRONG };
	unsigned seed = (unsigned)clock_ms();
	struct reader readers[8];
	struct world *w = *state;
	struct pull *p = open_file(w);

	print_message("seed %u\n", seed);
	fake_source_rule(&w->a, &lie);
	fake_source_rule(&w->b, &lie);
	for (unsigned i = 0; i < 8; i++) {
		readers[i] = (struct reader){ .w = w, .pull = p, .seed = seed + i };
		assert_int_equal(thread_start(&readers[i].thread, "reader", read_lies, &readers[i]),
				 0);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].result, ERR_DIGEST);
	}
	fetch_close(w->fetch, p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_is_content_with_some_gets_the_first_bytes_of_a_slow_one),
		TEST(a_file_is_fetched_once_and_sealed),
		TEST(a_git_blob_is_sealed_by_its_own_digest),
		TEST(of_what_is_sealed_the_digest_list_is_kept),
		TEST(without_lists_none_is_kept),
		TEST(what_was_lied_about_has_a_list_once_it_is_right),
		TEST(an_empty_file_is_sealed_without_asking),
		TEST(an_empty_file_with_a_wrong_digest_is_not),
		TEST(many_who_read_the_same_bytes_cause_one_request),
		TEST(two_handles_share_what_is_fetched),
		TEST(wanted_bytes_do_not_wait_for_their_chunk),
		TEST(asking_without_a_waiter_starts_nothing),
		TEST(another_size_of_an_open_file_is_refused),
		TEST(a_cut_in_a_chunk_is_mended),
		TEST(a_short_body_is_a_cut),
		TEST(a_source_that_recovers_is_asked_again),
		TEST(a_source_that_does_not_gives_its_reason),
		TEST(where_nodes_share_a_run_is_tried_again_while_there_is_time),
		TEST(where_they_do_not_it_is_tried_a_few_times),
		TEST(when_time_is_over_the_reason_is_told),
		TEST(who_comes_late_to_an_outage_has_all_his_time),
		TEST(what_waiting_cannot_mend_is_told_at_once),
		TEST(the_second_source_stands_in),
		TEST(who_passes_has_not_failed_and_the_next_one_gives),
		TEST(who_passes_after_some_bytes_leaves_the_rest_to_the_next_one),
		TEST(when_all_pass_the_reader_is_told_at_once),
		TEST(who_asks_for_somebody_else_has_no_more_brought_than_it_says),
		TEST(who_reads_for_itself_has_brought_what_comes_next),
		TEST(who_reads_for_itself_waits_here),
		TEST(who_asks_for_somebody_else_does_not_wait_here),
		TEST(of_wrong_bytes_hearsay_is_blamed_before_others),
		TEST(without_hearsay_all_who_gave_are_blamed),
		TEST(what_begins_late_with_little_is_left),
		TEST(who_passes_bytes_on_may_begin_late),
		TEST(a_slow_source_is_asked_when_no_other_has_it),
		TEST(a_refusal_here_does_not_make_a_stumble_there_final),
		TEST(progress_puts_off_giving_up),
		TEST(wrong_bytes_are_dropped_and_fetched_elsewhere),
		TEST(after_wrong_bytes_only_verified_ones_are_served),
		TEST(distrust_outlives_the_handle),
		TEST(what_was_wrong_is_shown_to_members_when_all_of_it_is_right),
		TEST(distrust_outlives_the_seal_and_eviction),
		TEST(distrust_outlives_a_restart),
		TEST(strict_gives_no_byte_before_the_digest),
		TEST(without_strict_bytes_are_given_as_they_come),
		TEST(who_waits_for_the_digest_is_patient_while_bytes_come),
		TEST(who_waits_for_the_digest_is_told_of_silence),
		TEST(what_is_waited_for_is_not_given_back),
		TEST(what_rots_while_it_is_open_is_found_by_a_read),
		TEST(rotten_chunks_alone_are_fetched_again_and_nobody_is_blamed),
		TEST(what_rotted_after_it_was_digested_is_digested_again),
		TEST(what_is_lost_before_its_digest_comes_again_for_who_waits_for_the_verdict),
		TEST(what_went_after_it_was_digested_is_digested_again),
		TEST(what_had_to_go_before_its_digest_is_forgotten_by_the_kernel),
		TEST(who_lied_once_is_asked_again_if_no_other_has_it),
		TEST(nodes_that_wait_for_each_other_do_not_stand_still),
		TEST(nor_with_memory_for_two),
		TEST(who_reads_here_waits_for_his_turn),
		TEST(what_a_source_of_hearsay_has_besides_is_within_the_memory),
		TEST(with_little_memory_it_has_none_besides),
		TEST(nor_has_a_hub),
		TEST(a_guest_who_wants_the_middle_of_a_run_costs_a_hub_nothing),
		TEST(nor_does_a_reader_here),
		TEST(nor_does_who_wants_what_comes_next),
		TEST(who_shares_with_nobody_asks_for_it_again),
		TEST(what_is_lost_while_the_rest_comes_comes_again),
		TEST(nobody_asks_for_what_nobody_knows_to_be_lost),
		TEST(what_is_named_alone_is_fetched_again),
		TEST(if_nobody_can_tell_all_of_it_is),
		TEST(what_went_while_it_was_looked_for_alone_is_fetched_again),
		TEST(who_reads_what_is_looked_into_waits_for_that),
		TEST(who_fetches_for_others_is_given_nothing_that_is_in_doubt),
		TEST(a_stop_ends_a_verification),
		TEST(who_lies_for_ever_is_not_looked_into_for_ever),
		TEST(who_lied_twice_is_not_and_readers_are_told_why),
		TEST(when_all_sources_lie_readers_are_told),
		TEST(a_source_that_was_wrong_twice_is_not_asked_by_any_way),
		TEST(a_hanging_source_meets_the_deadline),
		TEST(who_leaves_is_not_woken),
		TEST(an_interrupt_before_parking_counts),
		TEST(stopping_wakes_readers_and_ends_requests),
		TEST(closing_under_way_leaves_nothing_behind),
		TEST(a_closed_file_is_not_fetched_on),
		TEST(what_nobody_reads_any_more_is_not_queued_again),
		TEST(what_is_our_own_is_given_to_nobody_else_who_names_its_id),
		TEST(who_asks_just_after_a_failure_gets_the_same_answer),
		TEST(what_was_waited_for_in_vain_is_not_waited_for_again_at_once),
		TEST(what_slow_bytes_do_not_come_to_is_not_waited_for_again_at_once),
		TEST(slow_bytes_that_come_are_waited_for_again),
		TEST(from_a_full_disk_the_reader_is_served_past_the_cache),
		TEST(when_the_disk_takes_bytes_again_they_are_kept),
		TEST(nobody_left_to_take_bytes_past_the_cache_loses_none),
		TEST(a_full_disk_is_nothing_when_room_can_be_made),
		TEST(at_the_limit_room_is_made_without_asking_twice),
		TEST(room_that_takes_long_is_not_the_sources_fault),
		TEST(what_nobody_waits_for_keeps_to_the_limit_also_if_it_is_to_be_verified),
		TEST(what_is_wanted_says_that_it_cannot_be_kept),
		TEST(beyond_the_limit_the_reader_is_served_past_the_cache),
		TEST(what_had_room_only_in_part_is_begun_anew),
		TEST(what_is_given_only_verified_is_kept_beyond_the_limit),
		TEST(what_is_given_is_seen_before_its_chunk_is_whole),
		TEST(what_is_laid_is_not),
		TEST(what_is_taken_back_comes_anew_and_nobody_has_seen_it),
		TEST(what_was_given_of_a_chunk_stays_where_its_source_is_cut),
		TEST(what_was_laid_of_it_comes_again_from_its_start),
		TEST(at_the_limit_room_is_made_for_what_is_laid),
		TEST(beyond_the_limit_what_was_to_be_laid_is_given_past_the_cache),
		TEST(without_sources_only_what_is_there_is_given),
		TEST(a_crash_loses_nothing_that_was_there),
		TEST(what_was_complete_is_sealed_by_the_next_start),
		TEST(a_row_without_its_file_is_forgotten),
		TEST(random_reads_give_the_truth),
		TEST(no_reader_hangs_while_lies_are_found_out),
	};

	log_set_level(LOG_LEVEL_ERR - 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
