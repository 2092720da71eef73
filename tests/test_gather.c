/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/xet/gather.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define CHUNK 4 /* bytes */

/* Chunk 2 of part 0 is "a2a2". */
static const char *chunk(uint32_t part, uint32_t number)
{
	static char text[CHUNK + 1];

	for (size_t i = 0; i < CHUNK; i += 2) {
		text[i] = (char)('a' + part);
		text[i + 1] = (char)('0' + number);
	}
	return text;
}

struct fixture {
	struct rebuild plan;
	struct buf got;
	struct gather *g;
	int says; /* what the receiver answers */
};

static int take(void *arg, const void *data, size_t len)
{
	struct fixture *f = arg;

	assert_int_equal(buf_add(&f->got, data, len), 0);
	return f->says;
}

static void add_term(struct fixture *f, uint32_t part, uint32_t from, uint32_t to)
{
	struct rebuild_term t = { part, from, to, (uint64_t)(to - from) * CHUNK };

	assert_int_equal(buf_add(&f->plan.terms, &t, sizeof(t)), 0);
}

static void begin(struct fixture *f, uint64_t skip, uint64_t len)
{
	f->plan.skip = skip;
	assert_int_equal(gather_new(&f->plan, len, take, f, &f->g), 0);
}

static int add_held(struct fixture *f, uint32_t part, uint32_t number, bool hold)
{
	return gather_add(f->g, part, number, chunk(part, number), CHUNK, hold);
}

/* Chunks [from, to) of a part come. */
static void come(struct fixture *f, uint32_t part, uint32_t from, uint32_t to)
{
	for (; from < to; from++)
		assert_int_equal(add_held(f, part, from, false), 0);
}

static void end(struct fixture *f, const char *want)
{
	uint32_t part;

	assert_string_equal(buf_str(&f->got), want);
	assert_true(gather_done(f->g, &part));
	gather_free(f->g);
	buf_free(&f->got);
	rebuild_fini(&f->plan);
}

static uint32_t next(const struct fixture *f)
{
	uint32_t part;

	assert_false(gather_done(f->g, &part));
	return part;
}

static void test_what_is_next_goes_on_at_once(void **state UNUSED)
{
	struct fixture f = { .says = 0 };

	add_term(&f, 0, 1, 4);
	begin(&f, 3, 6);
	come(&f, 0, 0, 2);
	assert_string_equal(buf_str(&f.got), "1");
	come(&f, 0, 2, 4);
	end(&f, "1a2a2a");
}

static void test_what_comes_later_in_the_file_waits(void **state UNUSED)
{
	struct fixture f = { .says = 0 };

	add_term(&f, 0, 0, 1);
	add_term(&f, 1, 0, 1);
	add_term(&f, 0, 1, 2);
	add_term(&f, 1, 1, 2);
	begin(&f, 0, 4 * CHUNK);
	come(&f, 0, 0, 2);
	assert_int_equal(next(&f), 1);
	come(&f, 1, 0, 1);
	assert_string_equal(buf_str(&f.got), "a0a0b0b0a1a1");
	come(&f, 1, 1, 2);
	end(&f, "a0a0b0b0a1a1b1b1");
}

static void test_what_repeats_itself_comes_once(void **state UNUSED)
{
	struct fixture f = { .says = 0 };

	for (unsigned i = 0; i < 3; i++)
		add_term(&f, 0, 0, 2);
	begin(&f, 0, 6 * CHUNK);
	come(&f, 0, 0, 2);
	end(&f, "a0a0a1a1a0a0a1a1a0a0a1a1");
}

static void test_what_is_held_waits_until_it_may_go(void **state UNUSED)
{
	struct fixture f = { .says = 0 };

	add_term(&f, 0, 0, 2);
	begin(&f, 0, 2 * CHUNK);
	assert_int_equal(add_held(&f, 0, 0, true), 0);
	assert_int_equal(add_held(&f, 0, 1, true), 0);
	assert_string_equal(buf_str(&f.got), "");
	assert_int_equal(gather_go(f.g), 0);
	end(&f, "a0a0a1a1");
}

static void test_terms_are_as_long_as_they_say(void **state UNUSED)
{
	for (int more = -1; more <= 1; more++) {
		struct fixture f = { .says = 0 };
		struct rebuild_term t = { 0, 0, 2, (uint64_t)(2 * CHUNK + more) };

		assert_int_equal(buf_add(&f.plan.terms, &t, sizeof(t)), 0);
		begin(&f, 0, 2 * CHUNK - 1);
		come(&f, 0, 0, 1);
		assert_int_equal(add_held(&f, 0, 1, false), more ? -EBADMSG : 0);
		assert_string_equal(buf_str(&f.got), more ? "a0a0" : "a0a0a1a");
		gather_free(f.g);
		buf_free(&f.got);
		rebuild_fini(&f.plan);
	}
}

static void test_no_more_waits_than_a_few_mib(void **state UNUSED)
{
	static char bytes[128 * 1024];
	struct fixture f = { .says = 0 };
	int r = 0;

	add_term(&f, 1, 0, 1);
	add_term(&f, 0, 0, 100);
	add_term(&f, 1, 1, 2);
	begin(&f, 0, 2 * CHUNK);
	for (uint32_t i = 0; r == 0 && i < 100; i++) {
		r = gather_add(f.g, 0, i, bytes, sizeof(bytes), false);
		assert_true(r == 0 || i == 31);
	}
	assert_int_equal(r, -E2BIG);
	gather_free(f.g);
	rebuild_fini(&f.plan);
}

/* A store that means harm: chunks of a byte, which cost more than they are. */
static void test_what_waits_is_counted_with_what_it_costs(void **state UNUSED)
{
	const uint32_t all = 100000;
	struct fixture f = { .says = 0 };
	uint32_t i = 0;
	int r = 0;

	add_term(&f, 0, 0, all);
	begin(&f, 0, all);
	for (; r == 0 && i < all; i++)
		r = gather_add(f.g, 0, i, "x", 1, true);
	assert_int_equal(r, -E2BIG);
	assert_true(i > 50000);
	gather_free(f.g);
	rebuild_fini(&f.plan);
}

/* Its store tells of all of the last term, not of what is asked for of it; the twin is the same
 * where it is wanted. */
static void test_what_is_behind_the_range_does_not_wait(void **state UNUSED)
{
	static char bytes[128 * 1024];
	const uint32_t chunks = 100;

	for (int twin = 0; twin < 2; twin++) {
		struct fixture f = { .says = 0 };
		struct rebuild_term t = { 0, 0, chunks, chunks * sizeof(bytes) };
		uint32_t i = 0;
		int r = 0;

		add_term(&f, 1, 0, 1);
		assert_int_equal(buf_add(&f.plan.terms, &t, sizeof(t)), 0);
		if (twin)
			add_term(&f, 1, 1, 2);
		begin(&f, 0, CHUNK + 3 * sizeof(bytes) + 1);
		for (; r == 0 && i < chunks; i++)
			r = gather_add(f.g, 0, i, bytes, sizeof(bytes), false);
		assert_int_equal(r, twin ? -E2BIG : 0);
		if (!twin)
			come(&f, 1, 0, 1);
		assert_int_equal(f.got.len, twin ? 0 : CHUNK + 3 * sizeof(bytes) + 1);
		gather_free(f.g);
		buf_free(&f.got);
		rebuild_fini(&f.plan);
	}
}

static void test_who_has_enough_is_given_no_more(void **state UNUSED)
{
	struct fixture f = { .says = -ECANCELED };

	add_term(&f, 0, 0, 2);
	begin(&f, 0, 2 * CHUNK);
	assert_int_equal(add_held(&f, 0, 0, false), -ECANCELED);
	assert_string_equal(buf_str(&f.got), "a0a0");
	gather_free(f.g);
	buf_free(&f.got);
	rebuild_fini(&f.plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_next_goes_on_at_once),
		cmocka_unit_test(test_what_comes_later_in_the_file_waits),
		cmocka_unit_test(test_what_repeats_itself_comes_once),
		cmocka_unit_test(test_what_is_held_waits_until_it_may_go),
		cmocka_unit_test(test_terms_are_as_long_as_they_say),
		cmocka_unit_test(test_no_more_waits_than_a_few_mib),
		cmocka_unit_test(test_what_waits_is_counted_with_what_it_costs),
		cmocka_unit_test(test_what_is_behind_the_range_does_not_wait),
		cmocka_unit_test(test_who_has_enough_is_given_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
