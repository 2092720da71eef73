/* SPDX-License-Identifier: Apache-2.0 */
/* What members say of digests when they are asked, and when a wrong chunk is their own doing. */
#include "daemon/peer/digest_questions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "tests/verifying.h"

struct fixture {
	struct verifying *v;
	struct httpc_cancel cancel;
	struct digest_questions asks;
	struct wire_digests told;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *v;

	assert_non_null(f);
	assert_int_equal(verifying_set_up(&v), 0);
	f->v = v;
	f->asks = (struct digest_questions){
		.asker = &f->v->asker,
		.members = members_now(f->v->members),
		.what = &f->v->what,
		.answers = f->v->cell.answers,
		.cancel = &f->cancel,
		.counts = &f->v->counts,
	};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	void *v = f->v;

	membership_unref(f->asks.members);
	assert_int_equal(verifying_tear_down(&v), 0);
	free(f);
	return 0;
}

static uint32_t number_of(const struct fixture *f, const struct fake_member *m)
{
	return (uint32_t)membership_find(f->asks.members, m->address);
}

static int ask(struct fixture *f, const struct fake_member *m, enum digest_questions_as as)
{
	f->told = (struct wire_digests){ 0 };
	return digest_questions_ask(&f->asks, number_of(f, m), 0, as, &f->told);
}

/* Whether its wrong chunk is its own doing. */
static bool is_to_blame(struct fixture *f)
{
	uint8_t gave[CHUNK_LIST_DIGEST];

	cell_digest(VERIFYING_OTHER, VERIFYING_SIZE, VERIFYING_WRONG, gave);
	return digest_questions_is_to_blame(&f->asks, number_of(f, f->v->giver), VERIFYING_WRONG,
					    gave);
}

/* ---- one question ---- */

static void what_one_says_depends_on_what_it_is_asked_as(void **state)
{
	struct fixture *f = *state;
	struct fake_member *m = f->v->owner;
	uint8_t is[CHUNK_LIST_DIGEST];

	verifying_say(f->v, m, FAKE_VOUCHER, f->v->seed);
	verifying_say(f->v, m, FAKE_HOLDER, VERIFYING_OTHER);
	assert_int_equal(ask(f, m, AS_OWNER), 0);
	cell_digest(f->v->seed, VERIFYING_SIZE, VERIFYING_WRONG, is);
	assert_memory_equal(f->told.of[VERIFYING_WRONG], is, sizeof(is));
	assert_int_equal(ask(f, m, AS_HOLDER), 0);
	cell_digest(VERIFYING_OTHER, VERIFYING_SIZE, VERIFYING_WRONG, is);
	assert_memory_equal(f->told.of[VERIFYING_WRONG], is, sizeof(is));
}

static void who_has_nothing_to_say_says_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, f->v->owner, AS_OWNER), -ENOENT);
	assert_int_equal(f->v->owner->asked[FAKE_VOUCHER], 1);
}

static void who_finds_out_or_is_full_is_to_be_asked_again(void **state)
{
	struct fixture *f = *state;

	f->v->owner->stalls = true;
	assert_int_equal(ask(f, f->v->owner, AS_OWNER), -EAGAIN);
	f->v->witness->full = 1;
	verifying_say(f->v, f->v->witness, FAKE_VOUCHER, f->v->seed);
	assert_int_equal(ask(f, f->v->witness, AS_OWNER), -EAGAIN);
}

static const char *state_after(struct fixture *f, struct fake_member *m, int must)
{
	assert_int_equal(ask(f, m, AS_OWNER), must);
	return verifying_is_in_state(f->v, m, "refused")  ? "refused"
	       : verifying_is_in_state(f->v, m, "slow")   ? "slow"
	       : verifying_is_in_state(f->v, m, "silent") ? "silent"
							  : "up";
}

/* As if it had been asked for bytes. */
static void what_an_answer_says_of_a_member_is_noted(void **state)
{
	struct fixture *f = *state;

	f->v->owner->strange = true;
	assert_string_equal(state_after(f, f->v->owner, ERR_TOKEN), "refused");
	f->v->witness->raves = true;
	assert_string_equal(state_after(f, f->v->witness, ERR_PROTO), "slow");
	assert_string_equal(state_after(f, f->v->second, -ENOENT), "up");
}

static void a_witness_is_asked_for_those_chunks_alone(void **state)
{
	struct fixture *f = *state;
	struct fake_member *m = f->v->witness;

	verifying_say(f->v, m, FAKE_WITNESS, f->v->seed);
	assert_int_equal(digest_questions_ask_witness(&f->asks, number_of(f, m), 0,
						      1U << VERIFYING_WRONG, &f->told),
			 0);
	assert_int_equal(m->chunks, 1U << VERIFYING_WRONG);
	assert_int_equal(m->asked[FAKE_WITNESS], 1);
}

/* What it vouches for is weighed like any other one's word; its help is not wanted. */
static void who_is_banned_is_asked_as_an_owner_alone(void **state)
{
	struct fixture *f = *state;

	verifying_say(f->v, f->v->owner, FAKE_VOUCHER, f->v->seed);
	verifying_say(f->v, f->v->owner, FAKE_HOLDER, f->v->seed);
	verifying_note(f->v, f->v->owner, MEMBER_LIED);
	assert_int_equal(ask(f, f->v->owner, AS_HOLDER), -ENOENT);
	assert_int_equal(f->v->owner->asked[FAKE_HOLDER], 0);
	assert_int_equal(ask(f, f->v->owner, AS_OWNER), 0);
}

/* True if it says what its first chunk is. */
static bool says_of_first(struct fixture *f, uint32_t member, struct digest_questions_held *held)
{
	const struct wire_digests *d = digest_questions_ask_holder(&f->asks, member, 0, held);

	assert_non_null(d);
	return chunk_digest_known(d->of[0]);
}

static void one_who_holds_a_segment_is_asked_for_it_once(void **state)
{
	struct fixture *f = *state;
	struct digest_questions_held held = { 0 };
	uint32_t giver = number_of(f, f->v->giver), owner = number_of(f, f->v->owner);

	verifying_say(f->v, f->v->giver, FAKE_HOLDER, f->v->seed);
	assert_true(says_of_first(f, giver, &held));
	assert_false(says_of_first(f, owner, &held));
	assert_true(says_of_first(f, giver, &held));
	assert_false(says_of_first(f, owner, &held));
	assert_int_equal(f->v->giver->asked[FAKE_HOLDER], 1);
	assert_int_equal(f->v->owner->asked[FAKE_HOLDER], 1);
	digest_questions_forget_held(&held);
	assert_true(says_of_first(f, giver, &held));
	assert_int_equal(f->v->giver->asked[FAKE_HOLDER], 2);
	digest_questions_forget_held(&held);
}

/* Nobody waits for it meanwhile. */
static void one_who_finds_out_what_it_holds_is_to_be_asked_again_for_three_seconds(void **state)
{
	struct fixture *f = *state;
	struct digest_questions_held held = { 0 };
	uint32_t giver = number_of(f, f->v->giver);
	int64_t began_ms = clock_ms();

	f->v->giver->hides = true;
	verifying_say(f->v, f->v->giver, FAKE_HOLDER, f->v->seed);
	while (!digest_questions_ask_holder(&f->asks, giver, 0, &held))
		clock_sleep_ms(100);
	assert_in_range(clock_ms() - began_ms, 3000, 9000);
	f->v->giver->hides = false;
	assert_false(says_of_first(f, giver, &held)); /* it has had its time */
	digest_questions_forget_held(&held);
	assert_true(says_of_first(f, giver, &held));
	digest_questions_forget_held(&held);
}

/* ---- whose doing it is ---- */

static void who_holds_other_bytes_than_it_gave_did_it(void **state)
{
	struct fixture *f = *state;

	verifying_say(f->v, f->v->giver, FAKE_HOLDER, f->v->seed);
	assert_true(is_to_blame(f));
	assert_int_equal(f->v->giver->asked[FAKE_VOUCHER], 0);
}

static void who_vouches_for_what_it_gave_did_it(void **state)
{
	struct fixture *f = *state;

	verifying_say(f->v, f->v->giver, FAKE_VOUCHER, VERIFYING_OTHER);
	assert_true(is_to_blame(f));
}

/* The twin: it was given that itself. */
static void who_only_holds_it_may_have_passed_it_on(void **state)
{
	struct fixture *f = *state;

	verifying_say(f->v, f->v->giver, FAKE_HOLDER, VERIFYING_OTHER);
	assert_false(is_to_blame(f));
	assert_int_equal(f->v->giver->asked[FAKE_VOUCHER], 1);
}

static void who_says_nothing_may_too(void **state)
{
	assert_false(is_to_blame(*state));
}

static void of_what_had_no_digest_nobody_is_asked(void **state)
{
	static const uint8_t none[CHUNK_LIST_DIGEST];
	struct fixture *f = *state;

	verifying_say(f->v, f->v->giver, FAKE_HOLDER, f->v->seed);
	assert_false(digest_questions_is_to_blame(&f->asks, number_of(f, f->v->giver), 0, none));
	assert_int_equal(f->v->giver->asked[FAKE_HOLDER], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_one_says_depends_on_what_it_is_asked_as),
		TEST(who_has_nothing_to_say_says_nothing),
		TEST(what_an_answer_says_of_a_member_is_noted),
		TEST(who_finds_out_or_is_full_is_to_be_asked_again),
		TEST(a_witness_is_asked_for_those_chunks_alone),
		TEST(who_is_banned_is_asked_as_an_owner_alone),
		TEST(one_who_holds_a_segment_is_asked_for_it_once),
		TEST(one_who_finds_out_what_it_holds_is_to_be_asked_again_for_three_seconds),
		TEST(who_holds_other_bytes_than_it_gave_did_it),
		TEST(who_vouches_for_what_it_gave_did_it),
		TEST(who_only_holds_it_may_have_passed_it_on),
		TEST(who_says_nothing_may_too),
		TEST(of_what_had_no_digest_nobody_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
