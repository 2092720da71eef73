/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/ready.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/lock.h"

#define ROOM 40000
#define TEXT_BYTES 5000

static int set_up(void **state)
{
	struct ready *r;

	assert_int_equal(ready_new(ROOM, &r), 0);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	ready_free(*state);
	return 0;
}

/* A text of so many bytes that packs well, another for each seed. */
static struct ready_text *put(struct ready *r, const char *key, unsigned seed, size_t len,
			      uint64_t version)
{
	const struct ready_note note = { .version = version, .next = seed };
	struct buf text = { 0 };
	struct ready_text *t;

	for (unsigned i = 0; text.len < len; i++)
		buf_printf(&text, "{\"path\":\"file-%u-%u\"},", seed, i);
	text.data[text.len = len] = '\0';
	assert_int_equal(ready_put(r, key, &text, &note, &t), 0);
	assert_null(text.data);
	return t;
}

static bool is_there(struct ready *r, const char *key)
{
	CLEANUP(ready_unrefp) struct ready_text *t = ready_find(r, key);

	return t;
}

/* ---- keeping ---- */

static void what_was_put_is_found_with_its_note(void **state)
{
	CLEANUP(ready_unrefp) struct ready_text *put_in = put(*state, "a", 7, TEXT_BYTES, 3);
	CLEANUP(ready_unrefp) struct ready_text *found = ready_find(*state, "a");
	const void *data;
	size_t len;

	assert_ptr_equal(found, put_in);
	assert_int_equal(ready_note_of(found)->version, 3);
	assert_int_equal(ready_note_of(found)->next, 7);
	assert_int_equal(ready_bytes(found, READY_PLAIN, &data, &len), READY_PLAIN);
	assert_int_equal(len, TEXT_BYTES);
	assert_memory_equal(data, "{\"path\":\"file-7-0\"},", 20);
	assert_false(is_there(*state, "b"));
}

static void another_text_takes_the_place_of_the_first_which_stays_with_who_has_it(void **state)
{
	CLEANUP(ready_unrefp) struct ready_text *old = put(*state, "a", 1, TEXT_BYTES, 1);
	CLEANUP(ready_unrefp) struct ready_text *new = put(*state, "a", 2, TEXT_BYTES, 2);
	CLEANUP(ready_unrefp) struct ready_text *found = ready_find(*state, "a");
	const void *data;
	size_t len;

	assert_ptr_equal(found, new);
	ready_bytes(old, READY_PLAIN, &data, &len);
	assert_memory_equal(data, "{\"path\":\"file-1-0\"},", 20);
}

static void what_was_used_longest_ago_makes_room(void **state)
{
	char key[16];

	for (unsigned i = 0; i < 7; i++) {
		snprintf(key, sizeof(key), "%u", i);
		ready_unref(put(*state, key, i, TEXT_BYTES, 0));
	}
	assert_true(is_there(*state, "0")); /* and so it is used */
	ready_unref(put(*state, "one more", 9, TEXT_BYTES, 0));
	assert_true(is_there(*state, "0"));
	assert_false(is_there(*state, "1"));
	assert_true(is_there(*state, "6"));
}

static void packed_bytes_take_room_as_well(void **state)
{
	CLEANUP(ready_unrefp) struct ready_text *last = NULL;
	const void *data;
	size_t len;
	char key[16];

	for (unsigned i = 0; i < 7; i++) {
		snprintf(key, sizeof(key), "%u", i);
		ready_unref(put(*state, key, i, TEXT_BYTES + 450, 0));
	}
	assert_true(is_there(*state, "0"));
	last = ready_find(*state, "6");
	for (int p = READY_GZIP; p < READY_PACKINGS; p++)
		assert_int_equal(ready_bytes(last, (enum ready_packing)p, &data, &len), p);
	assert_true(is_there(*state, "6"));
	assert_false(is_there(*state, "1"));
}

static void what_is_very_large_is_given_but_not_kept(void **state)
{
	CLEANUP(ready_unrefp) struct ready_text *t = put(*state, "a", 1, ROOM / 2, 0);

	assert_non_null(t);
	assert_false(is_there(*state, "a"));
}

/* What was worked out beside that may be of what is gone. */
static void what_was_begun_before_all_was_forgotten_is_given_but_not_kept(void **state)
{
	const struct ready_note note = { .next = 1 };
	struct ready *r = *state;

	for (int late = 0; late < 2; late++) {
		CLEANUP(ready_unrefp) struct ready_text *t = NULL;
		uint64_t emptied = ready_emptied(r);
		struct buf text = { 0 };

		buf_printf(&text, "told");
		if (late)
			ready_empty(r);
		assert_int_equal(ready_put_since(r, emptied, "key", &text, &note, &t), 0);
		assert_non_null(t);
		assert_int_equal(is_there(r, "key"), !late);
	}
}

/* ---- packing ---- */

static void a_text_is_packed_once_and_its_tag_stays(void **state)
{
	CLEANUP(ready_unrefp) struct ready_text *t = put(*state, "a", 1, TEXT_BYTES, 0);
	CLEANUP(ready_unrefp) struct ready_text *same = put(*state, "b", 1, TEXT_BYTES, 0);
	CLEANUP(ready_unrefp) struct ready_text *other = put(*state, "c", 2, TEXT_BYTES, 0);
	const void *first, *again;
	size_t len;

	for (int p = READY_GZIP; p < READY_PACKINGS; p++) {
		assert_int_equal(ready_bytes(t, (enum ready_packing)p, &first, &len), p);
		assert_true(len < TEXT_BYTES / 2);
		assert_int_equal(ready_bytes(t, (enum ready_packing)p, &again, &len), p);
		assert_ptr_equal(first, again);
	}
	assert_string_equal(ready_etag(t), ready_etag(same));
	assert_string_not_equal(ready_etag(t), ready_etag(other));
	assert_memory_equal(ready_etag(t), "W/\"", 3);
}

static void what_gains_nothing_stays_plain(void **state)
{
	CLEANUP(ready_unrefp) struct ready_text *small = put(*state, "a", 1, 100, 0), *noise = NULL;
	const struct ready_note note = { 0 };
	struct buf text = { 0 };
	const void *data;
	size_t len;

	for (uint64_t i = 1; text.len < 2000; i++)
		buf_add_u64(&text, i * i * UINT64_C(0x9e3779b97f4a7c15) >> 7);
	for (size_t i = 0; i < text.len; i++)
		text.data[i] = (char)((uint8_t)text.data[i] ^ (uint8_t)((i * i * 40503u) >> 5));
	assert_int_equal(ready_put(*state, "noise", &text, &note, &noise), 0);
	for (int p = READY_GZIP; p < READY_PACKINGS; p++) {
		assert_int_equal(ready_bytes(small, (enum ready_packing)p, &data, &len),
				 READY_PLAIN);
		assert_int_equal(len, 100);
		assert_int_equal(ready_bytes(noise, (enum ready_packing)p, &data, &len),
				 READY_PLAIN);
	}
}

static void the_best_of_what_a_client_takes_is_chosen(UNUSED void **state)
{
	static const struct {
		const char *field;
		enum ready_packing wanted;
	} cases[] = {
		{ NULL, READY_PLAIN },
		{ "", READY_PLAIN },
		{ "identity", READY_PLAIN },
		{ "gzip", READY_GZIP },
		{ "gzip, deflate", READY_GZIP },
		{ "deflate,GZip;q=0.5", READY_GZIP },
		{ "gzip, deflate, br, zstd", READY_ZSTD },
		{ "zstd ; q=1 , gzip", READY_ZSTD },
		{ "zstd;q=0, gzip", READY_GZIP },
		{ "gzip;q=0.000", READY_PLAIN },
		{ "gzipped, x-gzip", READY_PLAIN },
		{ "*", READY_PLAIN },
		{ ",,;q=1, ,", READY_PLAIN },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (ready_accepted(cases[i].field) != cases[i].wanted)
			fail_msg("%s", cases[i].field);
	assert_null(ready_packing_name(READY_PLAIN));
	assert_string_equal(ready_packing_name(READY_GZIP), "gzip");
	assert_string_equal(ready_packing_name(READY_ZSTD), "zstd");
}

/* ---- threads ---- */

static void *work(void *arg)
{
	const void *data;
	char key[16];
	size_t len;

	for (unsigned i = 0; i < 3000; i++) {
		struct ready_text *t;

		snprintf(key, sizeof(key), "%u", i * 7 % 13);
		t = ready_find(arg, key);
		if (!t)
			t = put(arg, key, i * 7 % 13, TEXT_BYTES, 0);
		ready_bytes(t, (enum ready_packing)(i % READY_PACKINGS), &data, &len);
		assert_true(len <= TEXT_BYTES);
		ready_unref(t);
	}
	return NULL;
}

static void many_threads_share_the_texts(void **state)
{
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(thread_start(&threads[i], "worker", work, *state), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_put_is_found_with_its_note),
		TEST(another_text_takes_the_place_of_the_first_which_stays_with_who_has_it),
		TEST(what_was_used_longest_ago_makes_room),
		TEST(packed_bytes_take_room_as_well),
		TEST(what_is_very_large_is_given_but_not_kept),
		TEST(what_was_begun_before_all_was_forgotten_is_given_but_not_kept),
		TEST(a_text_is_packed_once_and_its_tag_stays),
		TEST(what_gains_nothing_stays_plain),
		cmocka_unit_test(the_best_of_what_a_client_takes_is_chosen),
		TEST(many_threads_share_the_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
