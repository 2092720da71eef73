/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/shelf.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/base/log.h"
#include "tests/workdir.h"

#define MAX_BYTES (UINT64_C(64) << 10)
#define HELD_MAX (32u << 20)

struct world {
	struct workdir dir;
	struct catalog *catalog;
	struct shelf *shelf;
	uint64_t max_bytes;
};

static void start(struct world *w)
{
	CLEANUP(buf_free) struct buf why = { 0 };

	assert_int_equal(catalog_open(w->dir.path, &w->catalog, &why), 0);
	assert_int_equal(shelf_new(w->catalog, w->max_bytes, &w->shelf), 0);
}

static void stop(struct world *w)
{
	shelf_free(w->shelf);
	catalog_close(w->catalog);
}

static void restart(struct world *w)
{
	stop(w);
	start(w);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	workdir_init(&w->dir);
	w->max_bytes = MAX_BYTES;
	start(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	stop(w);
	workdir_fini(&w->dir);
	free(w);
	return 0;
}

/* The name of document number i. */
static const char *name(unsigned i)
{
	static char text[DOC_NAME_HEX + 1];

	snprintf(text, sizeof(text), "%064x", i);
	return text;
}

static int put(struct world *w, unsigned i, const char *text, const char *next)
{
	CLEANUP(buf_free) struct buf t = { 0 };
	CLEANUP(buf_free) struct buf n = { 0 };

	buf_add_str(&t, text);
	buf_add_str(&n, next);
	return shelf_put(w->shelf, name(i), &t, &n);
}

/* Puts a document of about that size. */
static int put_large(struct world *w, unsigned i, size_t len)
{
	CLEANUP(freep) char *text = malloc(len + 1);

	assert_non_null(text);
	memset(text, '1', len);
	text[len] = '\0';
	return put(w, i, text, "");
}

static bool has(struct world *w, unsigned i)
{
	struct shelf_note note;
	int r = shelf_find(w->shelf, name(i), &note);

	assert_true(r == 0 || r == -ENOENT);
	return r == 0;
}

static void check(struct world *w, unsigned i, const char *text, const char *next)
{
	CLEANUP(buf_free) struct buf t = { 0 };
	CLEANUP(buf_free) struct buf n = { 0 };

	assert_int_equal(shelf_get(w->shelf, name(i), &t, &n), text ? 0 : -ENOENT);
	assert_string_equal(buf_str(&t), text ? text : "");
	assert_string_equal(buf_str(&n), text ? next : "");
}

static int keep_row(void *arg, const struct catalog_doc *doc)
{
	struct catalog_doc *ret = arg;

	*ret = *doc;
	return 0;
}

static void an_empty_shelf_has_nothing(void **state)
{
	struct world *w = *state;

	assert_false(has(w, 1));
	check(w, 1, NULL, NULL);
	assert_false(shelf_asks(w->shelf, name(1)));
	assert_false(shelf_failed(w->shelf, name(1)));
	assert_int_equal(shelf_drop(w->shelf, name(1)), 0);
}

static void a_document_outlives_the_process(void **state)
{
	struct world *w = *state;

	assert_int_equal(put(w, 1, "{\"a\":1}", "/commits/main?p=1"), 0);
	assert_int_equal(put(w, 2, "[]", ""), 0);
	check(w, 1, "{\"a\":1}", "/commits/main?p=1");
	restart(w);
	assert_true(has(w, 1));
	check(w, 1, "{\"a\":1}", "/commits/main?p=1");
	check(w, 2, "[]", "");
	assert_int_equal(put(w, 1, "{\"a\":2}", ""), 0);
	restart(w);
	assert_true(has(w, 1));
	check(w, 1, "{\"a\":2}", "");
}

static void what_is_dropped_does_not_come_back(void **state)
{
	struct world *w = *state;

	assert_int_equal(put(w, 1, "1", ""), 0);
	assert_int_equal(put(w, 2, "2", ""), 0);
	assert_int_equal(shelf_drop(w->shelf, name(1)), 0);
	assert_false(has(w, 1));
	restart(w);
	assert_false(has(w, 1));
	check(w, 2, "2", "");
}

static void notes_tell_how_it_went(void **state)
{
	struct world *w = *state;
	struct shelf_note note = { 0 };
	int64_t before = clock_ms();

	assert_int_equal(put(w, 1, "1", ""), 0);
	assert_int_equal(shelf_find(w->shelf, name(1), &note), 0);
	assert_true(note.checked_ms >= before && note.age_ms >= 0 && note.age_ms < 5000);
	assert_true(note.failed_ms == 0 && note.asked_ms == 0);
	assert_true(shelf_asks(w->shelf, name(1)));
	assert_int_equal(shelf_find(w->shelf, name(1), &note), 0);
	assert_true(note.asked_ms >= before && note.failed_ms == 0);
	assert_true(shelf_failed(w->shelf, name(1)));
	assert_int_equal(shelf_find(w->shelf, name(1), &note), 0);
	assert_true(note.asked_ms == 0 && note.failed_ms >= before);
	/* An answer, the same or another one, ends both. */
	for (unsigned i = 0; i < 2; i++) {
		assert_true(shelf_failed(w->shelf, name(1)));
		assert_true(shelf_asks(w->shelf, name(1)));
		assert_int_equal(put(w, 1, i ? "2" : "1", ""), 0);
		assert_int_equal(shelf_find(w->shelf, name(1), &note), 0);
		assert_true(note.failed_ms == 0 && note.asked_ms == 0);
	}
}

static void ages_count_across_restarts(void **state)
{
	struct catalog_doc row = { .checked_s = clock_wall_s() - 1000, .used_s = 1, .bytes = 3 };
	struct world *w = *state;
	struct shelf_note note = { 0 };

	assert_int_equal(put(w, 1, "1", ""), 0);
	memcpy(row.name, name(1), sizeof(row.name));
	shelf_free(w->shelf);
	assert_int_equal(catalog_note_docs(w->catalog, &row, 1), 0);
	assert_int_equal(shelf_new(w->catalog, w->max_bytes, &w->shelf), 0);
	assert_int_equal(shelf_find(w->shelf, name(1), &note), 0);
	assert_in_range(note.age_ms, 1000000, 1010000);
	/* A clock that was wrong makes no document young. */
	row.checked_s += 5000;
	shelf_free(w->shelf);
	assert_int_equal(catalog_note_docs(w->catalog, &row, 1), 0);
	assert_int_equal(shelf_new(w->catalog, w->max_bytes, &w->shelf), 0);
	assert_int_equal(shelf_find(w->shelf, name(1), &note), 0);
	assert_true(note.age_ms == CLOCK_FOREVER);
	check(w, 1, "1", "");
}

static void what_has_not_changed_is_not_written(void **state)
{
	struct world *w = *state;
	struct catalog_doc old = { .checked_s = 77, .used_s = 77, .bytes = 2 }, row = { 0 };

	assert_int_equal(put(w, 1, "1", ""), 0);
	memcpy(old.name, name(1), sizeof(old.name));
	assert_int_equal(catalog_note_docs(w->catalog, &old, 1), 0);
	assert_int_equal(put(w, 1, "1", ""), 0);
	assert_int_equal(catalog_each_doc(w->catalog, keep_row, &row), 0);
	assert_int_equal(row.checked_s, 77);
	/* The stop notes that it was asked for, and used. */
	restart(w);
	assert_int_equal(catalog_each_doc(w->catalog, keep_row, &row), 0);
	assert_true(row.checked_s > 77 && row.used_s > 77);
	/* The twin: another text, or another next page. */
	assert_int_equal(put(w, 1, "1", "/n"), 0);
	check(w, 1, "1", "/n");
	assert_int_equal(put(w, 1, "2", "/n"), 0);
	check(w, 1, "2", "/n");
}

static void those_used_longest_ago_go_first(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(put_large(w, i, 8000), 0);
	for (unsigned i = 0; i < 7; i++)
		assert_true(has(w, i)); /* a look is no use */
	{
		CLEANUP(buf_free) struct buf t = { 0 };
		CLEANUP(buf_free) struct buf n = { 0 };

		assert_int_equal(shelf_get(w->shelf, name(0), &t, &n), 0);
	}
	assert_int_equal(put_large(w, 7, 16000), 0);
	assert_true(has(w, 0));
	assert_false(has(w, 1));
	assert_false(has(w, 2));
	assert_true(has(w, 3) && has(w, 7));
	restart(w);
	assert_true(has(w, 0) && has(w, 3) && has(w, 7));
	assert_false(has(w, 1) || has(w, 2));
}

static void one_that_grows_makes_room_for_itself(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(put_large(w, i, 8000), 0);
	assert_int_equal(put_large(w, 0, 20000), 0);
	assert_true(has(w, 0) && has(w, 3));
	assert_false(has(w, 1));
	/* It is counted once: nothing goes when it comes again. */
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(put_large(w, 0, 20000 + i), 0);
	assert_true(has(w, 3) && has(w, 6));
}

static void the_order_of_use_outlives_the_process(void **state)
{
	struct catalog_doc rows[7];
	struct world *w = *state;

	for (unsigned i = 0; i < 7; i++) {
		assert_int_equal(put_large(w, i, 8000), 0);
		rows[i] = (struct catalog_doc){ .used_s = 100 - i, .checked_s = 1, .bytes = 8001 };
		memcpy(rows[i].name, name(i), sizeof(rows[i].name));
	}
	shelf_free(w->shelf);
	assert_int_equal(catalog_note_docs(w->catalog, rows, 7), 0);
	assert_int_equal(shelf_new(w->catalog, w->max_bytes, &w->shelf), 0);
	assert_true(has(w, 0));
	assert_int_equal(put_large(w, 7, 8000), 0);
	assert_false(has(w, 6));
	assert_true(has(w, 0) && has(w, 5));
}

static void a_smaller_limit_holds_after_the_next_one(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(put_large(w, i, 8000), 0);
	w->max_bytes = 20000;
	restart(w);
	assert_true(has(w, 0)); /* until something comes */
	assert_int_equal(put_large(w, 7, 8000), 0);
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(has(w, i), i == 6);
}

/* A note without its text, as a damaged index leaves it. */
static void a_lost_text_was_never_there(void **state)
{
	struct catalog_doc row = { .checked_s = 1, .used_s = 1, .bytes = 3 };
	struct world *w = *state;

	memcpy(row.name, name(1), sizeof(row.name));
	assert_int_equal(catalog_note_docs(w->catalog, &row, 1), 0);
	assert_true(has(w, 1));
	check(w, 1, NULL, NULL);
	assert_false(has(w, 1));
	assert_int_equal(put(w, 1, "1", ""), 0);
	check(w, 1, "1", "");
}

/* The index is copied at the start unless its digest is right. */
static void documents_are_saved_from_an_index_that_was_not_closed(void **state)
{
	struct world *w = *state;

	assert_int_equal(put(w, 1, "1", "/n"), 0);
	assert_int_equal(put_large(w, 2, 20000), 0);
	stop(w);
	assert_int_equal(unlinkat(w->dir.dirfd, "sound", 0), 0);
	start(w);
	assert_true(has(w, 1) && has(w, 2));
	check(w, 1, "1", "/n");
}

/* Flips one bit of the index in each round: what is found is right, or was never there. */
static void a_flipped_bit_gives_no_wrong_document(void **state)
{
	CLEANUP(buf_free) struct buf good = { 0 };
	struct world *w = *state;
	unsigned found = 0, rounds = 40;
	unsigned long long random = 4711;

	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(put(w, i, "{\"abc\":[1,2,3]}", "/next"), 0);
	stop(w);
	assert_int_equal(file_read_all(w->dir.dirfd, "data.mdb", 100 << 20, &good), 0);
	for (unsigned round = 0; round < rounds; round++) {
		size_t at;

		random = random * 6364136223846793005 + 1442695040888963407;
		at = (random >> 20) % good.len;
		good.data[at] = (char)(good.data[at] ^ (1 << (round % 8)));
		assert_int_equal(file_replace(w->dir.dirfd, "data.mdb", good.data, good.len, 0600),
				 0);
		good.data[at] = (char)(good.data[at] ^ (1 << (round % 8)));
		start(w);
		for (unsigned i = 0; i < 4; i++) {
			CLEANUP(buf_free) struct buf t = { 0 };
			CLEANUP(buf_free) struct buf n = { 0 };

			if (!has(w, i) || shelf_get(w->shelf, name(i), &t, &n) < 0)
				continue;
			assert_string_equal(buf_str(&t), "{\"abc\":[1,2,3]}");
			assert_string_equal(buf_str(&n), "/next");
			found++;
		}
		stop(w);
	}
	assert_true(found > rounds * 2);
	start(w);
}

/* From now on files can(not) grow past a size. */
static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void what_a_full_disk_does_not_take_is_known_until_the_stop(void **state)
{
	struct world *w = *state;

	assert_int_equal(put(w, 1, "1", "/old"), 0);
	limit_files(4096);
	assert_int_equal(put(w, 1, "2", "/new"), 0);
	assert_int_equal(put(w, 2, "3", ""), 0);
	check(w, 1, "2", "/new");
	check(w, 2, "3", "");
	limit_files(RLIM_INFINITY);
	restart(w);
	assert_true(has(w, 1));
	check(w, 1, "1", "/old");
	assert_false(has(w, 2));
}

static void when_the_disk_has_room_again_it_is_written(void **state)
{
	struct world *w = *state;

	assert_int_equal(put(w, 1, "1", ""), 0);
	limit_files(4096);
	assert_int_equal(put(w, 1, "2", ""), 0);
	limit_files(RLIM_INFINITY);
	/* What the index says is what the hub said before, and says again. */
	assert_int_equal(put(w, 1, "1", ""), 0);
	check(w, 1, "1", "");
	assert_int_equal(put(w, 1, "2", ""), 0);
	restart(w);
	assert_true(has(w, 1));
	check(w, 1, "2", "");
}

static void no_more_is_held_in_memory_than_allowed(void **state)
{
	struct world *w = *state;
	unsigned held = 0;

	w->max_bytes = UINT64_C(1) << 30;
	restart(w);
	limit_files(4096);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(put_large(w, i, HELD_MAX / 8), 0);
	limit_files(RLIM_INFINITY);
	for (unsigned i = 0; i < 12; i++)
		held += has(w, i);
	assert_int_equal(held, 7); /* each is a few bytes more than an eighth */
	assert_true(has(w, 11));
	assert_false(has(w, 0));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_empty_shelf_has_nothing),
		TEST(a_document_outlives_the_process),
		TEST(what_is_dropped_does_not_come_back),
		TEST(notes_tell_how_it_went),
		TEST(ages_count_across_restarts),
		TEST(what_has_not_changed_is_not_written),
		TEST(those_used_longest_ago_go_first),
		TEST(one_that_grows_makes_room_for_itself),
		TEST(the_order_of_use_outlives_the_process),
		TEST(a_smaller_limit_holds_after_the_next_one),
		TEST(a_lost_text_was_never_there),
		TEST(documents_are_saved_from_an_index_that_was_not_closed),
		TEST(a_flipped_bit_gives_no_wrong_document),
		TEST(what_a_full_disk_does_not_take_is_known_until_the_stop),
		TEST(when_the_disk_has_room_again_it_is_written),
		TEST(no_more_is_held_in_memory_than_allowed),
	};

	signal(SIGXFSZ, SIG_IGN); /* EFBIG instead */
	log_set_level(LOG_LEVEL_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
