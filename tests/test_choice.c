/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/choice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "daemon/base/clock.h"
#include "tests/fake_source.h"

#define SIZE 1000

/* What a run asks for by, without a run: no bytes come. */
struct world {
	struct pulls pulls;
	struct pull pull;
	struct fake_source fake;
	struct source *sources[1];
	struct choice choice;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	pulls_init(&w->pulls);
	w->pull.all = &w->pulls;
	fake_source_init(&w->fake, "a", 1);
	w->sources[0] = &w->fake.source;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	origins_free(&w->pull.origins);
	fake_source_fini(&w->fake);
	pulls_fini(&w->pulls);
	free(w);
	return 0;
}

static void name_it(struct world *w, const char *path, bool guests, bool may_drop)
{
	struct source_blob what = { .path = path, .file = { .size = SIZE } };

	assert_int_equal(origins_add(&w->pull.origins, &what, guests, may_drop, clock_ms()), 0);
}

static const char *begin(struct world *w)
{
	choice_init(&w->choice, &w->pull, w->sources, 1);
	return w->choice.origin->what.path;
}

/* No source has it there: where it is asked for next, or "". */
static const char *next(struct world *w)
{
	return choice_next_origin(&w->choice) ? w->choice.origin->what.path : "";
}

static void a_readers_own_place_comes_before_a_guests(void **state)
{
	struct world *w = *state;

	name_it(w, "guests", true, false);
	assert_string_equal(begin(w), "guests");
	name_it(w, "own", false, false);
	assert_string_equal(begin(w), "own");
	assert_string_equal(next(w), "guests");
	assert_string_equal(next(w), "");
}

static void guests_places_come_as_they_were_named(void **state)
{
	struct world *w = *state;

	name_it(w, "one", true, false);
	name_it(w, "two", true, false);
	assert_string_equal(begin(w), "one");
	name_it(w, "two", false, false); /* a reader says so, too */
	assert_string_equal(begin(w), "two");
	name_it(w, "two", true, false); /* which a guest does not take back */
	assert_string_equal(begin(w), "two");
}

static void where_no_source_had_it_is_asked_last_for_a_minute(void **state)
{
	struct world *w = *state;
	struct origin *own;

	name_it(w, "own", false, false);
	name_it(w, "guests", true, false);
	assert_string_equal(begin(w), "own");
	own = w->choice.origin;
	assert_string_equal(next(w), "guests");
	assert_string_equal(begin(w), "guests"); /* another run */
	assert_string_equal(next(w), "own");     /* is the reader's all the same */
	own->rests_until_ms = clock_ms();
	assert_string_equal(begin(w), "own"); /* the twin: it has rested */
}

static void a_guests_place_that_rests_is_asked_for_only_if_there_is_no_other(void **state)
{
	struct world *w = *state;

	name_it(w, "wrong", true, false);
	assert_string_equal(begin(w), "wrong");
	assert_string_equal(next(w), "");
	assert_string_equal(begin(w), "wrong"); /* it may be right by now */
	assert_string_equal(next(w), "");
	name_it(w, "right", true, false);
	assert_true(origins_fresh(&w->pull.origins, clock_ms()));
	assert_string_equal(begin(w), "right");
	assert_string_equal(next(w), "");
	assert_false(origins_fresh(&w->pull.origins, clock_ms()));
}

static void many_wrong_places_of_guests_leave_room_for_right_ones(void **state)
{
	struct world *w = *state;
	char path[16];

	for (unsigned i = 0; i < ORIGINS_MAX; i++) {
		snprintf(path, sizeof(path), "wrong%u", i);
		name_it(w, path, true, false);
	}
	assert_string_equal(begin(w), "wrong0");
	while (*next(w))
		;
	name_it(w, "late", true, false); /* somebody may be asking for one of them */
	assert_string_equal(begin(w), "wrong0");
	name_it(w, "own", false, false);
	assert_string_equal(begin(w), "own");
	name_it(w, "right", true, true);
	assert_string_equal(next(w), "right");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(a_readers_own_place_comes_before_a_guests),
		TEST(guests_places_come_as_they_were_named),
		TEST(where_no_source_had_it_is_asked_last_for_a_minute),
		TEST(a_guests_place_that_rests_is_asked_for_only_if_there_is_no_other),
		TEST(many_wrong_places_of_guests_leave_room_for_right_ones),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
