/* SPDX-License-Identifier: Apache-2.0 */
/* What the list of transfers says, over a source that holds its bytes back. */
#include "daemon/transfers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/fetch.h"
#include "tests/fake_source.h"
#include "tests/workdir.h"

#define MIB (UINT64_C(1) << 20)
#define SIZE (4 * MIB)
#define GIVEN 300000

struct world {
	struct workdir dir;
	struct httpc *http;
	struct store *store;
	struct catalog *catalog;
	struct fake_source source;
	struct source *sources[1];
	struct fetch *fetch;
	struct failures failures;
	struct metrics metrics;
	struct source_blob what;
	struct pull *pull;
};

static int no_room(UNUSED void *arg)
{
	return 0;
}

static void on_wrong(UNUSED void *arg, UNUSED const char *etag)
{
}

static int set_up(void **state)
{
	const struct httpc_conf http = { .user_agent = "test",
					 .connect_ms = 1000,
					 .stall_ms = 1000 };
	CLEANUP(buf_free) struct buf why = { 0 };
	struct world *w = calloc(1, sizeof(*w));
	struct fetch_conf conf = {
		.source_count = 1,
		.timeout_ms = 2000,
		.make_room = no_room,
		.on_wrong = on_wrong,
	};

	if (!w || httpc_new(&http, &w->http) < 0)
		return -1;
	workdir_init(&w->dir);
	failures_init(&w->failures);
	fake_source_init(&w->source, "http://hub", 7);
	fake_blob(7, SIZE, DIGEST_SHA256, &w->what);
	w->sources[0] = &w->source.source;
	assert_int_equal(store_open(w->dir.path, "me", &w->store, &why), 0);
	assert_int_equal(catalog_open(store_index_dir(w->store), &w->catalog, &why), 0);
	conf.http = w->http;
	conf.store = w->store;
	conf.catalog = w->catalog;
	conf.sources = w->sources;
	conf.metrics = &w->metrics;
	conf.failures = &w->failures;
	assert_int_equal(fetch_new(&conf, &w->fetch), 0);
	assert_int_equal(fetch_open(w->fetch, &w->what, &w->pull), 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	fake_source_calm(&w->source);
	fake_source_release(&w->source);
	fetch_close(w->fetch, w->pull);
	fetch_stop(w->fetch);
	fetch_free(w->fetch);
	catalog_close(w->catalog);
	store_close(w->store);
	fake_source_fini(&w->source);
	failures_fini(&w->failures);
	httpc_free(w->http);
	workdir_fini(&w->dir);
	free(w);
	return 0;
}

static int count_one(void *arg, UNUSED const struct transfer *t)
{
	++*(unsigned *)arg;
	return 0;
}

static unsigned listed(struct world *w)
{
	unsigned count = 0;

	assert_int_equal(transfers_each(fetch_pulls(w->fetch), count_one, &count), 0);
	return count;
}

static bool await_present(struct world *w, uint64_t bytes, struct transfer *t)
{
	for (int i = 0; i < 500; i++) {
		if (transfers_get(fetch_pulls(w->fetch), w->what.etag, t) && t->present >= bytes)
			return true;
		clock_sleep_ms(10);
	}
	return false;
}

static void a_download_under_way_is_listed_and_then_gone(void **state)
{
	struct world *w = *state;
	const struct fake_rule hold = { .act = FAKE_HOLD, .after = GIVEN };
	struct parked parked;
	const void *data;
	struct transfer t;

	assert_int_equal(listed(w), 0);
	fake_source_rule(&w->source, &hold);
	parked_init(&parked, PARKED_WAIT_MS);
	assert_int_equal(fetch_read(w->fetch, w->pull, 0, SIZE, &parked.waiter, &data), PARKED);
	assert_true(await_present(w, GIVEN, &t));
	assert_int_equal(listed(w), 1);
	assert_string_equal(t.etag, w->what.etag);
	assert_string_equal(t.source, "http://hub");
	assert_int_equal(t.size, SIZE);
	assert_true(t.present >= GIVEN && t.present < SIZE);
	assert_int_equal(t.present + t.asked + t.queued, SIZE);
	assert_int_equal(t.readers, 1);
	assert_int_equal(t.waiting, 1);
	assert_true(t.requests >= 1 && t.silent_ms >= 0);
	assert_int_equal(t.urgency, URGENCY_DEMAND);
	assert_true(t.bytes_s > 0);
	fake_source_calm(&w->source);
	fake_source_release(&w->source);
	assert_int_equal(parked_wait(&parked), 0);
	for (int i = 0; i < 500 && listed(w); i++)
		clock_sleep_ms(10);
	assert_int_equal(listed(w), 0);
	for (int i = 0; i < 500 && !metrics_get(&w->metrics.sealed); i++)
		clock_sleep_ms(10);
	assert_int_equal(metrics_get(&w->metrics.sealed), 1);
	parked_fini(&parked);
}

static void a_failure_is_kept_with_its_blob(void **state)
{
	struct world *w = *state;
	const struct fake_rule refuse = { .act = FAKE_END, .result = ERR_GATED };
	struct parked parked;
	const void *data;
	struct failure f;

	fake_source_rule(&w->source, &refuse);
	parked_init(&parked, PARKED_WAIT_MS);
	assert_int_equal(fetch_read(w->fetch, w->pull, 0, 1, &parked.waiter, &data), PARKED);
	assert_int_equal(parked_wait(&parked), ERR_GATED);
	parked_fini(&parked);
	assert_true(failures_get(&w->failures, w->what.etag, &f));
	assert_string_equal(f.source, "http://hub");
	assert_string_equal(f.text, err_text(ERR_GATED));
}

static void a_wrong_digest_is_counted(void **state)
{
	struct world *w = *state;
	const struct fake_rule lie = { .act = FAKE_WRONG, .times = 1 };
	struct parked parked;
	const void *data;

	fake_source_rule(&w->source, &lie);
	parked_init(&parked, PARKED_WAIT_MS);
	assert_int_equal(fetch_read(w->fetch, w->pull, 0, SIZE, &parked.waiter, &data), PARKED);
	assert_int_equal(parked_wait(&parked), 0);
	for (int i = 0; i < 500 && !metrics_get(&w->metrics.wrong_digests); i++)
		clock_sleep_ms(10);
	assert_int_equal(metrics_get(&w->metrics.wrong_digests), 1);
	parked_fini(&parked);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_download_under_way_is_listed_and_then_gone),
		TEST(a_failure_is_kept_with_its_blob),
		TEST(a_wrong_digest_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
