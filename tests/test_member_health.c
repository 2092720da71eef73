/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual time. What the table of members adds to it: test_members.c. */
#include "daemon/peer/member_health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW 1000

static int set_up(void **state)
{
	struct member_health *h = calloc(1, sizeof(*h));

	if (!h)
		return -1;
	health_init(h, 7);
	*state = h;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static void note(struct member_health *h, enum member_outcome outcome, int64_t now_ms)
{
	health_note(h, outcome, -1, now_ms);
}

/* It promises in vain, is left alone so long, and is tried then by a small question, which whoever
 * lies answers: when it may be asked again. */
static int64_t is_vain_and_tried(struct member_health *h, int64_t now_ms, int64_t nominal)
{
	note(h, MEMBER_VAIN, now_ms);
	assert_in_range(h->until_ms - now_ms, nominal * 3 / 4, nominal * 5 / 4);
	now_ms = h->until_ms;
	assert_false(health_may_ask(h, now_ms - 1));
	assert_true(health_may_ask(h, now_ms));
	assert_false(health_may_ask(h, now_ms)); /* one tries it */
	note(h, MEMBER_ANSWERED, now_ms + 1);
	assert_true(health_may_ask(h, now_ms + 1));
	assert_true(health_may_ask(h, now_ms + 1));
	return now_ms + 1;
}

/* --- hiccups */

static void who_is_outrun_once_is_asked_on(void **state)
{
	struct member_health *h = *state;

	note(h, MEMBER_OUTRUN, NOW);
	note(h, MEMBER_OUTRUN, NOW + MEMBER_OUTRUN_MS); /* of another range, in the same moment */
	assert_true(health_may_ask(h, NOW + MEMBER_OUTRUN_MS));
	note(h, MEMBER_GAVE, NOW + MEMBER_OUTRUN_MS);
	note(h, MEMBER_OUTRUN, NOW + MEMBER_OUTRUN_MS + 1); /* it gave bytes since */
	assert_true(health_may_ask(h, NOW + MEMBER_OUTRUN_MS + 1));
	note(h, MEMBER_OUTRUN, NOW + 2 * MEMBER_OUTRUN_MAX_MS); /* that was long ago */
	assert_true(health_may_ask(h, NOW + 2 * MEMBER_OUTRUN_MAX_MS));
}

/* The twin: it may be asked, but others are before it. */
static void who_is_outrun_again_lags(void **state)
{
	struct member_health *h = *state;
	int64_t now = NOW + MEMBER_OUTRUN_MS + 1;

	note(h, MEMBER_OUTRUN, NOW);
	note(h, MEMBER_ANSWERED, NOW); /* words are no bytes */
	assert_false(health_lags(h, NOW));
	note(h, MEMBER_OUTRUN, now);
	note(h, MEMBER_ANSWERED, now);
	assert_true(health_lags(h, now + MEMBER_VAIN_MS / 2));
	assert_int_equal(health_state(h, now + MEMBER_VAIN_MS / 2), MEMBER_IS_SLOW);
	assert_true(health_may_ask(h, now));
	assert_false(health_lags(h, now + 2 * MEMBER_VAIN_MS));
	assert_int_equal(health_state(h, now + 2 * MEMBER_VAIN_MS), MEMBER_IS_UP);
	note(h, MEMBER_GAVE, now);
	assert_false(health_lags(h, now));
	assert_int_equal(health_state(h, now), MEMBER_IS_UP);
}

static void who_is_outrun_again_without_a_word_is_silent(void **state)
{
	struct member_health *h = *state;

	note(h, MEMBER_MUTE, NOW);
	assert_true(health_may_ask(h, NOW));
	note(h, MEMBER_MUTE, NOW + MEMBER_OUTRUN_MS + 1);
	assert_false(health_may_ask(h, NOW + MEMBER_OUTRUN_MS + 1));
	assert_int_equal(health_state(h, NOW + MEMBER_OUTRUN_MS + 1), MEMBER_IS_SILENT);
}

/* --- promises */

static void an_answer_does_not_acquit_who_promises_in_vain(void **state)
{
	int64_t now = is_vain_and_tried(*state, NOW, MEMBER_VAIN_MS);

	for (int i = 0; i < 5; i++)
		now = is_vain_and_tried(*state, now, MEMBER_AWAY_MAX_MS);
}

static void bytes_take_one_promise_back(void **state)
{
	int64_t now = is_vain_and_tried(*state, NOW, MEMBER_VAIN_MS);

	note(*state, MEMBER_GAVE, now);
	now = is_vain_and_tried(*state, now, MEMBER_VAIN_MS);
	now = is_vain_and_tried(*state, now, MEMBER_AWAY_MAX_MS);
	note(*state, MEMBER_GAVE, now); /* the twin: of two, one is left */
	is_vain_and_tried(*state, now, MEMBER_AWAY_MAX_MS);
}

static void a_clean_hour_takes_one_promise_back(void **state)
{
	int64_t now = is_vain_and_tried(*state, NOW, MEMBER_VAIN_MS);

	now = is_vain_and_tried(*state, now + MEMBER_CLEAN_MS, MEMBER_VAIN_MS);
	is_vain_and_tried(*state, now + MEMBER_CLEAN_MS / 2, MEMBER_AWAY_MAX_MS);
}

static void an_answer_acquits_who_was_silent(void **state)
{
	struct member_health *h = *state;

	for (int i = 0; i < 2; i++) {
		note(h, MEMBER_SILENT, NOW);
		assert_int_equal(h->until_ms - NOW, MEMBER_HICCUP_MS);
		note(h, MEMBER_ANSWERED, NOW + 1);
	}
}

/* --- what people see */

static enum member_state state_after(struct member_health *h, enum member_outcome outcome)
{
	health_init(h, 7);
	note(h, outcome, NOW);
	return health_state(h, NOW);
}

static void only_who_does_not_answer_is_silent(void **state)
{
	assert_int_equal(health_state(*state, NOW), MEMBER_IS_NEW);
	assert_int_equal(state_after(*state, MEMBER_GAVE), MEMBER_IS_UP);
	assert_int_equal(state_after(*state, MEMBER_ANSWERED), MEMBER_IS_UP);
	assert_int_equal(state_after(*state, MEMBER_SILENT), MEMBER_IS_SILENT);
	assert_int_equal(state_after(*state, MEMBER_CROWDED), MEMBER_IS_BUSY);
	assert_int_equal(state_after(*state, MEMBER_BUSY), MEMBER_IS_BUSY);
	assert_int_equal(state_after(*state, MEMBER_VAIN), MEMBER_IS_SLOW);
	assert_int_equal(state_after(*state, MEMBER_REFUSED), MEMBER_IS_REFUSED);
	assert_int_equal(state_after(*state, MEMBER_LIED), MEMBER_IS_BANNED);
	assert_string_equal(member_state_name(MEMBER_IS_BUSY), "busy");
	assert_string_equal(member_state_name(MEMBER_IS_SLOW), "slow");
}

/* --- patience */

static void silence_is_measured_by_what_is_usual(void **state)
{
	assert_int_equal(health_patience_ms(*state), MEMBER_PATIENCE_NEW_MS);
	for (int i = 0; i < 50; i++)
		health_note(*state, MEMBER_GAVE, 200, NOW);
	assert_int_equal(health_patience_ms(*state), 800);
	note(*state, MEMBER_VAIN, NOW); /* a promise says nothing of the line */
	assert_int_equal(health_patience_ms(*state), 800);
	assert_int_equal(health_connect_ms(*state), 0);
	note(*state, MEMBER_ANSWERED, NOW);
	note(*state, MEMBER_SILENT, NOW + 2 * MEMBER_AWAY_MAX_MS);
	assert_int_equal(health_patience_ms(*state), MEMBER_PATIENCE_NEW_MS);
	assert_int_equal(health_connect_ms(*state), MEMBER_CONNECT_MS);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(who_is_outrun_once_is_asked_on),
		STORY(who_is_outrun_again_lags),
		STORY(who_is_outrun_again_without_a_word_is_silent),
		STORY(an_answer_does_not_acquit_who_promises_in_vain),
		STORY(bytes_take_one_promise_back),
		STORY(a_clean_hour_takes_one_promise_back),
		STORY(an_answer_acquits_who_was_silent),
		STORY(only_who_does_not_answer_is_silent),
		STORY(silence_is_measured_by_what_is_usual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
