/* SPDX-License-Identifier: Apache-2.0 */
/* Who is believed of what is wrong in a segment, and who is banned for it. */
#include "daemon/peer/verify_blob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>

#include "tests/verifying.h"

static void moved(UNUSED void *arg)
{
}

/* What verify_segment says; or (early false) how many verify_blob drops. */
static int look(struct verifying *c, bool early, struct verify_compared *ret)
{
	struct httpc_cancel cancel = { 0 };
	struct doubt d = { .what = &c->what, .cancel = &cancel, .moved = moved };
	int r;

	/* No handle: with that the digest of all that is there would tell. */
	assert_int_equal(
		store_blob(c->cell.node.store, c->what.etag, VERIFYING_SIZE, false, &d.blob), 0);
	*ret = (struct verify_compared){ .told = c->told };
	r = early ? verify_segment(&c->conf, &d, 0, c->owner->address, c->time, ret)
		  : verify_blob(&c->conf, &d);
	c->told = ret->told;
	digest_questions_forget_held(&ret->held);
	assert_true(blob_may_have(d.blob, 0));
	blob_unref(d.blob);
	return r;
}

static unsigned dropped_early(struct verifying *c)
{
	struct verify_compared got;

	assert_int_equal(look(c, true, &got), 0);
	return got.dropped;
}

static bool is_proven_wrong(struct verifying *c, uint64_t seed)
{
	uint8_t digest[CHUNK_LIST_DIGEST];

	cell_digest(seed, VERIFYING_SIZE, VERIFYING_WRONG, digest);
	return provenance_was_wrong(c->cell.provenance, c->what.etag, VERIFYING_WRONG, digest);
}

/* ---- one segment, while others come ---- */

static void what_is_as_its_owner_had_it_costs_one_question(void **state)
{
	struct verifying *c = *state;

	verifying_bring(c, c->seed);
	verifying_say(c, c->owner, FAKE_VOUCHER, c->seed);
	assert_int_equal(dropped_early(c), 0);
	assert_int_equal(dropped_early(c), 0); /* it has told */
	assert_int_equal(c->owner->asked[FAKE_VOUCHER], 1);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
	verifying_assert_banned(c, NULL);
}

static void who_changed_a_chunk_on_its_way_is_banned_and_it_alone_goes(void **state)
{
	struct verifying *c = *state;

	verifying_bring(c, VERIFYING_OTHER);
	verifying_say(c, c->owner, FAKE_VOUCHER, c->seed);
	verifying_say(c, c->giver, FAKE_HOLDER, c->seed);
	assert_int_equal(dropped_early(c), 1 << VERIFYING_WRONG);
	verifying_assert_banned(c, c->giver);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
	assert_true(is_proven_wrong(c, VERIFYING_OTHER));
	assert_false(is_proven_wrong(c, c->seed));
}

/* Who gave it held what it gave, its owner says otherwise, and there is a witness. */
static void dispute(struct verifying *c)
{
	verifying_bring(c, VERIFYING_OTHER);
	verifying_say(c, c->owner, FAKE_VOUCHER, c->seed);
	verifying_say(c, c->witness, FAKE_WITNESS, c->seed);
	verifying_say(c, c->giver, FAKE_HOLDER, VERIFYING_OTHER);
}

static void who_holds_what_it_gave_may_have_been_misled(void **state)
{
	struct verifying *c = *state;

	dispute(c);
	assert_int_equal(dropped_early(c), 1 << VERIFYING_WRONG);
	assert_int_equal(c->second->asked[FAKE_WITNESS], 0);
	verifying_assert_banned(c, NULL);
}

static void a_witness_is_asked_for_what_is_in_dispute_alone(void **state)
{
	struct verifying *c = *state;

	dispute(c);
	assert_int_equal(dropped_early(c), 1 << VERIFYING_WRONG);
	assert_int_equal(c->witness->chunks, 1 << VERIFYING_WRONG);
}

/* This node has seen as a witness what a hub gives. */
static void what_it_has_seen_itself_needs_no_witness(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(VERIFYING_SIZE);
	struct verifying *c = *state;

	cell_digest(c->seed, VERIFYING_SIZE, VERIFYING_WRONG, l->digests[VERIFYING_WRONG]);
	provenance_learn(c->cell.provenance, c->what.etag, l, PROVENANCE_WITNESSED);
	verifying_bring(c, VERIFYING_OTHER);
	verifying_say(c, c->owner, FAKE_VOUCHER, c->seed);
	verifying_say(c, c->giver, FAKE_HOLDER, VERIFYING_OTHER);
	assert_int_equal(dropped_early(c), 1 << VERIFYING_WRONG);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
}

static void at_first_it_is_given_time_to_find_out(void **state)
{
	struct verifying *c = *state;
	struct verify_compared got;

	dispute(c);
	c->time = VERIFY_FIRST;
	assert_int_equal(look(c, true, &got), 0);
	assert_true(got.open);
	assert_int_equal(got.dropped, 0);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
	c->time = VERIFY_LAST;
	assert_int_equal(look(c, true, &got), 0);
	assert_int_equal(got.dropped, 1 << VERIFYING_WRONG);
	assert_int_equal(c->owner->asked[FAKE_VOUCHER], 1);
}

static void unless_it_vouches_for_it(void **state)
{
	struct verifying *c = *state;

	dispute(c);
	verifying_say(c, c->giver, FAKE_VOUCHER, VERIFYING_OTHER);
	assert_int_equal(dropped_early(c), 1 << VERIFYING_WRONG);
	verifying_assert_banned(c, c->giver);
}

static void who_says_nothing_of_it_may_have_been_misled_too(void **state)
{
	struct verifying *c = *state;

	verifying_bring(c, VERIFYING_OTHER);
	verifying_say(c, c->owner, FAKE_VOUCHER, c->seed);
	assert_int_equal(dropped_early(c), 1 << VERIFYING_WRONG);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
	assert_false(is_proven_wrong(c, VERIFYING_OTHER));
	assert_false(verifying_is_in_state(c, c->giver, "misled"));
	verifying_assert_banned(c, NULL);
}

/* Else an owner that lies could have it dropped for ever. */
static void but_only_once_is_it_dropped_without_a_witness(void **state)
{
	struct verifying *c = *state;
	struct verify_compared got;

	provenance_drop(c->cell.provenance, c->what.etag, VERIFYING_WRONG,
			(uint8_t[CHUNK_LIST_DIGEST]){ 0 }, true);
	verifying_bring(c, c->seed);
	verifying_say(c, c->owner, FAKE_VOUCHER, VERIFYING_OTHER);
	verifying_say(c, c->witness, FAKE_WITNESS, c->seed);
	assert_int_equal(look(c, true, &got), 0);
	assert_int_equal(got.dropped, 0);
	assert_false(got.open);
	assert_true(got.refuted);
}

/* The owner gave something else than it had from a hub; does it say that it never held that? */
static void owner_gives_otherwise(struct verifying *c, bool denies)
{
	c->giver = c->owner;
	verifying_bring(c, VERIFYING_OTHER);
	verifying_say(c, c->owner, FAKE_VOUCHER, c->seed);
	if (denies)
		verifying_say(c, c->owner, FAKE_HOLDER, c->seed);
	assert_int_equal(dropped_early(c), 1 << VERIFYING_WRONG);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
	assert_false(is_proven_wrong(c, VERIFYING_OTHER));
}

static void an_owner_that_gave_otherwise_than_it_has_is_banned(void **state)
{
	struct verifying *c = *state;

	owner_gives_otherwise(c, true);
	verifying_assert_banned(c, c->owner);
}

/* The twin: it had those from somebody who had them by chance, dropped them, and asked a hub. */
static void one_that_held_other_bytes_before_it_asked_a_hub_is_not(void **state)
{
	struct verifying *c = *state;

	owner_gives_otherwise(c, false);
	verifying_assert_banned(c, NULL);
}

static void an_owner_that_lies_makes_nothing_go_that_is_right(void **state)
{
	struct verifying *c = *state;
	struct verify_compared got;

	verifying_bring(c, c->seed);
	verifying_say(c, c->owner, FAKE_VOUCHER, VERIFYING_OTHER);
	verifying_say(c, c->giver, FAKE_HOLDER, c->seed);
	verifying_say(c, c->witness, FAKE_WITNESS, c->seed);
	assert_int_equal(look(c, true, &got), 0);
	assert_int_equal(got.dropped, 0);
	assert_true(got.refuted);
	verifying_assert_banned(c, NULL);
}

static void where_owner_witness_and_giver_differ_another_witness_tells(void **state)
{
	struct verifying *c = *state;

	verifying_bring(c, VERIFYING_OTHER);
	verifying_say(c, c->owner, FAKE_VOUCHER, c->seed);
	verifying_say(c, c->giver, FAKE_HOLDER, VERIFYING_OTHER);
	verifying_say(c, c->witness, FAKE_WITNESS, VERIFYING_OTHER + 1);
	verifying_say(c, c->second, FAKE_WITNESS, c->seed);
	assert_int_equal(dropped_early(c), 1 << VERIFYING_WRONG);
	assert_int_equal(c->second->asked[FAKE_WITNESS], 1);
	verifying_assert_banned(c, NULL);
}

/* A hub publishes its list of the bytes of that seed, while all is here already. */
static void publish(struct verifying *c, uint64_t seed)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(VERIFYING_SIZE);

	for (uint32_t i = 0; i < VERIFYING_CHUNKS; i++)
		cell_digest(i == VERIFYING_WRONG ? seed : c->seed, VERIFYING_SIZE, i,
			    l->digests[i]);
	provenance_learn(c->cell.provenance, c->what.etag, l, PROVENANCE_PUBLISHED);
}

/* The list is there when all is; what does the giver say that it holds? */
static void list_later(struct verifying *c, uint64_t holds)
{
	verifying_bring(c, VERIFYING_OTHER);
	publish(c, c->seed);
	verifying_say(c, c->giver, FAKE_HOLDER, holds);
	assert_int_equal(dropped_early(c), 1 << VERIFYING_WRONG);
	assert_int_equal(c->owner->asked[FAKE_VOUCHER], 0);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
}

static void a_list_that_comes_later_settles_what_is_here_and_who_changed_it_is_banned(void **state)
{
	struct verifying *c = *state;

	list_later(c, c->seed);
	verifying_assert_banned(c, c->giver);
}

/* The twin: it had it before there was a list, too. */
static void who_passed_it_on_before_there_was_a_list_is_not(void **state)
{
	struct verifying *c = *state;

	list_later(c, VERIFYING_OTHER);
	verifying_assert_banned(c, NULL);
}

static void no_word_of_members_makes_go_what_is_as_published(void **state)
{
	struct verifying *c = *state;
	uint8_t digest[CHUNK_LIST_DIGEST], right[CHUNK_LIST_DIGEST];

	verifying_bring(c, c->seed);
	publish(c, c->seed);
	verifying_say(c, c->owner, FAKE_VOUCHER, VERIFYING_OTHER);
	verifying_say(c, c->giver, FAKE_HOLDER, VERIFYING_OTHER);
	verifying_say(c, c->witness, FAKE_WITNESS, VERIFYING_OTHER);
	assert_int_equal(dropped_early(c), 0);
	verifying_assert_banned(c, NULL);
	cell_digest(c->seed, VERIFYING_SIZE, VERIFYING_WRONG, right);
	assert_int_equal(
		provenance_knows(c->cell.provenance, c->what.etag, VERIFYING_WRONG, digest),
		PROVENANCE_PUBLISHED);
	assert_memory_equal(digest, right, sizeof(digest));
}

/* Who follows the owner is asked in its place. */
static struct fake_member *let_follower_vouch(struct verifying *c)
{
	struct fake_member *was = c->owner;

	c->owner = c->witness;
	return was;
}

static void who_vouches_in_the_owners_place_is_no_witness_of_that(void **state)
{
	struct verifying *c = *state;
	struct verify_compared got;

	let_follower_vouch(c);
	verifying_bring(c, c->seed);
	verifying_say(c, c->owner, FAKE_VOUCHER, VERIFYING_OTHER);
	verifying_say(c, c->owner, FAKE_WITNESS, VERIFYING_OTHER);
	verifying_say(c, c->giver, FAKE_HOLDER, c->seed);
	verifying_say(c, c->second, FAKE_WITNESS, c->seed);
	assert_int_equal(look(c, true, &got), 0);
	assert_int_equal(got.dropped, 0);
	assert_true(got.refuted);
	assert_int_equal(c->owner->asked[FAKE_WITNESS], 0);
	assert_int_equal(c->second->asked[FAKE_WITNESS], 1);
	verifying_assert_banned(c, NULL);
}

static void the_owner_is_not_banned_for_what_another_vouches(void **state)
{
	struct verifying *c = *state;

	c->giver = let_follower_vouch(c);
	verifying_bring(c, VERIFYING_OTHER);
	verifying_say(c, c->owner, FAKE_VOUCHER, c->seed);
	verifying_say(c, c->giver, FAKE_HOLDER, VERIFYING_OTHER);
	verifying_say(c, c->second, FAKE_WITNESS, c->seed);
	assert_int_equal(dropped_early(c), 1 << VERIFYING_WRONG);
	verifying_assert_banned(c, NULL);
}

static void who_knows_nothing_leaves_it_to_the_digest_of_the_whole(void **state)
{
	struct verifying *c = *state;
	struct verify_compared got;

	verifying_bring(c, VERIFYING_OTHER);
	assert_int_equal(look(c, true, &got), -ENOENT);
	assert_int_equal(got.dropped, 0);
	assert_int_equal(c->owner->asked[FAKE_VOUCHER], 1);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
}

static void what_has_rotted_here_is_nobodys_lie(void **state)
{
	struct verifying *c = *state;
	struct blob *b;

	verifying_bring(c, c->seed);
	assert_int_equal(store_blob(c->cell.node.store, c->what.etag, VERIFYING_SIZE, false, &b),
			 0);
	assert_int_equal(blob_write(b, "rot", 3, chunk_start(VERIFYING_WRONG)), 0);
	blob_unref(b);
	verifying_say(c, c->owner, FAKE_VOUCHER, c->seed);
	assert_int_equal(dropped_early(c), 0);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 0);
	verifying_assert_banned(c, NULL);
}

static void once_it_is_sealed_nobody_is_blamed_and_nothing_goes(void **state)
{
	struct verifying *c = *state;
	uint8_t digest[CHUNK_LIST_DIGEST];
	struct blob *b;

	verifying_bring(c, VERIFYING_OTHER);
	assert_int_equal(store_blob(c->cell.node.store, c->what.etag, VERIFYING_SIZE, false, &b),
			 0);
	assert_int_equal(blob_seal(b), 0);
	verifying_say(c, c->owner, FAKE_VOUCHER, c->seed);
	verifying_say(c, c->giver, FAKE_HOLDER, c->seed);
	assert_int_equal(dropped_early(c), 0);
	assert_int_equal(
		provenance_knows(c->cell.provenance, c->what.etag, VERIFYING_WRONG, digest),
		PROVENANCE_UNKNOWN);
	assert_int_equal(metrics_get(&c->counts.bytes_wrong), 0);
	blob_unref(b);
	verifying_assert_banned(c, NULL);
}

/* ---- who is busy ---- */

static void an_owner_that_is_busy_is_asked_later_and_is_not_silent(void **state)
{
	struct verifying *c = *state;
	struct verify_compared got;

	verifying_bring(c, c->seed);
	verifying_say(c, c->owner, FAKE_VOUCHER, c->seed);
	c->owner->full = 1;
	assert_int_equal(look(c, true, &got), -EAGAIN);
	assert_false(verifying_is_in_state(c, c->owner, "silent"));
	assert_int_equal(look(c, true, &got), 0);
}

/* The owner, or another one, gave what is as this seed has it, and the owner says that it is
 * finding out what it had. How often witnesses are asked; what verify_segment says, what goes. */
static unsigned asked_where_owner_stalls(struct verifying *c, bool own, uint64_t seed,
					 enum verify_time time, int must, unsigned gone)
{
	struct verify_compared got;

	c->giver = own ? c->owner : c->giver;
	c->owner->stalls = true;
	c->time = time;
	verifying_bring(c, seed);
	verifying_say(c, c->witness, FAKE_WITNESS, c->seed);
	verifying_say(c, c->second, FAKE_WITNESS, c->seed);
	assert_int_equal(look(c, true, &got), must);
	assert_int_equal(got.own, own);
	assert_int_equal(got.dropped, gone);
	assert_false(got.open);
	return c->witness->asked[FAKE_WITNESS] + c->second->asked[FAKE_WITNESS];
}

static void of_what_an_owner_gave_that_never_says_what_it_had_witnesses_are_heard(void **state)
{
	assert_int_equal(asked_where_owner_stalls(*state, true, VERIFYING_OTHER, VERIFY_STALLED, 0,
						  1 << VERIFYING_WRONG),
			 2);
}

static void one_is_enough_where_it_gave_what_is_right(void **state)
{
	struct verifying *c = *state;

	assert_int_equal(asked_where_owner_stalls(c, true, c->seed, VERIFY_STALLED, 0, 0), 1);
	verifying_assert_banned(c, NULL);
}

static void not_while_it_may_still_find_out(void **state)
{
	assert_int_equal(
		asked_where_owner_stalls(*state, true, VERIFYING_OTHER, VERIFY_LAST, -EAGAIN, 0),
		0);
}

static void nor_of_what_others_gave(void **state)
{
	assert_int_equal(asked_where_owner_stalls(*state, false, VERIFYING_OTHER, VERIFY_STALLED,
						  -EAGAIN, 0),
			 0);
}

static void a_witness_that_is_busy_is_asked_again(void **state)
{
	struct verifying *c = *state;

	verifying_bring(c, VERIFYING_OTHER);
	verifying_say(c, c->owner, FAKE_VOUCHER, c->seed);
	verifying_say(c, c->giver, FAKE_HOLDER, VERIFYING_OTHER);
	verifying_say(c, c->witness, FAKE_WITNESS, c->seed);
	c->witness->full = 2;
	assert_int_equal(dropped_early(c), 1 << VERIFYING_WRONG);
	assert_int_equal(c->witness->asked[FAKE_WITNESS], 3);
	assert_int_equal(c->second->asked[FAKE_WITNESS], 0);
}

/* ---- all of it, when the digest of the whole was wrong ---- */

static void of_the_whole_owners_tell_which_chunk_it_is(void **state)
{
	struct verifying *c = *state;
	struct verify_compared got;

	verifying_bring(c, VERIFYING_OTHER);
	verifying_say(c, c->owner, FAKE_VOUCHER, c->seed);
	verifying_say(c, c->witness, FAKE_WITNESS, c->seed);
	verifying_say(c, c->giver, FAKE_HOLDER, c->seed);
	assert_int_equal(look(c, false, &got), 1);
	verifying_assert_banned(c, c->giver);
}

/* How many witnesses are heard where the owner knew it all, and was banned, or is out of reach. */
static unsigned witnesses_where_owner(struct verifying *c, enum member_outcome outcome)
{
	struct verify_compared got;

	verifying_bring(c, VERIFYING_OTHER);
	verifying_say(c, c->owner, FAKE_VOUCHER, c->seed);
	verifying_say(c, c->witness, FAKE_WITNESS, c->seed);
	verifying_say(c, c->second, FAKE_WITNESS, c->seed);
	verifying_note(c, c->owner, outcome);
	verifying_note(c, c->owner, outcome);
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
	struct verifying *c = *state;
	struct verify_compared got;

	verifying_bring(c, c->seed);
	verifying_say(c, c->owner, FAKE_VOUCHER, VERIFYING_OTHER);
	verifying_say(c, c->witness, FAKE_WITNESS, c->seed);
	verifying_note(c, c->owner, MEMBER_LIED);
	assert_int_equal(look(c, false, &got), 0);
	verifying_assert_banned(c, c->owner);
}

static void where_owners_know_nothing_witnesses_do(void **state)
{
	struct verifying *c = *state;
	struct verify_compared got;

	verifying_bring(c, VERIFYING_OTHER);
	verifying_say(c, c->witness, FAKE_WITNESS, c->seed);
	verifying_say(c, c->second, FAKE_WITNESS, c->seed);
	assert_int_equal(look(c, false, &got), 1);
	assert_int_equal(c->witness->chunks, (1 << VERIFYING_CHUNKS) - 1);
	assert_int_equal(c->second->asked[FAKE_WITNESS], 1);
	assert_int_equal(c->second->chunks, 1 << VERIFYING_WRONG); /* of the others one has told */
	verifying_assert_banned(c, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, verifying_set_up, verifying_tear_down)

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
