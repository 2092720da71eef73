/* SPDX-License-Identifier: Apache-2.0 */
/* Who is believed of what is wrong in a segment, and who is banned for it. */
#include "daemon/peer/inquiry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>

#include "tests/court.h"

static void moved(UNUSED void *arg)
{
}

/* What inquiry_compare says; or (early false) how many inquiry_look drops. */
static int look(struct court *c, bool early, struct inquiry_compared *ret)
{
	struct httpc_cancel cancel = { 0 };
	struct doubt d = { .what = &c->what, .cancel = &cancel, .moved = moved };
	int r;

	/* No handle: with that the digest of all that is there would tell. */
	assert_int_equal(store_blob(c->cell.node.store, c->what.etag, COURT_SIZE, false, &d.blob),
			 0);
	ret->told = c->told;
	r = early ? inquiry_compare(&c->conf, &d, 0, c->owner->address, c->time, ret)
		  : inquiry_look(&c->conf, &d);
	c->told = ret->told;
	assert_true(blob_may_have(d.blob, 0));
	blob_unref(d.blob);
	return r;
}

static unsigned dropped_early(struct court *c)
{
	struct inquiry_compared got;

	assert_int_equal(look(c, true, &got), 0);
	return got.dropped;
}

static bool is_proven_wrong(struct court *c, uint64_t seed)
{
	uint8_t digest[CHUNK_LIST_DIGEST];

	cell_digest(seed, COURT_SIZE, COURT_WRONG, digest);
	return evidence_was_wrong(c->cell.evidence, c->what.etag, COURT_WRONG, digest);
}

/* ---- one segment, while others come ---- */

static void what_is_as_its_owner_had_it_costs_one_question(void **state)
{
	struct court *c = *state;

	court_bring(c, c->seed);
	court_say(c, c->owner, FAKE_VOUCHER, c->seed);
	assert_int_equal(dropped_early(c), 0);
	assert_int_equal(dropped_early(c), 0); /* it has told */
	assert_int_equal(c->owner->asked[FAKE_VOUCHER], 1);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
	court_assert_banned(c, NULL);
}

static void who_changed_a_chunk_on_its_way_is_banned_and_it_alone_goes(void **state)
{
	struct court *c = *state;

	court_bring(c, COURT_OTHER);
	court_say(c, c->owner, FAKE_VOUCHER, c->seed);
	court_say(c, c->giver, FAKE_HOLDER, c->seed);
	assert_int_equal(dropped_early(c), 1 << COURT_WRONG);
	court_assert_banned(c, c->giver);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
	assert_true(is_proven_wrong(c, COURT_OTHER));
	assert_false(is_proven_wrong(c, c->seed));
}

/* Who gave it held what it gave, its owner says otherwise, and there is a witness. */
static void dispute(struct court *c)
{
	court_bring(c, COURT_OTHER);
	court_say(c, c->owner, FAKE_VOUCHER, c->seed);
	court_say(c, c->witness, FAKE_WITNESS, c->seed);
	court_say(c, c->giver, FAKE_HOLDER, COURT_OTHER);
}

static void who_holds_what_it_gave_may_have_been_misled(void **state)
{
	struct court *c = *state;

	dispute(c);
	assert_int_equal(dropped_early(c), 1 << COURT_WRONG);
	assert_int_equal(c->second->asked[FAKE_WITNESS], 0);
	court_assert_banned(c, NULL);
}

static void a_witness_is_asked_for_what_is_in_dispute_alone(void **state)
{
	struct court *c = *state;

	dispute(c);
	assert_int_equal(dropped_early(c), 1 << COURT_WRONG);
	assert_int_equal(c->witness->chunks, 1 << COURT_WRONG);
}

/* This node has seen as a witness what a hub gives. */
static void what_it_has_seen_itself_needs_no_witness(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(COURT_SIZE);
	struct court *c = *state;

	cell_digest(c->seed, COURT_SIZE, COURT_WRONG, l->digests[COURT_WRONG]);
	evidence_learn(c->cell.evidence, c->what.etag, l, EVIDENCE_WITNESSED);
	court_bring(c, COURT_OTHER);
	court_say(c, c->owner, FAKE_VOUCHER, c->seed);
	court_say(c, c->giver, FAKE_HOLDER, COURT_OTHER);
	assert_int_equal(dropped_early(c), 1 << COURT_WRONG);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
}

static void at_first_it_is_given_time_to_find_out(void **state)
{
	struct court *c = *state;
	struct inquiry_compared got;

	dispute(c);
	c->time = INQUIRY_FIRST;
	assert_int_equal(look(c, true, &got), 0);
	assert_true(got.open);
	assert_int_equal(got.dropped, 0);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
	c->time = INQUIRY_LAST;
	assert_int_equal(look(c, true, &got), 0);
	assert_int_equal(got.dropped, 1 << COURT_WRONG);
	assert_int_equal(c->owner->asked[FAKE_VOUCHER], 1);
}

static void unless_it_vouches_for_it(void **state)
{
	struct court *c = *state;

	dispute(c);
	court_say(c, c->giver, FAKE_VOUCHER, COURT_OTHER);
	assert_int_equal(dropped_early(c), 1 << COURT_WRONG);
	court_assert_banned(c, c->giver);
}

static void who_says_nothing_of_it_may_have_been_misled_too(void **state)
{
	struct court *c = *state;

	court_bring(c, COURT_OTHER);
	court_say(c, c->owner, FAKE_VOUCHER, c->seed);
	assert_int_equal(dropped_early(c), 1 << COURT_WRONG);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
	assert_false(is_proven_wrong(c, COURT_OTHER));
	assert_false(court_is_in_state(c, c->giver, "misled"));
	court_assert_banned(c, NULL);
}

/* Else an owner that lies could have it dropped for ever. */
static void but_only_once_is_it_dropped_without_a_witness(void **state)
{
	struct court *c = *state;
	struct inquiry_compared got;

	evidence_drop(c->cell.evidence, c->what.etag, COURT_WRONG,
		      (uint8_t[CHUNK_LIST_DIGEST]){ 0 }, true);
	court_bring(c, c->seed);
	court_say(c, c->owner, FAKE_VOUCHER, COURT_OTHER);
	court_say(c, c->witness, FAKE_WITNESS, c->seed);
	assert_int_equal(look(c, true, &got), 0);
	assert_int_equal(got.dropped, 0);
	assert_false(got.open);
	assert_true(got.refuted);
}

/* The owner gave something else than it had from a hub; does it say that it never held that? */
static void owner_gives_otherwise(struct court *c, bool denies)
{
	c->giver = c->owner;
	court_bring(c, COURT_OTHER);
	court_say(c, c->owner, FAKE_VOUCHER, c->seed);
	if (denies)
		court_say(c, c->owner, FAKE_HOLDER, c->seed);
	assert_int_equal(dropped_early(c), 1 << COURT_WRONG);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
	assert_false(is_proven_wrong(c, COURT_OTHER));
}

static void an_owner_that_gave_otherwise_than_it_has_is_banned(void **state)
{
	struct court *c = *state;

	owner_gives_otherwise(c, true);
	court_assert_banned(c, c->owner);
}

/* The twin: it had those from somebody who had them by chance, dropped them, and asked a hub. */
static void one_that_held_other_bytes_before_it_asked_a_hub_is_not(void **state)
{
	struct court *c = *state;

	owner_gives_otherwise(c, false);
	court_assert_banned(c, NULL);
}

static void an_owner_that_lies_makes_nothing_go_that_is_right(void **state)
{
	struct court *c = *state;
	struct inquiry_compared got;

	court_bring(c, c->seed);
	court_say(c, c->owner, FAKE_VOUCHER, COURT_OTHER);
	court_say(c, c->giver, FAKE_HOLDER, c->seed);
	court_say(c, c->witness, FAKE_WITNESS, c->seed);
	assert_int_equal(look(c, true, &got), 0);
	assert_int_equal(got.dropped, 0);
	assert_true(got.refuted);
	court_assert_banned(c, NULL);
}

static void where_owner_witness_and_giver_differ_another_witness_tells(void **state)
{
	struct court *c = *state;

	court_bring(c, COURT_OTHER);
	court_say(c, c->owner, FAKE_VOUCHER, c->seed);
	court_say(c, c->giver, FAKE_HOLDER, COURT_OTHER);
	court_say(c, c->witness, FAKE_WITNESS, COURT_OTHER + 1);
	court_say(c, c->second, FAKE_WITNESS, c->seed);
	assert_int_equal(dropped_early(c), 1 << COURT_WRONG);
	assert_int_equal(c->second->asked[FAKE_WITNESS], 1);
	court_assert_banned(c, NULL);
}

/* A hub publishes its list of the bytes of that seed, while all is here already. */
static void publish(struct court *c, uint64_t seed)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(COURT_SIZE);

	for (uint32_t i = 0; i < COURT_CHUNKS; i++)
		cell_digest(i == COURT_WRONG ? seed : c->seed, COURT_SIZE, i, l->digests[i]);
	evidence_learn(c->cell.evidence, c->what.etag, l, EVIDENCE_PUBLISHED);
}

/* The list is there when all is; what does the giver say that it holds? */
static void list_later(struct court *c, uint64_t holds)
{
	court_bring(c, COURT_OTHER);
	publish(c, c->seed);
	court_say(c, c->giver, FAKE_HOLDER, holds);
	assert_int_equal(dropped_early(c), 1 << COURT_WRONG);
	assert_int_equal(c->owner->asked[FAKE_VOUCHER], 0);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
}

static void a_list_that_comes_later_settles_what_is_here_and_who_changed_it_is_banned(void **state)
{
	struct court *c = *state;

	list_later(c, c->seed);
	court_assert_banned(c, c->giver);
}

/* The twin: it had it before there was a list, too. */
static void who_passed_it_on_before_there_was_a_list_is_not(void **state)
{
	struct court *c = *state;

	list_later(c, COURT_OTHER);
	court_assert_banned(c, NULL);
}

static void no_word_of_members_makes_go_what_is_as_published(void **state)
{
	struct court *c = *state;
	uint8_t digest[CHUNK_LIST_DIGEST], right[CHUNK_LIST_DIGEST];

	court_bring(c, c->seed);
	publish(c, c->seed);
	court_say(c, c->owner, FAKE_VOUCHER, COURT_OTHER);
	court_say(c, c->giver, FAKE_HOLDER, COURT_OTHER);
	court_say(c, c->witness, FAKE_WITNESS, COURT_OTHER);
	assert_int_equal(dropped_early(c), 0);
	court_assert_banned(c, NULL);
	cell_digest(c->seed, COURT_SIZE, COURT_WRONG, right);
	assert_int_equal(evidence_knows(c->cell.evidence, c->what.etag, COURT_WRONG, digest),
			 EVIDENCE_PUBLISHED);
	assert_memory_equal(digest, right, sizeof(digest));
}

/* Who follows the owner is asked in its place. */
static struct fake_member *let_follower_vouch(struct court *c)
{
	struct fake_member *was = c->owner;

	c->owner = c->witness;
	return was;
}

static void who_vouches_in_the_owners_place_is_no_witness_of_that(void **state)
{
	struct court *c = *state;
	struct inquiry_compared got;

	let_follower_vouch(c);
	court_bring(c, c->seed);
	court_say(c, c->owner, FAKE_VOUCHER, COURT_OTHER);
	court_say(c, c->owner, FAKE_WITNESS, COURT_OTHER);
	court_say(c, c->giver, FAKE_HOLDER, c->seed);
	court_say(c, c->second, FAKE_WITNESS, c->seed);
	assert_int_equal(look(c, true, &got), 0);
	assert_int_equal(got.dropped, 0);
	assert_true(got.refuted);
	assert_int_equal(c->owner->asked[FAKE_WITNESS], 0);
	assert_int_equal(c->second->asked[FAKE_WITNESS], 1);
	court_assert_banned(c, NULL);
}

static void the_owner_is_not_banned_for_what_another_vouches(void **state)
{
	struct court *c = *state;

	c->giver = let_follower_vouch(c);
	court_bring(c, COURT_OTHER);
	court_say(c, c->owner, FAKE_VOUCHER, c->seed);
	court_say(c, c->giver, FAKE_HOLDER, COURT_OTHER);
	court_say(c, c->second, FAKE_WITNESS, c->seed);
	assert_int_equal(dropped_early(c), 1 << COURT_WRONG);
	court_assert_banned(c, NULL);
}

static void who_knows_nothing_leaves_it_to_the_digest_of_the_whole(void **state)
{
	struct court *c = *state;
	struct inquiry_compared got;

	court_bring(c, COURT_OTHER);
	assert_int_equal(look(c, true, &got), -ENOENT);
	assert_int_equal(got.dropped, 0);
	assert_int_equal(c->owner->asked[FAKE_VOUCHER], 1);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
}

static void what_has_rotted_here_is_nobodys_lie(void **state)
{
	struct court *c = *state;
	struct blob *b;

	court_bring(c, c->seed);
	assert_int_equal(store_blob(c->cell.node.store, c->what.etag, COURT_SIZE, false, &b), 0);
	assert_int_equal(blob_write(b, "rot", 3, chunk_start(COURT_WRONG)), 0);
	blob_unref(b);
	court_say(c, c->owner, FAKE_VOUCHER, c->seed);
	assert_int_equal(dropped_early(c), 0);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
	court_assert_banned(c, NULL);
}

static void once_it_is_sealed_nobody_is_blamed_and_nothing_goes(void **state)
{
	struct court *c = *state;
	uint8_t digest[CHUNK_LIST_DIGEST];
	struct blob *b;

	court_bring(c, COURT_OTHER);
	assert_int_equal(store_blob(c->cell.node.store, c->what.etag, COURT_SIZE, false, &b), 0);
	assert_int_equal(blob_seal(b), 0);
	court_say(c, c->owner, FAKE_VOUCHER, c->seed);
	court_say(c, c->giver, FAKE_HOLDER, c->seed);
	assert_int_equal(dropped_early(c), 0);
	assert_int_equal(evidence_knows(c->cell.evidence, c->what.etag, COURT_WRONG, digest),
			 EVIDENCE_UNKNOWN);
	assert_int_equal(metrics_get(&c->counts.bytes_wrong), 0);
	blob_unref(b);
	court_assert_banned(c, NULL);
}

/* ---- who is busy ---- */

static void an_owner_that_is_busy_is_asked_later_and_is_not_silent(void **state)
{
	struct court *c = *state;
	struct inquiry_compared got;

	court_bring(c, c->seed);
	court_say(c, c->owner, FAKE_VOUCHER, c->seed);
	c->owner->full = 1;
	assert_int_equal(look(c, true, &got), -EAGAIN);
	assert_false(court_is_in_state(c, c->owner, "silent"));
	assert_int_equal(look(c, true, &got), 0);
}

/* The owner, or another one, gave what is as this seed has it, and the owner says that it is
 * finding out what it had. How often witnesses are asked; what inquiry_compare says, what goes. */
static unsigned asked_where_owner_stalls(struct court *c, bool own, uint64_t seed,
					 enum inquiry_time time, int must, unsigned gone)
{
	struct inquiry_compared got;

	c->giver = own ? c->owner : c->giver;
	c->owner->stalls = true;
	c->time = time;
	court_bring(c, seed);
	court_say(c, c->witness, FAKE_WITNESS, c->seed);
	court_say(c, c->second, FAKE_WITNESS, c->seed);
	assert_int_equal(look(c, true, &got), must);
	assert_int_equal(got.own, own);
	assert_int_equal(got.dropped, gone);
	assert_false(got.open);
	return c->witness->asked[FAKE_WITNESS] + c->second->asked[FAKE_WITNESS];
}

static void of_what_an_owner_gave_that_never_says_what_it_had_witnesses_are_heard(void **state)
{
	assert_int_equal(asked_where_owner_stalls(*state, true, COURT_OTHER, INQUIRY_STALLED, 0,
						  1 << COURT_WRONG),
			 2);
}

static void one_is_enough_where_it_gave_what_is_right(void **state)
{
	struct court *c = *state;

	assert_int_equal(asked_where_owner_stalls(c, true, c->seed, INQUIRY_STALLED, 0, 0), 1);
	court_assert_banned(c, NULL);
}

static void not_while_it_may_still_find_out(void **state)
{
	assert_int_equal(
		asked_where_owner_stalls(*state, true, COURT_OTHER, INQUIRY_LAST, -EAGAIN, 0), 0);
}

static void nor_of_what_others_gave(void **state)
{
	assert_int_equal(
		asked_where_owner_stalls(*state, false, COURT_OTHER, INQUIRY_STALLED, -EAGAIN, 0),
		0);
}

static void a_witness_that_is_busy_is_asked_again(void **state)
{
	struct court *c = *state;

	court_bring(c, COURT_OTHER);
	court_say(c, c->owner, FAKE_VOUCHER, c->seed);
	court_say(c, c->giver, FAKE_HOLDER, COURT_OTHER);
	court_say(c, c->witness, FAKE_WITNESS, c->seed);
	c->witness->full = 2;
	assert_int_equal(dropped_early(c), 1 << COURT_WRONG);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 3);
	assert_int_equal(c->second->asked[FAKE_WITNESS], 0);
}

/* ---- all of it, when the digest of the whole was wrong ---- */

static void of_the_whole_owners_tell_which_chunk_it_is(void **state)
{
	struct court *c = *state;
	struct inquiry_compared got;

	court_bring(c, COURT_OTHER);
	court_say(c, c->owner, FAKE_VOUCHER, c->seed);
	court_say(c, c->witness, FAKE_WITNESS, c->seed);
	court_say(c, c->giver, FAKE_HOLDER, c->seed);
	assert_int_equal(look(c, false, &got), 1);
	court_assert_banned(c, c->giver);
}

/* How many witnesses are heard where the owner knew it all, and was banned, or is out of reach. */
static unsigned witnesses_where_owner(struct court *c, enum member_outcome outcome)
{
	struct inquiry_compared got;

	court_bring(c, COURT_OTHER);
	court_say(c, c->owner, FAKE_VOUCHER, c->seed);
	court_say(c, c->witness, FAKE_WITNESS, c->seed);
	court_say(c, c->second, FAKE_WITNESS, c->seed);
	court_note(c, c->owner, outcome);
	court_note(c, c->owner, outcome);
	assert_int_equal(look(c, false, &got), 1);
	assert_int_equal(c->owner->asked[FAKE_VOUCHER], outcome == MEMBER_LIED);
	return c->witness->asked[FAKE_WITNESS] + c->second->asked[FAKE_WITNESS];
}

static void what_a_banned_owner_had_says_what_is_in_question(void **state)
{
	assert_int_equal(witnesses_where_owner(*state, MEMBER_LIED), 1);
}

/* The twin. */
static void what_one_out_of_reach_had_does_not(void **state)
{
	assert_int_equal(witnesses_where_owner(*state, MEMBER_SILENT), 2);
}

static void what_a_banned_owner_says_alone_is_not_believed(void **state)
{
	struct court *c = *state;
	struct inquiry_compared got;

	court_bring(c, c->seed);
	court_say(c, c->owner, FAKE_VOUCHER, COURT_OTHER);
	court_say(c, c->witness, FAKE_WITNESS, c->seed);
	court_note(c, c->owner, MEMBER_LIED);
	assert_int_equal(look(c, false, &got), 0);
	court_assert_banned(c, c->owner);
}

static void where_owners_know_nothing_witnesses_do(void **state)
{
	struct court *c = *state;
	struct inquiry_compared got;

	court_bring(c, COURT_OTHER);
	court_say(c, c->witness, FAKE_WITNESS, c->seed);
	court_say(c, c->second, FAKE_WITNESS, c->seed);
	assert_int_equal(look(c, false, &got), 1);
	assert_int_equal(c->witness->chunks, (1 << COURT_CHUNKS) - 1);
	assert_int_equal(c->second->asked[FAKE_WITNESS], 1);
	assert_int_equal(c->second->chunks, 1 << COURT_WRONG); /* of the others one has told */
	court_assert_banned(c, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, court_set_up, court_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_as_its_owner_had_it_costs_one_question),
		TEST(who_changed_a_chunk_on_its_way_is_banned_and_it_alone_goes),
		TEST(who_holds_what_it_gave_may_have_been_misled),
		TEST(a_witness_is_asked_for_what_is_in_dispute_alone),
		TEST(what_it_has_seen_itself_needs_no_witness),
		TEST(at_first_it_is_given_time_to_find_out),
		TEST(unless_it_vouches_for_it),
		TEST(who_says_nothing_of_it_may_have_been_misled_too),
		TEST(but_only_once_is_it_dropped_without_a_witness),
		TEST(an_owner_that_gave_otherwise_than_it_has_is_banned),
		TEST(one_that_held_other_bytes_before_it_asked_a_hub_is_not),
		TEST(an_owner_that_lies_makes_nothing_go_that_is_right),
		TEST(where_owner_witness_and_giver_differ_another_witness_tells),
		TEST(a_list_that_comes_later_settles_what_is_here_and_who_changed_it_is_banned),
		TEST(who_passed_it_on_before_there_was_a_list_is_not),
		TEST(no_word_of_members_makes_go_what_is_as_published),
		TEST(who_vouches_in_the_owners_place_is_no_witness_of_that),
		TEST(the_owner_is_not_banned_for_what_another_vouches),
		TEST(who_knows_nothing_leaves_it_to_the_digest_of_the_whole),
		TEST(what_has_rotted_here_is_nobodys_lie),
		TEST(once_it_is_sealed_nobody_is_blamed_and_nothing_goes),
		TEST(an_owner_that_is_busy_is_asked_later_and_is_not_silent),
		TEST(of_what_an_owner_gave_that_never_says_what_it_had_witnesses_are_heard),
		TEST(one_is_enough_where_it_gave_what_is_right),
		TEST(not_while_it_may_still_find_out),
		TEST(nor_of_what_others_gave),
		TEST(a_witness_that_is_busy_is_asked_again),
		TEST(of_the_whole_owners_tell_which_chunk_it_is),
		TEST(what_a_banned_owner_had_says_what_is_in_question),
		TEST(what_one_out_of_reach_had_does_not),
		TEST(what_a_banned_owner_says_alone_is_not_believed),
		TEST(where_owners_know_nothing_witnesses_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
