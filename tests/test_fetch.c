/* SPDX-License-Identifier: Apache-2.0 */
/* The machine that fetches, over two scripted sources: pull, stream and seal together. */
#include "daemon/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/wait.h"
#include "daemon/chunk.h"
#include "daemon/pull.h"
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
	bool strict;
	struct fetch *fetch;
	struct source_blob what;
	atomic_int rooms; /* how often room can still be made */
	atomic_int rooms_asked;
	struct lock lock;
	struct cond cond;
	unsigned wrong; /* guarded by lock */
};

static int make_room(void *arg)
{
	struct world *w = arg;

	atomic_fetch_add(&w->rooms_asked, 1);
	return atomic_fetch_sub(&w->rooms, 1) > 0;
}

static void on_wrong(void *arg, const char *etag)
{
	struct world *w = arg;

	assert(strcmp(etag, w->what.etag) == 0);
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
		.memory_bytes = 64 * MIB,
		.make_room = make_room,
		.make_room_arg = w,
		.on_wrong = on_wrong,
		.on_wrong_arg = w,
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

/* Reads as fs/ does: parks, and asks again when woken. -EBADMSG: bytes that are not the file's. */
static int read_within(struct world *w, struct pull *p, uint64_t off, uint64_t len,
		       int64_t timeout_ms)
{
	struct parked parked;
	const void *data;
	int r;

	parked_init(&parked, timeout_ms);
	do {
		r = fetch_read(w->fetch, p, off, len, &parked.waiter, &data);
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
	return fetch_read(w->fetch, p, off, len, &parked->waiter, &data) == PARKED;
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
	const struct fake_rule rule = { .act = FAKE_HOLD, .after = 100 * 1000 };
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

	assert_int_equal(fetch_read(w->fetch, p, 0, 10, NULL, &data), PARKED);
	assert_int_equal(fake_source_calls(&w->a), 0);
	assert_int_equal(read_bytes(w, p, 0, 10), 0);
	assert_int_equal(fetch_read(w->fetch, p, 0, 10, NULL, &data), 0);
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
	assert_int_equal(fetch_read(w->fetch, p, 0, 100, &parked.waiter, &data), ERR_CANCELED);
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

/* ---- the disk ---- */

static void from_a_full_disk_the_reader_is_served_past_the_cache(void **state)
{
	const struct fake_rule full = {
		.act = FAKE_END, .times = 1, .after = 5000, .result = -ENOSPC
	};
	struct world *w = *state;
	struct pull *p = open_file(w);

	fake_source_rule(&w->a, &full);
	assert_int_equal(read_bytes(w, p, 100, 100000), 0);
	assert_int_equal(read_bytes(w, p, SIZE - 5, 5), 0);
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
	assert_int_equal(fetch_read(w->fetch, p, SIZE - 10, 10, &parked.waiter, &data),
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
		TEST(a_file_is_fetched_once_and_sealed),
		TEST(a_git_blob_is_sealed_by_its_own_digest),
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
		TEST(what_waiting_cannot_mend_is_told_at_once),
		TEST(the_second_source_stands_in),
		TEST(a_refusal_here_does_not_make_a_stumble_there_final),
		TEST(progress_puts_off_giving_up),
		TEST(wrong_bytes_are_dropped_and_fetched_elsewhere),
		TEST(after_wrong_bytes_only_verified_ones_are_served),
		TEST(distrust_outlives_the_handle),
		TEST(distrust_outlives_a_restart),
		TEST(strict_gives_no_byte_before_the_digest),
		TEST(without_strict_bytes_are_given_as_they_come),
		TEST(who_waits_for_the_digest_is_patient_while_bytes_come),
		TEST(who_waits_for_the_digest_is_told_of_silence),
		TEST(when_all_sources_lie_readers_are_told),
		TEST(a_hanging_source_meets_the_deadline),
		TEST(who_leaves_is_not_woken),
		TEST(an_interrupt_before_parking_counts),
		TEST(stopping_wakes_readers_and_ends_requests),
		TEST(closing_under_way_leaves_nothing_behind),
		TEST(a_closed_file_is_not_fetched_on),
		TEST(who_asks_just_after_a_failure_gets_the_same_answer),
		TEST(from_a_full_disk_the_reader_is_served_past_the_cache),
		TEST(when_the_disk_takes_bytes_again_they_are_kept),
		TEST(nobody_left_to_take_bytes_past_the_cache_loses_none),
		TEST(a_full_disk_is_nothing_when_room_can_be_made),
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
