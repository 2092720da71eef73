/* SPDX-License-Identifier: Apache-2.0 */
/* What the list of transfers says, over a source that holds its bytes back. */
#include "daemon/fetch/transfers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "tests/fetching.h"

#define MIB (UINT64_C(1) << 20)
#define SIZE (24 * MIB)
#define GIVEN 300000

struct world {
	struct fetching node;
	struct source_blob what;
	struct pull *pull;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	fetching_init(&w->node, "http://hub", 7, true);
	fake_blob(7, SIZE, DIGEST_SHA256, &w->what);
	assert_int_equal(fetch_open(w->node.fetch, &w->what, &w->pull), 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	fake_source_calm(&w->node.hub);
	fake_source_release(&w->node.hub);
	fetch_close(w->node.fetch, w->pull);
	fetch_stop(w->node.fetch);
	fetching_fini(&w->node);
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

	assert_int_equal(transfers_each(fetch_pulls(w->node.fetch), count_one, &count), 0);
	return count;
}

static bool await_present(struct world *w, uint64_t bytes, struct transfer *t)
{
	for (int i = 0; i < 500; i++) {
		if (transfers_get(fetch_pulls(w->node.fetch), w->what.etag, t) &&
		    t->present >= bytes)
			return true;
		clock_sleep_ms(10);
	}
	return false;
}

static void park(struct world *w, struct parked *parked, uint64_t off, uint64_t len)
{
	const void *data;

	assert_int_equal(fetch_read(w->node.fetch, w->pull, off, len, &parked->waiter, &data, &len),
			 PARKED);
}

static void a_download_under_way_is_listed_and_then_gone(void **state)
{
	struct world *w = *state;
	const struct fake_rule hold = { .act = FAKE_HOLD, .after = GIVEN };
	struct parked parked;
	struct transfer t;

	assert_int_equal(listed(w), 0);
	fake_source_rule(&w->node.hub, &hold);
	parked_init(&parked, PARKED_WAIT_MS);
	park(w, &parked, 0, SIZE);
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
	fake_source_calm(&w->node.hub);
	fake_source_release(&w->node.hub);
	assert_int_equal(parked_wait(&parked), 0);
	for (int i = 0; i < 500 && listed(w); i++)
		clock_sleep_ms(10);
	assert_int_equal(listed(w), 0);
	for (int i = 0; i < 500 && !metrics_get(&w->node.metrics.sealed); i++)
		clock_sleep_ms(10);
	assert_int_equal(metrics_get(&w->node.metrics.sealed), 1);
	parked_fini(&parked);
}

/* A newer request that has brought nothing either is no sign of life. */
static void silence_is_counted_from_the_last_byte(void **state)
{
	struct world *w = *state;
	const struct fake_rule hold = { .act = FAKE_HOLD };
	struct parked first, second;
	unsigned begun;
	struct transfer t;

	fake_source_rule(&w->node.hub, &hold);
	parked_init(&first, PARKED_WAIT_MS);
	parked_init(&second, PARKED_WAIT_MS);
	park(w, &first, 0, 1);
	assert_true(fake_source_await_held(&w->node.hub, 1));
	clock_sleep_ms(700); /* or the first are left to bring those bytes too */
	begun = fake_source_calls(&w->node.hub);
	park(w, &second, SIZE - 1, 1);
	/* All that were begun, or one would be held behind the release. */
	assert_true(fake_source_await_held(&w->node.hub, begun + 1));
	assert_true(fake_source_await_held(&w->node.hub, fake_source_calls(&w->node.hub)));
	assert_true(transfers_get(fetch_pulls(w->node.fetch), w->what.etag, &t));
	assert_true(t.requests >= 2);
	assert_in_range(t.silent_ms, 700, 5000);
	fake_source_calm(&w->node.hub);
	fake_source_release(&w->node.hub);
	assert_int_equal(parked_wait(&first), 0);
	assert_int_equal(parked_wait(&second), 0);
	parked_fini(&first);
	parked_fini(&second);
}

/* While it is tried again, too. */
static void why_it_does_not_move_is_known_before_it_has_failed(void **state)
{
	struct world *w = *state;
	const struct fake_rule busy = { .act = FAKE_END, .times = 1, .result = ERR_SERVER };
	const struct fake_rule hold = { .act = FAKE_HOLD };
	struct parked parked;
	struct failure f;

	fake_source_rule(&w->node.hub, &busy);
	fake_source_rule(&w->node.hub, &hold);
	parked_init(&parked, PARKED_WAIT_MS);
	park(w, &parked, 0, 1);
	assert_true(fake_source_await_held(&w->node.hub, 1));
	assert_true(failures_get(&w->node.failures, w->what.etag, &f));
	assert_string_equal(f.text, err_text(ERR_SERVER));
	fake_source_calm(&w->node.hub);
	fake_source_release(&w->node.hub);
	assert_int_equal(parked_wait(&parked), 0);
	parked_fini(&parked);
}

static void a_failure_is_kept_with_its_blob(void **state)
{
	struct world *w = *state;
	const struct fake_rule refuse = { .act = FAKE_END, .result = ERR_GATED };
	struct parked parked;
	struct failure f;

	fake_source_rule(&w->node.hub, &refuse);
	parked_init(&parked, PARKED_WAIT_MS);
	park(w, &parked, 0, 1);
	assert_int_equal(parked_wait(&parked), ERR_GATED);
	parked_fini(&parked);
	assert_true(failures_get(&w->node.failures, w->what.etag, &f));
	assert_string_equal(f.source, "http://hub");
	assert_string_equal(f.text, err_text(ERR_GATED));
}

static void a_wrong_digest_is_counted(void **state)
{
	struct world *w = *state;
	const struct fake_rule lie = { .act = FAKE_WRONG, .times = 1 };
	struct parked parked;

	fake_source_rule(&w->node.hub, &lie);
	parked_init(&parked, PARKED_WAIT_MS);
	park(w, &parked, 0, SIZE);
	assert_int_equal(parked_wait(&parked), 0);
	for (int i = 0; i < 500 && !metrics_get(&w->node.metrics.wrong_digests); i++)
		clock_sleep_ms(10);
	assert_int_equal(metrics_get(&w->node.metrics.wrong_digests), 1);
	parked_fini(&parked);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_download_under_way_is_listed_and_then_gone),
		TEST(silence_is_counted_from_the_last_byte),
		TEST(why_it_does_not_move_is_known_before_it_has_failed),
		TEST(a_failure_is_kept_with_its_blob),
		TEST(a_wrong_digest_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
