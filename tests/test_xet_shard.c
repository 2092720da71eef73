/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/xet/xet_shard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "tests/xet_maker.h"
#include "tests/xet_vectors.h"

#define SHA256 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static int read_in(const struct buf *bytes, size_t step, struct xet_shard *s)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < bytes->len; at += step)
		r = xet_shard_add(s, bytes->data + at,
				  bytes->len - at < step ? bytes->len - at : step);
	if (r == 0)
		r = xet_shard_end(s);
	assert_int_equal(r == -EBADMSG, s->why != NULL);
	return r;
}

/* What hf_xet 1.8.0 sends for the example. */
static void the_clients_shard_says_what_its_file_is_made_of(UNUSED void **state)
{
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
	CLEANUP(buf_free) struct buf bytes = { 0 };
	const struct xet_file *f;
	const struct xet_term *t;
	char text[XET_HASH_HEX + 1];

	xet_vectors_shard(&bytes);
	assert_int_equal(read_in(&bytes, 100, &s), 0);
	assert_int_equal(xet_shard_count(&s), 1);
	f = xet_shard_file(&s, 0);
	xet_hash_print(f->hash, text);
	assert_string_equal(text, XET_VECTORS_FILE);
	assert_string_equal(f->sha256, XET_VECTORS_SHA256);
	assert_int_equal(f->count, 1);
	t = xet_shard_terms(&s, f);
	xet_hash_print(t->xorb, text);
	assert_string_equal(text, XET_VECTORS_XORB);
	xet_hash_print(t->range, text);
	assert_string_equal(text, XET_VECTORS_RANGE);
	assert_int_equal(t->from, 0);
	assert_int_equal(t->to, XET_VECTORS_CHUNKS);
	assert_int_equal(t->bytes, XET_VECTORS_BYTES);
}

/* Two files, of two terms and of none; the second has no SHA-256. */
static void make(struct buf *bytes)
{
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	uint8_t hash[XET_HASH] = { 7 };

	made_xorb_fill(&x, 5, 1);
	made_shard_head(bytes);
	made_shard_file(bytes, hash, 2, SHA256);
	made_shard_term(bytes, &x, 0, 2);
	made_shard_term(bytes, &x, 3, 5);
	made_shard_range(bytes, &x, 0, 2);
	made_shard_range(bytes, &x, 3, 5);
	made_shard_sha256(bytes, SHA256);
	made_shard_file(bytes, hash, 0, NULL);
	made_shard_end(bytes, &x);
}

static void it_is_the_same_however_it_is_cut(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf bytes = { 0 };

	make(&bytes);
	buf_add_str(&bytes, "and what is for those who search");
	for (size_t step = 1; step < 200; step += 13) {
		CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
		const struct xet_file *f;

		assert_int_equal(read_in(&bytes, step, &s), 0);
		assert_int_equal(xet_shard_count(&s), 2);
		f = xet_shard_file(&s, 0);
		assert_int_equal(f->count, 2);
		assert_string_equal(f->sha256, SHA256);
		assert_int_equal(xet_shard_terms(&s, f)[1].from, 3);
		f = xet_shard_file(&s, 1);
		assert_int_equal(f->count, 0);
		assert_string_equal(f->sha256, "");
		assert_null(xet_shard_terms(&s, f));
	}
}

static void one_that_is_cut_is_refused(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf bytes = { 0 };

	make(&bytes);
	for (size_t len = 0; len < bytes.len; len += 24) {
		CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
		struct buf part = { .data = bytes.data, .len = len };

		assert_int_equal(read_in(&part, 1000, &s), -EBADMSG);
	}
}

static void lies_are_refused(UNUSED void **state)
{
	static const struct {
		size_t at;
		uint8_t byte;
	} lies[] = {
		{ 3, 'x' },            /* the tag */
		{ 32, 3 },             /* the version */
		{ 48 + 35, 0x40 },     /* no hashes of ranges */
		{ 48 + 39, 0xff },     /* very many terms */
		{ 96 + 44, 0 },        /* no chunks */
		{ 96 + 46, 1 },        /* more than a xorb has */
		{ 9 * 48 + 38, 0xff }, /* very many chunks of a xorb */
	};

	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
		CLEANUP(buf_free) struct buf bytes = { 0 };

		make(&bytes);
		bytes.data[lies[i].at] = (char)lies[i].byte;
		assert_int_equal(read_in(&bytes, 1000, &s), -EBADMSG);
	}
}

static void too_many_files_are_refused(UNUSED void **state)
{
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
	CLEANUP(buf_free) struct buf bytes = { 0 };
	uint8_t hash[XET_HASH] = { 7 };
	int r = 0;

	made_shard_head(&bytes);
	assert_int_equal(xet_shard_add(&s, bytes.data, bytes.len), 0);
	buf_clear(&bytes);
	made_shard_file(&bytes, hash, 0, NULL);
	for (int i = 0; i < XET_SHARD_FILES_MAX; i++)
		r |= xet_shard_add(&s, bytes.data, bytes.len);
	assert_int_equal(r, 0);
	assert_int_equal(xet_shard_add(&s, bytes.data, bytes.len), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_clients_shard_says_what_its_file_is_made_of),
		cmocka_unit_test(it_is_the_same_however_it_is_cut),
		cmocka_unit_test(one_that_is_cut_is_refused),
		cmocka_unit_test(lies_are_refused),
		cmocka_unit_test(too_many_files_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
