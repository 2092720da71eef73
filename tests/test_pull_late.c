/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for bytes for too long, and who asks for the same again. Times are made up: the lock is
 * held during a test, as nothing here takes it. */
#include "daemon/fetch/pull_late.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/base/err.h"
#include "daemon/cache/chunk.h"
#include "tests/workdir.h"

#define MIB CHUNK_BYTES
#define SIZE (16 * MIB)
#define ETAG "00112233445566778899aabbccddeeff00112233"
#define TIMEOUT_MS 1000
#define NOW INT64_C(1000000000)

struct world {
	struct workdir dir;
	struct store *store;
	struct pulls pulls;
	struct pull *pull;
	struct waiter reader;
	struct waitlist settled;
};

static void wake(UNUSED struct waiter *w, UNUSED int r)
{
}

static int set_up(void **state)
{
	const struct source_blob what = { .path = "f", .file = { .size = SIZE }, .etag = ETAG };
	CLEANUP(buf_free) struct buf why = { 0 };
	struct world *w = calloc(1, sizeof(*w));
	struct blob *blob;

	assert_non_null(w);
	workdir_init(&w->dir);
	pulls_init(&w->pulls);
	assert_int_equal(store_open(w->dir.path, "me", &w->store, &why), 0);
	assert_int_equal(store_blob(w->store, ETAG, SIZE, false, &blob), 0);
	lock_take(&w->pulls.lock);
	assert_int_equal(pull_join_locked(&w->pulls, &what, false, blob, &w->pull), 0);
	blob_unref(blob);
	waiter_init(&w->reader, TIMEOUT_MS, wake);
	w->reader.off = 2 * MIB;
	w->reader.len = MIB;
	w->reader.deadline_ms = NOW;
	waitlist_add(&w->pull->waiters, &w->reader);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	if (w->pull->waiters.first)
		waitlist_del(&w->reader);
	pull_leave_locked(w->pull);
	w->pull->verified_only = false;
	assert_ptr_equal(pull_if_idle_locked(w->pull), w->pull);
	lock_drop(&w->pulls.lock);
	pull_free(w->pull);
	pulls_fini(&w->pulls);
	store_close(w->store);
	workdir_fini(&w->dir);
	free(w);
	return 0;
}

static bool is_late(struct world *w, int64_t now_ms)
{
	pull_settle_late_locked(w->pull, now_ms, TIMEOUT_MS, &w->settled);
	if (w->settled.first)
		assert_int_equal(w->settled.first->result, ERR_TIMEOUT);
	return w->settled.first;
}

/* ---- when it is too long ---- */

static void a_reader_is_told_at_its_deadline_and_not_before(void **state)
{
	struct world *w = *state;

	assert_false(is_late(w, NOW - 1));
	assert_true(is_late(w, NOW));
}

/* So long digesting may take, while it goes on. */
static void who_waits_for_the_verdict_has_longer_while_it_comes_nearer(void **state)
{
	struct world *w = *state;
	int64_t longest_ms = (int64_t)(SIZE * 1000 / PULL_VERIFY_BYTES_S);

	w->pull->verified_only = true;
	w->pull->moved_ms = NOW;
	assert_false(is_late(w, NOW + TIMEOUT_MS - 1));
	w->pull->moved_ms = NOW + longest_ms;
	assert_false(is_late(w, NOW + longest_ms - 1));
	assert_true(is_late(w, NOW + longest_ms));
}

static void unless_it_does_not(void **state)
{
	struct world *w = *state;

	w->pull->verified_only = true;
	w->pull->moved_ms = NOW;
	assert_true(is_late(w, NOW + TIMEOUT_MS));
}

static void who_waits_for_any_bytes_has_no_longer(void **state)
{
	struct world *w = *state;

	w->pull->moved_ms = NOW;
	assert_true(is_late(w, NOW));
}

/* ---- who asks again ---- */

static void what_was_waited_for_in_vain_is_not_waited_for_again_at_once(void **state)
{
	struct world *w = *state;

	assert_false(pull_was_late_locked(w->pull, 2 * MIB, MIB, NOW));
	assert_true(is_late(w, NOW));
	assert_true(pull_was_late_locked(w->pull, 2 * MIB, MIB, NOW));
	assert_true(pull_was_late_locked(w->pull, 2 * MIB + 4096, 4096, NOW)); /* page by page */
	assert_false(pull_was_late_locked(w->pull, 2 * MIB, MIB, NOW + LATE_MS));
}

static void what_else_is_asked_for_may_come(void **state)
{
	struct world *w = *state;

	assert_true(is_late(w, NOW));
	assert_false(pull_was_late_locked(w->pull, 0, MIB, NOW));
	assert_false(pull_was_late_locked(w->pull, 2 * MIB, MIB + 1, NOW));
}

/* A blob of which bytes come well, but not those it waits for: nobody knows of them. */
static void while_bytes_come_nothing_was_in_vain(void **state)
{
	struct world *w = *state;

	w->pull->moved_ms = NOW;
	rate_add(&w->pull->rate, NOW - 100, 8 * MIB);
	assert_true(is_late(w, NOW));
	assert_false(pull_was_late_locked(w->pull, 2 * MIB, MIB, NOW));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_reader_is_told_at_its_deadline_and_not_before),
		TEST(who_waits_for_the_verdict_has_longer_while_it_comes_nearer),
		TEST(unless_it_does_not),
		TEST(who_waits_for_any_bytes_has_no_longer),
		TEST(what_was_waited_for_in_vain_is_not_waited_for_again_at_once),
		TEST(what_else_is_asked_for_may_come),
		TEST(while_bytes_come_nothing_was_in_vain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
