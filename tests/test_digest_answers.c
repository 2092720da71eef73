/* SPDX-License-Identifier: Apache-2.0 */
/* What a node says of the digests of a segment, and what that costs its hub. */
#include "daemon/peer/digest_answers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/cache/blob_lists.h"
#include "daemon/cache/chunk.h"
#include "tests/cell.h"

#define SIZE (3 * CHUNK_BYTES)
#define SEED 7
#define OTHER 8 /* of bytes that are wrong */
#define MEMBER "192.0.2.1:9980"

struct fixture {
	struct cell cell;
	struct source_blob what;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	cell_init(&f->cell, SEED);
	fake_blob(SEED, SIZE, DIGEST_SHA256, &f->what);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	cell_fini(&f->cell);
	free(f);
	return 0;
}

enum as { VOUCHER, WITNESS, HOLDER };

static int ask_of(struct fixture *f, const struct source_blob *what, enum as as, uint32_t chunks,
		  struct wire_digests *ret)
{
	struct wire_ask ask = wire_ask_of(what, 0, SIZE);
	int64_t until_ms = clock_ms() + 10000;
	int r;

	ask.digests = true;
	ask.witness = as == WITNESS;
	ask.chunks = chunks;
	ask.held = as == HOLDER;
	while ((r = digest_answers_get(f->cell.answers, &ask, ret)) == -EAGAIN &&
	       clock_ms() < until_ms)
		clock_sleep_ms(10);
	return r;
}

static int ask(struct fixture *f, enum as as, struct wire_digests *ret)
{
	return ask_of(f, &f->what, as, 0, ret);
}

/* What it tells of chunk i: the bytes of that seed, or (0) nothing. */
static void assert_tells(const struct wire_digests *d, uint32_t i, uint64_t seed)
{
	uint8_t digest[32] = { 0 };

	if (seed)
		cell_digest(seed, SIZE, i, digest);
	assert_memory_equal(d->of[i], digest, sizeof(digest));
}

static void it_vouches_for_what_a_hub_gave_and_for_nothing_else(void **state)
{
	struct fixture *f = *state;
	struct wire_digests d;

	cell_put(&f->cell, &f->what, 0, SEED, NULL);
	cell_put(&f->cell, &f->what, 1, SEED, MEMBER);
	assert_int_equal(ask(f, VOUCHER, &d), 0);
	assert_tells(&d, 0, SEED);
	assert_tells(&d, 1, 0);
	assert_tells(&d, 2, 0);
}

/* Or an owner that has not all of a segment yet would be finding out for ever, to all who come again
 * as seldom as they do, and witnesses would be asked for what it gave. */
static void what_was_found_out_is_said_to_who_comes_again_later(void **state)
{
	static const enum as all[] = { VOUCHER, HOLDER };
	struct fixture *f = *state;

	cell_put(&f->cell, &f->what, 0, SEED, NULL);
	for (unsigned i = 0; i < 2; i++) {
		struct wire_ask ask = wire_ask_of(&f->what, 0, SIZE);
		struct wire_digests d;

		ask.digests = true;
		ask.held = all[i] == HOLDER;
		assert_int_equal(digest_answers_get(f->cell.answers, &ask, &d), -EAGAIN);
		clock_sleep_ms(1500);
		assert_int_equal(digest_answers_get(f->cell.answers, &ask, &d), 0);
		assert_tells(&d, 0, SEED);
		assert_tells(&d, 1, 0);
	}
	/* The twin: a second after it was said there may be more. */
	cell_put(&f->cell, &f->what, 1, SEED, NULL);
	clock_sleep_ms(1100);
	for (unsigned i = 0; i < 2; i++) {
		struct wire_digests d;

		assert_int_equal(ask(f, all[i], &d), 0);
		assert_tells(&d, 1, SEED);
	}
}

static void who_has_nothing_says_nothing(void **state)
{
	struct wire_digests d;

	assert_int_equal(ask(*state, VOUCHER, &d), -ENOENT);
	assert_int_equal(ask(*state, HOLDER, &d), -ENOENT);
	assert_int_equal(ask(*state, WITNESS, &d), -ENOENT);
}

static void it_holds_what_members_gave_too(void **state)
{
	struct fixture *f = *state;
	struct wire_digests d;

	cell_put(&f->cell, &f->what, 0, SEED, NULL);
	cell_put(&f->cell, &f->what, 1, OTHER, MEMBER);
	assert_int_equal(ask(f, HOLDER, &d), 0);
	assert_tells(&d, 0, SEED);
	assert_tells(&d, 1, OTHER);
	assert_tells(&d, 2, 0);
}

/* Who passed it on while it was wrong has not changed it on its way. */
/* It has seen as a witness what a member gave it otherwise, or only gave others its word for that:
 * it vouches for the one and holds the other, though nothing of it is broken. */
static void of_what_it_knows_to_be_otherwise_it_does_not_say_that_it_holds_it(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(SIZE);
	struct fixture *f = *state;
	struct wire_digests d;

	cell_put(&f->cell, &f->what, 0, OTHER, MEMBER);
	cell_put(&f->cell, &f->what, 1, OTHER, MEMBER);
	cell_digest(SEED, SIZE, 1, l->digests[1]);
	provenance_learn(f->cell.provenance, f->what.etag, l, PROVENANCE_WITNESSED);
	assert_int_equal(ask(f, VOUCHER, &d), 0);
	assert_tells(&d, 1, SEED);
	assert_int_equal(ask(f, HOLDER, &d), 0);
	assert_tells(&d, 0, OTHER);
	assert_tells(&d, 1, 0);
	clock_sleep_ms(1100); /* that is said again for a second, */
	provenance_unlearn(f->cell.provenance, f->what.etag);
	assert_int_equal(ask(f, HOLDER, &d), 0);
	assert_tells(&d, 0, OTHER);
	assert_tells(&d, 1, 0); /* but what it vouched for is not forgotten with what it knew */
}

static void of_what_it_has_dropped_once_it_does_not_say_what_it_holds(void **state)
{
	struct fixture *f = *state;
	struct wire_digests d;

	cell_put(&f->cell, &f->what, 1, OTHER, MEMBER);
	provenance_drop(f->cell.provenance, f->what.etag, 1, (uint8_t[CHUNK_LIST_DIGEST]){ 0 },
			true);
	provenance_forget(f->cell.provenance, f->what.etag);
	cell_put(&f->cell, &f->what, 0, SEED, MEMBER);
	cell_put(&f->cell, &f->what, 1, SEED, MEMBER);
	assert_int_equal(ask(f, HOLDER, &d), 0);
	assert_tells(&d, 0, SEED);
	assert_tells(&d, 1, 0);
}

/* All of it was this member's, the second chunk wrong, and was dropped whole. */
static void lose_all(struct fixture *f)
{
	CLEANUP(chunk_list_freep) struct chunk_list *was = chunk_list_new(SIZE);
	struct blob *b;

	assert_non_null(was);
	for (uint32_t i = 0; i < 3; i++) {
		cell_put(&f->cell, &f->what, i, i == 1 ? OTHER : SEED, MEMBER);
		cell_digest(i == 1 ? OTHER : SEED, SIZE, i, was->digests[i]);
	}
	assert_int_equal(store_blob(f->cell.node.store, f->what.etag, SIZE, false, &b), 0);
	assert_int_equal(blob_drop(b), 0);
	blob_unref(b);
	provenance_drop_all(f->cell.provenance, f->what.etag, was);
}

static void what_was_dropped_whole_it_says_that_it_held(void **state)
{
	struct fixture *f = *state;
	struct wire_digests d;

	lose_all(f);
	assert_int_equal(ask(f, HOLDER, &d), 0);
	assert_tells(&d, 0, SEED);
	assert_tells(&d, 1, OTHER);
	assert_tells(&d, 2, SEED);
	assert_int_equal(ask(f, VOUCHER, &d), -ENOENT);
}

/* It may have passed on what it had first. */
static void unless_it_has_come_again_otherwise(void **state)
{
	struct fixture *f = *state;
	struct wire_digests d;

	lose_all(f);
	cell_put(&f->cell, &f->what, 0, SEED, MEMBER);
	cell_put(&f->cell, &f->what, 1, SEED, MEMBER);
	assert_int_equal(ask(f, HOLDER, &d), 0);
	assert_tells(&d, 0, SEED);
	assert_tells(&d, 1, 0);
	assert_tells(&d, 2, SEED);
}

static void what_it_has_again_as_it_was_it_held_always(void **state)
{
	struct fixture *f = *state;
	uint8_t was[CHUNK_LIST_DIGEST];
	struct wire_digests d;

	cell_digest(SEED, f->what.file.size, 1, was);
	cell_put(&f->cell, &f->what, 1, SEED, MEMBER);
	provenance_drop(f->cell.provenance, f->what.etag, 1, was, false);
	cell_put(&f->cell, &f->what, 1, SEED, MEMBER);
	assert_int_equal(ask(f, HOLDER, &d), 0);
	assert_tells(&d, 1, SEED);
}

static void a_witness_says_what_a_hub_gives_whatever_it_has(void **state)
{
	struct fixture *f = *state;
	struct wire_digests d;

	for (uint32_t i = 0; i < 3; i++)
		cell_put(&f->cell, &f->what, i, OTHER, MEMBER);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(f, WITNESS, &d), 0);
	for (uint32_t i = 0; i < 3; i++)
		assert_tells(&d, i, SEED);
	assert_int_equal(fake_source_bytes(&f->cell.node.hub), SIZE); /* for all that asked */
}

static void a_witness_has_what_it_is_asked_for_and_that_once(void **state)
{
	struct fixture *f = *state;
	struct wire_digests d;

	cell_put(&f->cell, &f->what, 1, OTHER, MEMBER);
	assert_int_equal(ask_of(f, &f->what, WITNESS, 1 << 1, &d), 0);
	assert_tells(&d, 0, 0);
	assert_tells(&d, 1, SEED);
	assert_int_equal(fake_source_bytes(&f->cell.node.hub), CHUNK_BYTES);
	assert_int_equal(ask_of(f, &f->what, WITNESS, 1 << 0 | 1 << 1, &d), 0);
	assert_tells(&d, 0, SEED);
	assert_int_equal(fake_source_bytes(&f->cell.node.hub), 2 * CHUNK_BYTES);
}

static void what_it_has_seen_as_a_witness_it_vouches_for(void **state)
{
	struct fixture *f = *state;
	struct wire_digests d;

	cell_put(&f->cell, &f->what, 1, OTHER, MEMBER);
	assert_int_equal(ask_of(f, &f->what, WITNESS, 1 << 1, &d), 0);
	assert_int_equal(ask(f, VOUCHER, &d), 0);
	assert_tells(&d, 0, 0);
	assert_tells(&d, 1, SEED);
	assert_int_equal(ask(f, HOLDER, &d), -ENOENT); /* what it holds it knows to be wrong */
}

/* The twin of what hubs are asked for. */
static void of_what_is_sealed_a_witness_asks_nobody(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(SIZE);
	struct fixture *f = *state;
	struct wire_digests d;
	struct blob *b;

	assert_int_equal(store_blob(f->cell.node.store, f->what.etag, SIZE, false, &b), 0);
	for (uint32_t i = 0; i < 3; i++) {
		cell_put(&f->cell, &f->what, i, SEED, MEMBER);
		cell_digest(SEED, SIZE, i, l->digests[i]);
	}
	assert_int_equal(blob_seal(b), 0);
	assert_int_equal(blob_put_chunk_list(b, l), 0);
	assert_int_equal(ask(f, WITNESS, &d), 0);
	for (uint32_t i = 0; i < 3; i++)
		assert_tells(&d, i, SEED);
	assert_int_equal(fake_source_bytes(&f->cell.node.hub), 0);
	blob_unref(b);
}

/* How long it takes to say what is here, while a hub gives nothing to so many witnesses. */
static int64_t vouch_ms(struct fixture *f, unsigned witnesses)
{
	const struct fake_rule hold = { .act = FAKE_HOLD };
	int64_t began_ms = clock_ms();
	struct source_blob other;
	struct wire_ask question;
	struct wire_digests d;

	fake_source_rule(&f->cell.node.hub, &hold);
	for (unsigned i = 0; i < witnesses; i++) {
		fake_blob(OTHER + i, SIZE, DIGEST_SHA256, &other);
		provenance_note(f->cell.provenance, other.etag, SIZE, 0, 1, MEMBER);
		question = wire_ask_of(&other, 0, SIZE);
		question.digests = question.witness = true;
		assert_int_equal(digest_answers_get(f->cell.answers, &question, &d), -EAGAIN);
	}
	assert_true(fake_source_await_held(&f->cell.node.hub, witnesses < 2 ? witnesses : 2));
	cell_put(&f->cell, &f->what, 0, SEED, NULL);
	assert_int_equal(ask(f, VOUCHER, &d), 0);
	assert_tells(&d, 0, SEED);
	fake_source_calm(&f->cell.node.hub);
	fake_source_release(&f->cell.node.hub);
	return clock_ms() - began_ms;
}

static void who_asks_what_is_here_waits_for_no_witness(void **state)
{
	assert_in_range(vouch_ms(*state, 4), 0, 3000);
}

/* The first question for a segment, of which nobody has anything. */
static int begin(struct fixture *f, const char *etag, bool witness)
{
	struct source_blob other = f->what;
	struct wire_ask question;
	struct wire_digests d;

	snprintf(other.etag, sizeof(other.etag), "%s", etag);
	question = wire_ask_of(&other, 0, SIZE);
	question.digests = true;
	question.witness = witness;
	return digest_answers_get(f->cell.answers, &question, &d);
}

/* Whether what was found out is said again at once, after so many others have asked for what was
 * made up; and all that time a hub has given nothing to a witness, who had asked before all. */
static bool is_remembered(struct fixture *f, unsigned others)
{
	const struct fake_rule hold = { .act = FAKE_HOLD };
	char etag[DIGEST_HEX_MAX + 1];
	struct source_blob slow;
	struct wire_digests d;
	int r;

	fake_source_rule(&f->cell.node.hub, &hold);
	fake_blob(OTHER, SIZE, DIGEST_SHA256, &slow);
	provenance_note(f->cell.provenance, slow.etag, SIZE, 0, 1, MEMBER);
	assert_int_equal(begin(f, slow.etag, true), -EAGAIN);
	assert_true(fake_source_await_held(&f->cell.node.hub, 1));
	for (uint32_t i = 0; i < 3; i++)
		cell_put(&f->cell, &f->what, i, SEED, NULL);
	assert_int_equal(ask(f, VOUCHER, &d), 0);
	for (unsigned i = 0; i < others; i++) {
		snprintf(etag, sizeof(etag), "%064x", i);
		while ((r = begin(f, etag, false)) == -EAGAIN)
			sched_yield();
		assert_int_equal(r, -ENOENT);
	}
	r = begin(f, f->what.etag, false);
	fake_source_calm(&f->cell.node.hub);
	fake_source_release(&f->cell.node.hub);
	return r == 0;
}

static void while_one_is_being_made_no_more_answers_are_remembered_than_may_be(void **state)
{
	assert_false(is_remembered(*state, DIGEST_ANSWERS_MAX));
}

static void as_many_are_as_may_be(void **state)
{
	assert_true(is_remembered(*state, DIGEST_ANSWERS_MAX - 2));
}

/* How long a witness took, with a limit for what nobody waits for. */
static int64_t witness_ms(struct fixture *f, uint64_t limit)
{
	struct throttle_limits limits = { .of[URGENCY_BACKGROUND] = limit };
	int64_t began_ms = clock_ms();
	struct wire_digests d;

	cell_put(&f->cell, &f->what, 0, SEED, MEMBER);
	fetch_set_limits(f->cell.node.fetch, &limits);
	assert_int_equal(ask(f, WITNESS, &d), 0);
	assert_tells(&d, 2, SEED);
	return clock_ms() - began_ms;
}

static void a_witness_pays_like_what_nobody_waits_for(void **state)
{
	assert_in_range(witness_ms(*state, SIZE), 700, 5000);
}

static void without_a_limit_it_pays_nothing(void **state)
{
	assert_in_range(witness_ms(*state, 0), 0, 600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_vouches_for_what_a_hub_gave_and_for_nothing_else,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_has_nothing_says_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_was_found_out_is_said_to_who_comes_again_later,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_holds_what_members_gave_too, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			of_what_it_knows_to_be_otherwise_it_does_not_say_that_it_holds_it, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			of_what_it_has_dropped_once_it_does_not_say_what_it_holds, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(what_was_dropped_whole_it_says_that_it_held, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(unless_it_has_come_again_otherwise, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_it_has_again_as_it_was_it_held_always, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_witness_says_what_a_hub_gives_whatever_it_has,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_witness_has_what_it_is_asked_for_and_that_once,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_it_has_seen_as_a_witness_it_vouches_for,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(of_what_is_sealed_a_witness_asks_nobody, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			while_one_is_being_made_no_more_answers_are_remembered_than_may_be, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(as_many_are_as_may_be, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_asks_what_is_here_waits_for_no_witness, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_witness_pays_like_what_nobody_waits_for, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(without_a_limit_it_pays_nothing, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
