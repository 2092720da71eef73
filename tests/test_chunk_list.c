/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/chunk_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/num.h"
#include "daemon/cache/blob_lists.h"
#include "daemon/cache/chunk.h"
#include "tests/workdir.h"

#define SIZE (2 * CHUNK_BYTES + 100) /* three chunks, the last a short one */
#define FILE_BYTES (24 + 3 * 32 + 8)
#define OTHER "0011223344556677889900112233445566778899"

static char bytes[SIZE];
static char sha256[DIGEST_HEX_MAX + 1], sha1[DIGEST_HEX_MAX + 1]; /* etags of the bytes */

static int fill(void **state)
{
	uint8_t value[DIGEST_BYTES_MAX];

	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (char)(i * 2654435761u >> 24);
	assert_int_equal(digest_of(DIGEST_SHA256, bytes, SIZE, value), 0);
	hex_print(value, 32, sha256);
	assert_int_equal(digest_of(DIGEST_GIT_SHA1, bytes, SIZE, value), 0);
	hex_print(value, 20, sha1);
	(void)state;
	return 0;
}

static void check_list(const struct chunk_list *l)
{
	uint8_t value[DIGEST_BYTES_MAX];

	assert_non_null(l);
	assert_int_equal(l->size, SIZE);
	assert_int_equal(l->count, 3);
	for (uint32_t i = 0; i < 3; i++) {
		size_t from = (size_t)chunk_start(i), to = (size_t)chunk_end(i, SIZE);

		assert_int_equal(digest_of(DIGEST_SHA256, bytes + from, to - from, value), 0);
		assert_memory_equal(l->digests[i], value, 32);
	}
}

/* ---- from bytes ---- */

static struct chunk_list *list_of_pieces(enum digest_kind kind, size_t piece, const char *etag)
{
	CLEANUP(chunk_listing_freep) struct chunk_listing *g = NULL;
	uint8_t whole[DIGEST_BYTES_MAX];
	char hex[DIGEST_HEX_MAX + 1];
	struct chunk_list *l = NULL;

	assert_int_equal(chunk_listing_begin(kind, SIZE, true, &g), 0);
	for (size_t at = 0; at < SIZE; at += piece)
		assert_int_equal(
			chunk_listing_update(g, bytes + at, (size_t)min_u64(piece, SIZE - at)), 0);
	assert_int_equal(chunk_listing_end(g, whole, &l), 0);
	hex_print(whole, digest_size(kind), hex);
	assert_string_equal(hex, etag);
	return l;
}

static struct chunk_list *right_list(void)
{
	return list_of_pieces(DIGEST_SHA256, SIZE, sha256);
}

static void however_bytes_come_each_chunk_has_its_digest(void **state UNUSED)
{
	static const size_t pieces[] = { 4097, 256 << 10, CHUNK_BYTES, CHUNK_BYTES + 1, SIZE };

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		CLEANUP(chunk_list_freep)
		struct chunk_list *l = list_of_pieces(DIGEST_SHA256, pieces[i], sha256);

		check_list(l);
	}
}

static void a_file_of_git_has_a_list_as_well(void **state UNUSED)
{
	CLEANUP(chunk_list_freep)
	struct chunk_list *l = list_of_pieces(DIGEST_GIT_SHA1, 100000, sha1);

	check_list(l);
}

static void an_empty_file_has_an_empty_list(void **state UNUSED)
{
	CLEANUP(chunk_listing_freep) struct chunk_listing *g = NULL;
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	uint8_t whole[DIGEST_BYTES_MAX];

	assert_int_equal(chunk_listing_begin(DIGEST_SHA256, 0, true, &g), 0);
	assert_int_equal(chunk_listing_end(g, whole, &l), 0);
	assert_int_equal(l->count, 0);
}

/* The twin: the whole digest is the same, and nothing else is made. */
static void no_list_is_made_that_nobody_wants(void **state UNUSED)
{
	CLEANUP(chunk_listing_freep) struct chunk_listing *g = NULL;
	uint8_t whole[DIGEST_BYTES_MAX];
	char hex[DIGEST_HEX_MAX + 1];
	struct chunk_list *l = NULL;

	assert_int_equal(chunk_listing_begin(DIGEST_SHA256, SIZE, false, &g), 0);
	assert_int_equal(chunk_listing_update(g, bytes, SIZE), 0);
	assert_int_equal(chunk_listing_end(g, whole, &l), 0);
	hex_print(whole, 32, hex);
	assert_string_equal(hex, sha256);
	assert_null(l);
}

static void too_many_bytes_or_too_few_give_no_list(void **state UNUSED)
{
	CLEANUP(chunk_listing_freep) struct chunk_listing *g = NULL;
	uint8_t whole[DIGEST_BYTES_MAX];
	struct chunk_list *l = NULL;

	assert_int_equal(chunk_listing_begin(DIGEST_SHA256, SIZE, true, &g), 0);
	assert_int_equal(chunk_listing_update(g, bytes, SIZE - 1), 0);
	assert_int_equal(chunk_listing_end(g, whole, &l), ERR_SIZE);
	assert_int_equal(chunk_listing_update(g, bytes, 2), ERR_SIZE);
	assert_null(l);
}

/* ---- of a file ---- */

static int new_file(const struct workdir *p, size_t len)
{
	int fd = openat(p->dirfd, "file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(file_pwrite(fd, bytes, len, 0), 0);
	return fd;
}

static void the_list_of_a_file_is_made_if_its_bytes_are_right(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL, *of_git = NULL;
	CLEANUP(closep) int fd = new_file(*state, SIZE);

	assert_int_equal(chunk_list_make(fd, sha256, SIZE, NULL, NULL, &l), 0);
	check_list(l);
	assert_int_equal(chunk_list_make(fd, sha1, SIZE, NULL, NULL, &of_git), 0);
	check_list(of_git);
}

static void wrong_bytes_get_no_list(void **state)
{
	CLEANUP(closep) int fd = new_file(*state, SIZE);
	struct chunk_list *l = NULL;

	assert_int_equal(file_pwrite(fd, "!", 1, SIZE - 1), 0);
	assert_int_equal(chunk_list_make(fd, sha256, SIZE, NULL, NULL, &l), ERR_DIGEST);
	assert_int_equal(chunk_list_make(fd, sha1, SIZE, NULL, NULL, &l), ERR_DIGEST);
	assert_int_equal(chunk_list_make(fd, OTHER, SIZE, NULL, NULL, &l), ERR_DIGEST);
	assert_int_equal(chunk_list_make(fd, "../x", SIZE, NULL, NULL, &l), -EINVAL);
	assert_int_equal(chunk_list_make(fd, sha256, SIZE + 1, NULL, NULL, &l), -ENODATA);
	assert_null(l);
}

static int third_time(void *arg)
{
	unsigned *left = arg;

	return --*left ? 0 : ERR_STOPPING;
}

static void who_makes_one_can_be_stopped(void **state)
{
	CLEANUP(closep) int fd = new_file(*state, SIZE);
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	unsigned left = 3;

	assert_int_equal(chunk_list_make(fd, sha256, SIZE, third_time, &left, &l), ERR_STOPPING);
	assert_int_equal(left, 0);
	left = 100;
	assert_int_equal(chunk_list_make(fd, sha256, SIZE, third_time, &left, &l), 0);
	assert_int_equal(left, 91); /* nine pieces of 256 KiB */
}

/* ---- beside the blob ---- */

static int with_folders(void **state)
{
	struct workdir *p;
	char dir[16];

	if (workdir_setup(state) < 0)
		return -1;
	p = *state;
	if (mkdirat(p->dirfd, "blobs", 0700) < 0)
		return -1;
	for (const char *of[] = { sha256, sha1, OTHER }, **at = of; at < of + 3; at++) {
		snprintf(dir, sizeof(dir), "blobs/%.2s", *at);
		if (mkdirat(p->dirfd, dir, 0700) < 0 && errno != EEXIST)
			return -1;
	}
	return 0;
}

static void list_path(const char *etag, char ret[static 128])
{
	snprintf(ret, 128, "blobs/%.2s/%s.chunks", etag, etag);
}

static bool is_there(const struct workdir *p, const char *etag)
{
	char path[128];

	list_path(etag, path);
	return faccessat(p->dirfd, path, F_OK, 0) == 0;
}

static int load_result(const struct workdir *p, const char *etag, uint64_t size)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;

	return chunk_list_load(p->dirfd, etag, size, &l);
}

static void what_was_saved_is_loaded(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = right_list(), *again = NULL;
	const struct workdir *p = *state;

	assert_int_equal(load_result(p, sha256, SIZE), -ENOENT);
	assert_int_equal(chunk_list_save(p->dirfd, sha256, l), 0);
	assert_int_equal(chunk_list_load(p->dirfd, sha256, SIZE, &again), 0);
	check_list(again);
	assert_int_equal(load_result(p, sha1, SIZE), -ENOENT);
	assert_int_equal(load_result(p, "../../x", SIZE), -ENOENT);
	assert_int_equal(chunk_list_save(p->dirfd, "../../x", l), -EINVAL);
	chunk_list_remove(p->dirfd, sha256);
	assert_false(is_there(p, sha256));
	assert_int_equal(load_result(p, sha256, SIZE), -ENOENT);
	chunk_list_remove(p->dirfd, sha256);
}

/* docs/formats.md */
static void its_bytes_are_those_of_the_format(void **state)
{
	static const uint8_t head[24] = { 'M', 'F', 'S', 'C', 'H', 'K', '1',  0, 0, 0, 0x10, 0,
					  3,   0,   0,   0,   100, 0,   0x20, 0, 0, 0, 0,    0 };
	CLEANUP(chunk_list_freep) struct chunk_list *l = right_list();
	CLEANUP(buf_free) struct buf file = { 0 }, named = { 0 };
	const struct workdir *p = *state;
	char path[128];
	uint64_t sum;

	assert_int_equal(chunk_list_save(p->dirfd, sha256, l), 0);
	list_path(sha256, path);
	assert_int_equal(file_read_all(p->dirfd, path, 4096, &file), 0);
	assert_int_equal(file.len, FILE_BYTES);
	assert_memory_equal(file.data, head, sizeof(head));
	assert_memory_equal(file.data + 24, l->digests, 96);
	buf_add_str(&named, sha256);
	buf_add(&named, file.data, FILE_BYTES - 8);
	memcpy(&sum, file.data + FILE_BYTES - 8, sizeof(sum));
	assert_int_equal(sum, xxh3_of(named.data, named.len));
}

static void a_file_with_any_byte_changed_is_damaged(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = right_list();
	CLEANUP(buf_free) struct buf file = { 0 };
	struct chunk_list *none = NULL;

	(void)state;
	assert_int_equal(chunk_list_pack(sha256, l, &file), 0);
	for (size_t i = 0; i < file.len; i++) {
		file.data[i] ^= 4;
		assert_int_equal(chunk_list_unpack(sha256, SIZE, file.data, file.len, &none),
				 ERR_CORRUPT);
		file.data[i] ^= 4;
	}
	for (size_t len = 0; len < file.len; len++)
		assert_int_equal(chunk_list_unpack(sha256, SIZE, file.data, len, &none),
				 ERR_CORRUPT);
	assert_null(none);
	assert_int_equal(chunk_list_unpack(sha256, SIZE, file.data, file.len, &none), 0);
	chunk_list_free(none);
}

static void put_list_file(const struct workdir *p, const char *etag, const struct buf *file)
{
	char path[128];

	list_path(etag, path);
	assert_int_equal(file_replace(p->dirfd, path, file->data, file->len, 0600), 0);
}

static void a_file_of_another_blob_or_size_is_damaged_too(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = right_list();
	CLEANUP(buf_free) struct buf file = { 0 };
	const struct workdir *p = *state;

	assert_int_equal(chunk_list_pack(sha256, l, &file), 0);
	put_list_file(p, OTHER, &file);
	assert_int_equal(load_result(p, OTHER, SIZE), ERR_CORRUPT);
	put_list_file(p, sha256, &file);
	assert_int_equal(load_result(p, sha256, SIZE), 0);
	assert_int_equal(load_result(p, sha256, SIZE - 1), ERR_CORRUPT);
	assert_int_equal(load_result(p, sha256, 2 * CHUNK_BYTES), ERR_CORRUPT);
	assert_int_equal(load_result(p, sha256, 4 * CHUNK_BYTES), ERR_CORRUPT);
	buf_add(&file, "x", 1);
	put_list_file(p, sha256, &file);
	assert_int_equal(load_result(p, sha256, SIZE), ERR_CORRUPT);
	assert_int_equal(chunk_list_save(p->dirfd, sha256, l), 0);
	assert_int_equal(load_result(p, sha256, SIZE), 0);
}

/* ---- with its blob ---- */

static struct store *open_store(const struct workdir *p)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct store *s = NULL;

	assert_int_equal(store_open(p->path, "me", &s, &why), 0);
	return s;
}

static void it_goes_with_its_blob_and_not_before(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = right_list(), *again = NULL;
	const struct workdir *p = *state;
	struct store *s = open_store(p);
	struct blob *b = NULL;

	assert_int_equal(store_blob(s, sha256, SIZE, false, &b), 0);
	assert_int_equal(blob_put_chunk_list(b, l), 0);
	assert_int_equal(store_used_bytes(s), 0); /* as maps and sums it is not counted */
	assert_int_equal(store_evict(s, sha256), -EBUSY);
	assert_int_equal(store_chunk_list(s, sha256, SIZE, &again), 0);
	check_list(again);
	blob_unref(b);
	assert_true(is_there(p, sha256));
	assert_true(store_evict(s, sha256) >= 0);
	assert_false(is_there(p, sha256));
	store_close(s);
}

static void beside_a_blob_of_our_own_the_cache_puts_nothing(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = right_list();
	const struct workdir *p = *state;
	struct store *s = open_store(p);
	struct blob *b = NULL;
	char path[128];

	snprintf(path, sizeof(path), "blobs/%.2s/%s", sha256, sha256);
	assert_int_equal(file_replace(p->dirfd, path, bytes, SIZE, 0400), 0);
	assert_int_equal(store_set_own(s, p->path), 0);
	assert_int_equal(store_own_blob(s, sha256, SIZE, &b), 0);
	assert_int_equal(blob_put_chunk_list(b, l), -EROFS);
	assert_false(is_there(p, sha256));
	blob_unref(b);
	store_close(s);
}

/* ---- as JSON ---- */

#define D64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static int parse_result(const char *text)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	int r = chunk_list_parse(text, strlen(text), D64, SIZE, &l);

	assert_true((r == 0) == (l != NULL));
	return r;
}

static void what_is_told_is_understood(void **state UNUSED)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = right_list(), *again = NULL;
	CLEANUP(buf_free) struct buf text = { 0 };

	assert_int_equal(chunk_list_print(sha256, l, &text), 0);
	assert_true(text.len <= chunk_list_text_max(SIZE));
	assert_int_equal(strncmp(text.data, "{\"etag\":\"", 9), 0);
	assert_non_null(strstr(text.data, "\",\"size\":2097252,\"chunkSize\":1048576,"
					  "\"algorithm\":\"sha256\",\"digests\":[\""));
	assert_int_equal(chunk_list_parse(text.data, text.len, sha256, SIZE, &again), 0);
	check_list(again);
	assert_int_equal(chunk_list_parse(text.data, text.len, OTHER, SIZE, &again), ERR_PROTO);
	assert_int_equal(chunk_list_parse(text.data, text.len, sha256, SIZE + 1, &again),
			 ERR_PROTO);
}

static void the_text_of_an_empty_file_is_understood(void **state UNUSED)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(0), *again = NULL;
	CLEANUP(buf_free) struct buf text = { 0 };

	assert_non_null(l);
	assert_int_equal(chunk_list_print(OTHER, l, &text), 0);
	assert_string_equal(buf_str(&text),
			    "{\"etag\":\"" OTHER "\",\"size\":0,\"chunkSize\":1048576,"
			    "\"algorithm\":\"sha256\",\"digests\":[]}");
	assert_int_equal(chunk_list_parse(text.data, text.len, OTHER, 0, &again), 0);
	assert_int_equal(again->count, 0);
}

#define LIST(size, chunk, algorithm, digests) \
	"{\"etag\":\"" D64 "\",\"size\":" size ",\"chunkSize\":" chunk ",\"algorithm\":" algorithm \
	",\"digests\":" digests "}"

static void what_is_no_list_and_what_does_not_fit_are_told_apart(void **state UNUSED)
{
#define THREE "[\"" D64 "\",\"" D64 "\",\"" D64 "\"]"
	static const struct {
		const char *text;
		int result;
	} cases[] = {
		{ LIST("2097252", "1048576", "\"sha256\"", THREE), 0 },
		{ "<html></html>", -EBADMSG },
		{ "[\"" D64 "\"]", -EBADMSG },
		{ "{\"error\":\"none\"}", -EBADMSG },
		{ LIST("2097252", "1048576", "\"sha256\"", THREE) "x", -EBADMSG },
		{ LIST("\"2097252\"", "1048576", "\"sha256\"", THREE), -EBADMSG },
		{ LIST("2097252", "0", "\"sha256\"", THREE), -EBADMSG },
		{ LIST("2097252", "1048576", "256", THREE), -EBADMSG },
		{ LIST("2097252", "1048576", "\"sha256\"", "{}"), -EBADMSG },
		{ LIST("2097252", "1048576", "\"sha256\"", "[1,2,3]"), -EBADMSG },
		{ LIST("2097253", "1048576", "\"sha256\"", THREE), ERR_PROTO },
		{ LIST("2097252", "65536", "\"sha256\"", THREE), ERR_PROTO },
		{ LIST("2097252", "1048576", "\"sha1\"", THREE), ERR_PROTO },
		{ LIST("2097252", "1048576", "\"sha256\"", "[]"), ERR_PROTO },
		{ LIST("2097252", "1048576", "\"sha256\"", "[\"" D64 "\",\"" D64 "\"]"),
		  ERR_PROTO },
		{ LIST("2097252", "1048576", "\"sha256\"",
		       "[\"" D64 "\",\"" D64 "\",\"" D64 "\",\"" D64 "\"]"),
		  ERR_PROTO },
		{ LIST("2097252", "1048576", "\"sha256\"",
		       "[\"" D64 "\",\"" D64 "\",\"" D64 "0\"]"),
		  ERR_PROTO },
		{ LIST("2097252", "1048576", "\"sha256\"",
		       "[\"" D64 "\",\"" D64 "\",\"" OTHER "\"]"),
		  ERR_PROTO },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(parse_result(cases[i].text), cases[i].result);
}

#define TEST(name) cmocka_unit_test(name)
#define ON_DISK(name) cmocka_unit_test_setup_teardown(name, with_folders, workdir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(however_bytes_come_each_chunk_has_its_digest),
		TEST(a_file_of_git_has_a_list_as_well),
		TEST(an_empty_file_has_an_empty_list),
		TEST(no_list_is_made_that_nobody_wants),
		TEST(too_many_bytes_or_too_few_give_no_list),
		ON_DISK(the_list_of_a_file_is_made_if_its_bytes_are_right),
		ON_DISK(wrong_bytes_get_no_list),
		ON_DISK(who_makes_one_can_be_stopped),
		ON_DISK(what_was_saved_is_loaded),
		ON_DISK(its_bytes_are_those_of_the_format),
		TEST(a_file_with_any_byte_changed_is_damaged),
		ON_DISK(a_file_of_another_blob_or_size_is_damaged_too),
		ON_DISK(it_goes_with_its_blob_and_not_before),
		ON_DISK(beside_a_blob_of_our_own_the_cache_puts_nothing),
		TEST(what_is_told_is_understood),
		TEST(the_text_of_an_empty_file_is_understood),
		TEST(what_is_no_list_and_what_does_not_fit_are_told_apart),
	};

	return cmocka_run_group_tests(tests, fill, NULL);
}
