/* SPDX-License-Identifier: Apache-2.0 */
/* A chunk that comes from a member: where its bytes go before and after they were compared. */
#include "daemon/peer/chunk_in.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/cache/chunk.h"

#define SIZE (CHUNK_BYTES + 1000)
#define PIECE ((size_t)300000)

struct fixture {
	struct source_blob blob;
	struct source_ask ask;
	struct provenance *provenance;
	struct chunk_in in;
	char *right; /* bytes of the first chunk */
	char *file;  /* where bytes are laid */
	size_t laid, given, taken_back;
	int says; /* the sink, and lay */
};

/* ---- who asks ---- */

static int lay(void *arg, const void *data, size_t len)
{
	struct fixture *f = arg;

	if (f->says == 0) {
		memcpy(f->file + f->laid, data, len);
		f->laid += len;
	}
	return f->says;
}

/* What it gets makes what was laid before seen. */
static int sink(void *arg, const void *data, size_t len)
{
	struct fixture *f = arg;

	if (f->says < 0)
		return f->says;
	memcpy(f->file + f->laid, data, len);
	f->given += f->laid + len;
	f->laid = 0;
	return f->says;
}

static void take_back(void *arg)
{
	struct fixture *f = arg;

	f->taken_back++;
	f->laid = 0;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(provenance_new(UINT64_C(1) << 20, &f->provenance), 0);
	f->right = malloc(CHUNK_BYTES);
	f->file = malloc(CHUNK_BYTES);
	assert_non_null(f->right);
	assert_non_null(f->file);
	for (size_t i = 0; i < CHUNK_BYTES; i++)
		f->right[i] = (char)(i * 7 + i / 251);
	memset(f->blob.etag, 'a', DIGEST_HEX_MAX);
	f->blob.file = (struct manifest_file){ .size = SIZE, .kind = DIGEST_SHA256 };
	f->ask = (struct source_ask){
		.blob = &f->blob, .sink = sink, .lay = lay, .take_back = take_back, .arg = f
	};
	f->in = (struct chunk_in){ .ask = &f->ask, .provenance = f->provenance };
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	chunk_in_end(&f->in);
	provenance_free(f->provenance);
	free(f->right);
	free(f->file);
	free(f);
	return 0;
}

/* ---- what is known ---- */

/* Its digest must be that of the right bytes. */
static void learn(struct fixture *f)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(SIZE);

	assert_non_null(l);
	assert_int_equal(digest_of(DIGEST_SHA256, f->right, CHUNK_BYTES, l->digests[0]), 0);
	provenance_learn(f->provenance, f->blob.etag, l, PROVENANCE_PUBLISHED);
}

/* What these bytes are came before, and was wrong. */
static void find_wrong(struct fixture *f, const char *bytes)
{
	uint8_t was[CHUNK_LIST_DIGEST];

	assert_int_equal(digest_of(DIGEST_SHA256, bytes, CHUNK_BYTES, was), 0);
	provenance_drop(f->provenance, f->blob.etag, 0, was, true);
}

/* ---- how it comes ---- */

/* As far as `until`. */
static int come_until(struct fixture *f, const char *bytes, size_t until)
{
	int r = 0;

	while (r == 0 && f->in.have < until) {
		size_t left = until - f->in.have;

		r = chunk_in_add(&f->in, bytes + f->in.have, left < PIECE ? left : PIECE);
	}
	return r;
}

/* All of a chunk of so many bytes. */
static int come_of(struct fixture *f, const char *bytes, size_t size)
{
	size_t last = size < PIECE ? size : PIECE;
	int r = come_until(f, bytes, size - last);

	if (r == 0)
		r = chunk_in_compare(&f->in, bytes + size - last, last);
	if (r == 0)
		r = chunk_in_give(&f->in, bytes + size - last, last);
	return r;
}

static int come(struct fixture *f, const char *bytes)
{
	return come_of(f, bytes, CHUNK_BYTES);
}

static void begin(struct fixture *f)
{
	assert_int_equal(chunk_in_begin(&f->in, 0, SIZE), 0);
}

/* All of it but the last byte is right. */
static char *almost_right(const struct fixture *f)
{
	char *bytes = malloc(CHUNK_BYTES);

	assert_non_null(bytes);
	memcpy(bytes, f->right, CHUNK_BYTES);
	bytes[CHUNK_BYTES - 1] ^= 1;
	return bytes;
}

/* ---- stories ---- */

static void bytes_are_laid_as_they_come_and_nothing_is_kept(void **state)
{
	struct fixture *f = *state;

	learn(f);
	begin(f);
	assert_int_equal(come_until(f, f->right, CHUNK_BYTES - 1), 0);
	assert_int_equal(f->laid, CHUNK_BYTES - 1);
	assert_int_equal(f->given, 0);
	assert_null(f->in.kept);
	assert_int_equal(chunk_in_compare(&f->in, f->right + CHUNK_BYTES - 1, 1), 0);
	assert_int_equal(f->in.trust, PROVENANCE_PUBLISHED);
	assert_int_equal(f->given, 0);
	assert_int_equal(chunk_in_give(&f->in, f->right + CHUNK_BYTES - 1, 1), 0);
	assert_int_equal(f->given, CHUNK_BYTES);
	assert_memory_equal(f->file, f->right, CHUNK_BYTES);
	chunk_in_end(&f->in);
	assert_int_equal(f->taken_back, 0);
}

static void a_chunk_that_is_wrong_in_its_last_byte_is_taken_back(void **state)
{
	struct fixture *f = *state;
	CLEANUP(freep) char *wrong = almost_right(f);

	learn(f);
	begin(f);
	assert_int_equal(come(f, wrong), ERR_DIGEST);
	chunk_in_end(&f->in);
	assert_int_equal(f->given, 0);
	assert_int_equal(f->taken_back, 1);
	assert_int_equal(f->in.have, CHUNK_BYTES); /* so much of it was wrong */
	assert_true(f->in.wrong);
}

/* The twin. */
static void of_what_nothing_is_known_none_is_digested_and_all_is_given(void **state)
{
	struct fixture *f = *state;
	CLEANUP(freep) char *wrong = almost_right(f);

	begin(f);
	assert_null(f->in.digest);
	assert_int_equal(come(f, wrong), 0);
	assert_int_equal(f->given, CHUNK_BYTES);
	assert_int_equal(f->in.trust, PROVENANCE_UNKNOWN);
}

static void what_becomes_known_while_it_comes_counts_from_the_next_one_on(void **state)
{
	struct fixture *f = *state;
	CLEANUP(freep) char *wrong = almost_right(f);

	begin(f);
	learn(f);
	assert_int_equal(come(f, wrong), 0);
	begin(f);
	assert_int_equal(come(f, wrong), ERR_DIGEST);
}

static void what_is_not_known_any_more_is_compared_with_nothing(void **state)
{
	struct fixture *f = *state;
	CLEANUP(freep) char *wrong = almost_right(f);

	learn(f);
	begin(f);
	provenance_unlearn(f->provenance, f->blob.etag);
	assert_int_equal(come(f, wrong), 0);
	assert_int_equal(f->in.trust, PROVENANCE_UNKNOWN);
}

static void what_was_found_wrong_before_is_known_again(void **state)
{
	struct fixture *f = *state;
	CLEANUP(freep) char *wrong = almost_right(f);

	find_wrong(f, wrong);
	begin(f);
	assert_int_equal(come(f, wrong), ERR_DIGEST);
	assert_true(f->in.wrong);
	chunk_in_end(&f->in);
	assert_int_equal(f->taken_back, 1);
	begin(f);
	assert_false(f->in.wrong);
	assert_int_equal(come(f, f->right), 0);
	assert_int_equal(f->given, CHUNK_BYTES);
}

static void what_ends_before_it_is_whole_is_taken_back_and_comes_from_its_start(void **state)
{
	struct fixture *f = *state;

	learn(f);
	begin(f);
	assert_int_equal(come_until(f, f->right, PIECE + 1), 0);
	chunk_in_end(&f->in);
	assert_int_equal(f->in.have, PIECE + 1); /* comes twice */
	assert_int_equal(f->taken_back, 1);
	begin(f);
	assert_int_equal(come(f, f->right), 0);
	assert_memory_equal(f->file, f->right, CHUNK_BYTES);
	chunk_in_end(&f->in);
	assert_int_equal(f->taken_back, 1);
}

static void what_has_not_begun_is_not_taken_back(void **state)
{
	struct fixture *f = *state;

	chunk_in_end(&f->in);
	begin(f);
	chunk_in_end(&f->in);
	assert_int_equal(f->taken_back, 0);
}

static void what_cannot_be_laid_is_taken_back(void **state)
{
	struct fixture *f = *state;

	begin(f);
	f->says = ERR_FULL;
	assert_int_equal(come(f, f->right), ERR_FULL);
	chunk_in_end(&f->in);
	assert_int_equal(f->taken_back, 1);
}

static void what_the_sink_does_not_take_is_taken_back(void **state)
{
	struct fixture *f = *state;

	begin(f);
	assert_int_equal(come_until(f, f->right, CHUNK_BYTES - 1), 0);
	assert_int_equal(chunk_in_compare(&f->in, f->right, 1), 0);
	f->says = ERR_FULL;
	assert_int_equal(chunk_in_give(&f->in, f->right, 1), ERR_FULL);
	chunk_in_end(&f->in);
	assert_int_equal(f->taken_back, 1);
}

/* The twin: it has taken it, and wants no more. */
static void what_was_enough_is_not(void **state)
{
	struct fixture *f = *state;

	begin(f);
	assert_int_equal(come_until(f, f->right, CHUNK_BYTES - 1), 0);
	assert_int_equal(chunk_in_compare(&f->in, f->right, 1), 0);
	f->says = 1;
	assert_int_equal(chunk_in_give(&f->in, f->right, 1), 1);
	chunk_in_end(&f->in);
	assert_int_equal(f->taken_back, 0);
}

/* What lies between is given in one piece, when all of it was compared, and none of it was laid. */
static void is_kept(struct fixture *f, uint64_t from, uint64_t to)
{
	CLEANUP(freep) char *wrong = almost_right(f);

	learn(f);
	assert_int_equal(chunk_in_begin(&f->in, from, to), 0);
	assert_int_equal(come(f, wrong), ERR_DIGEST);
	chunk_in_end(&f->in);
	assert_int_equal(f->given, 0);
	assert_int_equal(chunk_in_begin(&f->in, from, to), 0);
	assert_int_equal(come_until(f, f->right, CHUNK_BYTES - PIECE), 0);
	assert_int_equal(f->laid, 0);
	assert_int_equal(come(f, f->right), 0);
	assert_int_equal(f->given, to - from);
	assert_memory_equal(f->file, f->right + from, to - from);
	assert_int_equal(f->taken_back, 0);
}

static void of_what_is_wanted_in_part_all_is_kept_until_it_was_compared(void **state)
{
	struct fixture *f = *state;

	is_kept(f, 0, CHUNK_BYTES - 1);
	f->given = 0;
	is_kept(f, 1, CHUNK_BYTES);
}

static void where_nothing_may_be_laid_all_is_kept(void **state)
{
	struct fixture *f = *state;

	f->ask.lay = NULL;
	f->ask.take_back = NULL;
	is_kept(f, 0, CHUNK_BYTES);
}

static void a_blob_of_one_chunk_is_compared_with_its_own_digest(void **state)
{
	const enum digest_kind kinds[] = { DIGEST_SHA256, DIGEST_GIT_SHA1 };
	const size_t sizes[] = { 1, PIECE, PIECE + 1 };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(kinds) * ARRAY_LEN(sizes); i++) {
		struct manifest_file *file = &f->blob.file;

		file->kind = kinds[i % ARRAY_LEN(kinds)];
		file->size = sizes[i / ARRAY_LEN(kinds)];
		assert_int_equal(digest_of(file->kind, f->right, file->size, file->digest), 0);
		f->given = 0;
		assert_int_equal(chunk_in_begin(&f->in, 0, file->size), 0);
		assert_int_equal(come_of(f, f->right, file->size), 0);
		assert_int_equal(f->given, file->size);
		file->digest[0] ^= 1;
		assert_int_equal(chunk_in_begin(&f->in, 0, file->size), 0);
		assert_int_equal(come_of(f, f->right, file->size), ERR_DIGEST);
		chunk_in_end(&f->in);
		assert_int_equal(f->given, file->size);
	}
}

static void the_short_last_chunk_is_laid_like_others(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(chunk_in_begin(&f->in, CHUNK_BYTES, SIZE), 0);
	assert_int_equal(f->in.size, SIZE - CHUNK_BYTES);
	assert_int_equal(come_of(f, f->right, SIZE - CHUNK_BYTES), 0);
	assert_int_equal(f->given, SIZE - CHUNK_BYTES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_are_laid_as_they_come_and_nothing_is_kept),
		TEST(a_chunk_that_is_wrong_in_its_last_byte_is_taken_back),
		TEST(of_what_nothing_is_known_none_is_digested_and_all_is_given),
		TEST(what_becomes_known_while_it_comes_counts_from_the_next_one_on),
		TEST(what_is_not_known_any_more_is_compared_with_nothing),
		TEST(what_was_found_wrong_before_is_known_again),
		TEST(what_ends_before_it_is_whole_is_taken_back_and_comes_from_its_start),
		TEST(what_has_not_begun_is_not_taken_back),
		TEST(what_cannot_be_laid_is_taken_back),
		TEST(what_the_sink_does_not_take_is_taken_back),
		TEST(what_was_enough_is_not),
		TEST(of_what_is_wanted_in_part_all_is_kept_until_it_was_compared),
		TEST(where_nothing_may_be_laid_all_is_kept),
		TEST(a_blob_of_one_chunk_is_compared_with_its_own_digest),
		TEST(the_short_last_chunk_is_laid_like_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
