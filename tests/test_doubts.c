/* SPDX-License-Identifier: Apache-2.0 */
/* Two blobs in doubt: the readers of the one that is looked into second. */
#include "daemon/fetch/doubts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/fetch/pull_late.h"
#include "tests/workdir.h"

#define SIZE (UINT64_C(64) << 20) /* so its readers have a minute, while something moves */
#define TIMEOUT_MS 200
#define LOOK_MS (2 * TIMEOUT_MS) /* for so long the first one is looked into */

struct world {
	struct workdir dir;
	struct store *store;
	struct httpc *http;
	struct pulls pulls;
	struct pull *pull[2];
	struct waiter reader[2];
	struct doubts *doubts;
	bool moves; /* the first one comes nearer to its end */
	atomic_int ended;
};

static void wake(UNUSED struct waiter *w, UNUSED int r)
{
}

static int look(void *arg, const struct doubt *d)
{
	struct world *w = arg;
	int64_t until_ms = clock_ms() + LOOK_MS;

	while (d->blob == w->pull[0]->blob && clock_ms() < until_ms) {
		if (w->moves)
			d->moved(d->arg);
		clock_sleep_ms(TIMEOUT_MS / 10);
	}
	return 1;
}

static void end(void *arg, UNUSED struct pull *p, int dropped)
{
	struct world *w = arg;

	assert_int_equal(dropped, 1);
	w->ended++;
}

static void open_one(struct world *w, int i)
{
	struct source_blob what = { .path = "f", .file = { .size = SIZE } };
	struct blob *blob;

	snprintf(what.etag, sizeof(what.etag), "%064x", i);
	assert_int_equal(store_blob(w->store, what.etag, SIZE, false, &blob), 0);
	lock_take(&w->pulls.lock);
	assert_int_equal(pull_join_locked(&w->pulls, &what, false, blob, &w->pull[i]), 0);
	w->pull[i]->verified_only = w->pull[i]->doubted = true;
	w->pull[i]->moved_ms = clock_ms();
	waiter_init(&w->reader[i], TIMEOUT_MS, wake);
	w->reader[i].len = SIZE;
	waitlist_add(&w->pull[i]->waiters, &w->reader[i]);
	lock_drop(&w->pulls.lock);
	blob_unref(blob);
}

static int set_up(void **state)
{
	const struct httpc_conf http = { .connect_ms = 1000, .stall_ms = 1000 };
	CLEANUP(buf_free) struct buf why = { 0 };
	struct world *w = calloc(1, sizeof(*w));
	const struct doubts_conf conf = {
		.pulls = &w->pulls,
		.verifier = { .look = look, .arg = w },
		.end = end,
		.arg = w,
	};
	struct doubts_conf all = conf;

	assert_non_null(w);
	workdir_init(&w->dir);
	pulls_init(&w->pulls);
	assert_int_equal(store_open(w->dir.path, "me", &w->store, &why), 0);
	assert_int_equal(httpc_new(&http, &w->http), 0);
	all.http = w->http;
	assert_int_equal(doubts_start(&all, &w->doubts), 0);
	for (int i = 0; i < 2; i++)
		open_one(w, i);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	lock_take(&w->pulls.lock);
	w->pulls.stop = true;
	lock_drop(&w->pulls.lock);
	doubts_stop(w->doubts);
	lock_take(&w->pulls.lock);
	for (int i = 0; i < 2; i++) {
		if (w->pull[i]->waiters.first)
			waitlist_del(&w->reader[i]);
		pull_leave_locked(w->pull[i]);
		w->pull[i]->verified_only = w->pull[i]->doubted = false;
		assert_ptr_equal(pull_if_idle_locked(w->pull[i]), w->pull[i]);
		pull_free(w->pull[i]);
	}
	lock_drop(&w->pulls.lock);
	pulls_fini(&w->pulls);
	httpc_free(w->http);
	store_close(w->store);
	workdir_fini(&w->dir);
	free(w);
	return 0;
}

/* How many readers of the second blob are told that it takes too long, before its turn has come. */
static unsigned fail_before_their_turn(struct world *w, bool moves)
{
	struct waitlist settled = { 0 };
	unsigned failed = 0;

	w->moves = moves;
	doubts_add(w->doubts, w->pull[0]);
	doubts_add(w->doubts, w->pull[1]);
	while (w->ended < 2) {
		lock_take(&w->pulls.lock);
		pull_settle_late_locked(w->pull[1], clock_ms(), TIMEOUT_MS, &settled);
		lock_drop(&w->pulls.lock);
		failed += settled.first && settled.first->result == ERR_TIMEOUT;
		waitlist_wake(&settled);
		clock_sleep_ms(TIMEOUT_MS / 20);
	}
	return failed;
}

static void who_waits_for_the_second_waits_while_the_first_comes_nearer(void **state)
{
	assert_int_equal(fail_before_their_turn(*state, true), 0);
}

static void nobody_waits_for_one_that_does_not(void **state)
{
	assert_int_equal(fail_before_their_turn(*state, false), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_waits_for_the_second_waits_while_the_first_comes_nearer),
		TEST(nobody_waits_for_one_that_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
