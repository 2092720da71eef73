/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/landing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/cache/chunk.h"
#include "tests/fake_source.h"
#include "tests/workdir.h"

#define MIB CHUNK_BYTES
#define CHUNKS 3
#define SIZE (CHUNKS * MIB - 500)
#define ETAG "00112233445566778899aabbccddeeff00112233"
#define SEED 5
#define OTHER 6

struct fixture {
	struct workdir dir;
	struct store *store;
	struct pulls pulls;
	struct pull pull;
	struct run run;
	struct landing landing;
	int rooms; /* that can be made */
	unsigned asked;
};

static int make_room(void *arg, int r UNUSED)
{
	struct fixture *f = arg;

	f->asked++;
	return f->rooms-- > 0;
}

static void begin(struct fixture *f, bool direct, uint64_t start, uint64_t end)
{
	f->run = (struct run){ .direct = direct, .start = start, .pos = start, .end = end };
	f->landing = (struct landing){
		.run = &f->run,
		.pull = &f->pull,
		.make_room = make_room,
		.arg = f,
		.pos = start,
	};
	assert_int_equal(landing_init(&f->landing), 0);
}

static int set_up(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	workdir_init(&f->dir);
	pulls_init(&f->pulls);
	assert_int_equal(store_open(f->dir.path, "me", &f->store, &why), 0);
	assert_int_equal(store_blob(f->store, ETAG, SIZE, false, &f->pull.blob), 0);
	f->pull.all = &f->pulls;
	begin(f, false, 0, SIZE);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	landing_fini(&f->landing);
	free(f->landing.bytes);
	blob_unref(f->pull.blob);
	store_close(f->store);
	pulls_fini(&f->pulls);
	workdir_fini(&f->dir);
	free(f);
	return 0;
}

/* The next bytes, of that seed. */
static int put(struct fixture *f, uint64_t seed, size_t len, uint64_t end)
{
	CLEANUP(freep) char *bytes = malloc(len);

	assert_non_null(bytes);
	fake_bytes(seed, f->landing.pos, bytes, len);
	return landing_put(&f->landing, bytes, len, end);
}

static bool is_there(struct fixture *f, uint32_t i, uint64_t seed)
{
	static char is[MIB], must[MIB];
	size_t len = (size_t)(chunk_end(i, SIZE) - chunk_start(i));

	if (!blob_has(f->pull.blob, i))
		return false;
	fake_bytes(seed, chunk_start(i), must, len);
	return blob_read(f->pull.blob, is, len, chunk_start(i)) == 0 && !memcmp(is, must, len) &&
	       blob_check(f->pull.blob, i);
}

/* ---- in the cache ---- */

static void bytes_make_chunks_wherever_they_are_cut(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(put(f, SEED, MIB - 7, SIZE), 0);
	assert_false(blob_has(f->pull.blob, 0));
	assert_int_equal(put(f, SEED, 7 + MIB, SIZE), 0);
	assert_true(is_there(f, 0, SEED));
	assert_true(is_there(f, 1, SEED));
	assert_false(blob_has(f->pull.blob, 2));
	assert_int_equal(put(f, SEED, MIB - 500, SIZE), 0);
	assert_true(is_there(f, 2, SEED));
	assert_int_equal(f->landing.pos, SIZE);
}

static void nothing_lands_behind_the_end(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(put(f, SEED, 2 * MIB, MIB), 0);
	assert_int_equal(f->landing.pos, MIB);
	assert_true(is_there(f, 0, SEED));
	assert_false(blob_has(f->pull.blob, 1));
}

static void a_chunk_that_is_not_whole_is_worth_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(put(f, SEED, MIB + 1000, SIZE), 0);
	f->run.pos = MIB + 1000;
	landing_fini(&f->landing);
	assert_int_equal(f->run.pos, MIB);
	assert_false(blob_has(f->pull.blob, 1));
	assert_true(is_there(f, 0, SEED));
	begin(f, false, MIB, SIZE);
	assert_int_equal(put(f, SEED, MIB, SIZE), 0);
	assert_true(is_there(f, 1, SEED));
}

static void what_is_taken_back_comes_from_elsewhere(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(put(f, SEED, MIB, SIZE), 0);
	assert_int_equal(put(f, OTHER, 5000, SIZE), 0);
	landing_take_back(&f->landing);
	assert_int_equal(f->landing.pos, MIB);
	assert_int_equal(put(f, SEED, MIB, SIZE), 0);
	assert_true(is_there(f, 1, SEED));
	landing_take_back(&f->landing); /* of what is whole nothing */
	assert_int_equal(f->landing.pos, 2 * MIB);
}

/* ---- past it ---- */

static void a_direct_run_keeps_its_bytes_in_memory(void **state)
{
	struct fixture *f = *state;
	static char must[3000];

	landing_fini(&f->landing);
	begin(f, true, 1000, 4000);
	assert_int_equal(put(f, SEED, 2000, 4000), 0);
	assert_int_equal(put(f, SEED, 2000, 4000), 0); /* more than is wanted */
	assert_int_equal(f->landing.pos, 4000);
	fake_bytes(SEED, 1000, must, sizeof(must));
	assert_memory_equal(f->landing.bytes, must, sizeof(must));
	assert_false(blob_may_have(f->pull.blob, 0));
}

/* ---- room ---- */

static void room_is_made_until_there_is_none(void **state)
{
	struct fixture *f = *state;

	f->rooms = 2;
	assert_true(landing_make_room(&f->landing, ERR_FULL));
	assert_true(landing_make_room(&f->landing, -ENOSPC));
	assert_false(landing_make_room(&f->landing, ERR_FULL));
	assert_false(landing_make_room(&f->landing, ERR_FULL)); /* nobody is asked again */
	assert_int_equal(f->asked, 3);
	assert_false(f->run.paused);
}

static void other_failures_need_none(void **state)
{
	struct fixture *f = *state;

	f->rooms = 1;
	assert_false(landing_make_room(&f->landing, -EIO));
	assert_false(landing_make_room(&f->landing, 0));
	assert_int_equal(f->asked, 0);
}

static void the_time_of_a_pause_is_not_the_sources(void **state)
{
	struct fixture *f = *state;

	landing_pause(&f->landing, true);
	assert_true(f->run.paused);
	clock_sleep_ms(30);
	landing_pause(&f->landing, false);
	assert_false(f->run.paused);
	assert_in_range(f->landing.held_ms, 30, 5000);
	assert_in_range(clock_ms() - f->run.moved_ms, 0, 5000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_make_chunks_wherever_they_are_cut),
		TEST(nothing_lands_behind_the_end),
		TEST(a_chunk_that_is_not_whole_is_worth_nothing),
		TEST(what_is_taken_back_comes_from_elsewhere),
		TEST(a_direct_run_keeps_its_bytes_in_memory),
		TEST(room_is_made_until_there_is_none),
		TEST(other_failures_need_none),
		TEST(the_time_of_a_pause_is_not_the_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
