/* SPDX-License-Identifier: Apache-2.0 */
/* What a node says of the digests of a segment, and what that costs its hub. */
#include "daemon/peer/testimony.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
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

static int ask(struct fixture *f, enum as as, struct wire_digests *ret)
{
	struct wire_ask ask = {
		.digests = true,
		.witness = as == WITNESS,
		.held = as == HOLDER,
		.size = SIZE,
		.len = SIZE,
		.lfs = true,
		.repo = f->what.repo,
		.path = f->what.path,
	};
	int64_t until_ms = clock_ms() + 10000;
	int r;

	memcpy(ask.etag, f->what.etag, sizeof(ask.etag));
	memcpy(ask.commit, f->what.commit, sizeof(ask.commit));
	while ((r = testimony_ask(f->cell.testimony, &ask, ret)) == -EAGAIN &&
	       clock_ms() < until_ms)
		clock_sleep_ms(10);
	return r;
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
static void of_what_it_has_dropped_once_it_does_not_say_what_it_holds(void **state)
{
	struct fixture *f = *state;
	struct wire_digests d;

	cell_put(&f->cell, &f->what, 1, OTHER, MEMBER);
	evidence_drop(f->cell.evidence, f->what.etag, 1, (uint8_t[CHUNK_LIST_DIGEST]){ 0 }, true);
	evidence_forget(f->cell.evidence, f->what.etag);
	cell_put(&f->cell, &f->what, 0, SEED, MEMBER);
	cell_put(&f->cell, &f->what, 1, SEED, MEMBER);
	assert_int_equal(ask(f, HOLDER, &d), 0);
	assert_tells(&d, 0, SEED);
	assert_tells(&d, 1, 0);
}

static void what_it_has_again_as_it_was_it_held_always(void **state)
{
	struct fixture *f = *state;
	uint8_t was[CHUNK_LIST_DIGEST];
	struct wire_digests d;

	cell_digest(SEED, f->what.file.size, 1, was);
	cell_put(&f->cell, &f->what, 1, SEED, MEMBER);
	evidence_drop(f->cell.evidence, f->what.etag, 1, was, false);
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
	assert_int_equal(fake_source_bytes(&f->cell.hub), SIZE); /* for all that asked */
}

/* How long a witness took, with a limit for what nobody waits for. */
static int64_t witness_ms(struct fixture *f, uint64_t limit)
{
	struct throttle_limits limits = { .of[URGENCY_BACKGROUND] = limit };
	int64_t began_ms = clock_ms();
	struct wire_digests d;

	cell_put(&f->cell, &f->what, 0, SEED, MEMBER);
	fetch_set_limits(f->cell.fetch, &limits);
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
		cmocka_unit_test_setup_teardown(it_holds_what_members_gave_too, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			of_what_it_has_dropped_once_it_does_not_say_what_it_holds, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(what_it_has_again_as_it_was_it_held_always, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_witness_says_what_a_hub_gives_whatever_it_has,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_witness_pays_like_what_nobody_waits_for, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(without_a_limit_it_pays_nothing, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
