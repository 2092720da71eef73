/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/cache/chunk.h"
#include "tests/fake_source.h"
#include "tests/workdir.h"

#define ETAG "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ETAG2 "0f112233445566778899aabbccddeeff00112233"
#define FILE_PATH "blobs/00/" ETAG
#define MAP_PATH FILE_PATH ".map"
#define SUMS_PATH FILE_PATH ".sums"
#define SIZE (3 * CHUNK_BYTES + 1000)
#define SEED 7
#define NOBODY 65534

static struct store *open_store(const struct workdir *p)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct store *s = NULL;

	assert_int_equal(store_open(p->path, "pid 1", &s, &why), 0);
	assert_int_equal(why.len, 0);
	return s;
}

static struct blob *open_blob_sized(struct store *s, uint64_t size, bool sealed)
{
	struct blob *b = NULL;

	assert_int_equal(store_blob(s, ETAG, size, sealed, &b), 0);
	return b;
}

static struct blob *open_blob(struct store *s)
{
	return open_blob_sized(s, SIZE, false);
}

static void fill_chunk(struct blob *b, uint32_t i)
{
	size_t len = chunk_end(i, blob_size(b)) - chunk_start(i);
	CLEANUP(freep) char *bytes = malloc(len);

	fake_bytes(SEED, chunk_start(i), bytes, len);
	assert_int_equal(blob_write(b, bytes, len, chunk_start(i)), 0);
	assert_int_equal(blob_put_chunk(b, i, xxh3_of(bytes, len)), 0);
}

static void fill_all(struct blob *b)
{
	for (uint32_t i = 0; i < chunk_count(blob_size(b)); i++)
		fill_chunk(b, i);
}

static bool chunk_is_right(struct blob *b, uint32_t i)
{
	return fake_bytes_are(SEED, chunk_start(i), blob_data(b, chunk_start(i)),
			      chunk_end(i, blob_size(b)) - chunk_start(i));
}

static void tear_chunk(const struct workdir *p, uint32_t i)
{
	CLEANUP(closep) int fd = openat(p->dirfd, FILE_PATH, O_RDWR | O_CLOEXEC);

	assert_int_equal(file_pwrite(fd, "torn", 4, chunk_start(i) + 500), 0);
}

static bool exists(const struct workdir *p, const char *path)
{
	return faccessat(p->dirfd, path, F_OK, 0) == 0;
}

/* ---- one blob ---- */

static void an_empty_blob_is_sparse_and_reads_as_zero(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);
	struct stat st;

	assert_int_equal(fstat(blob_fd(b), &st), 0);
	assert_int_equal(st.st_size, SIZE);
	assert_int_equal(st.st_blocks, 0);
	assert_string_equal(blob_etag(b), ETAG);
	assert_int_equal(blob_size(b), SIZE);
	assert_int_equal(blob_present_bytes(b), 0);
	assert_false(blob_is_sealed(b));
	for (uint32_t i = 0; i < 4; i++)
		assert_false(blob_has(b, i));
	assert_int_equal(*(const char *)blob_data(b, SIZE - 1), 0);
	blob_unref(b);
	store_close(s);
}

static void a_put_chunk_is_present_and_mapped(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);

	fill_chunk(b, 1);
	fill_chunk(b, 3);
	assert_false(blob_has(b, 0));
	assert_true(blob_has(b, 1));
	assert_true(blob_may_have(b, 3));
	assert_true(chunk_is_right(b, 1));
	assert_true(chunk_is_right(b, 3));
	assert_int_equal(blob_present_bytes(b), CHUNK_BYTES + 1000);
	blob_release_pages(b, CHUNK_BYTES + 5, 100);
	assert_true(chunk_is_right(b, 1));
	assert_in_range(store_disk_bytes(s, ETAG), CHUNK_BYTES + 1000, 2 * CHUNK_BYTES);
	blob_unref(b);
	store_close(s);
}

/* Bytes of the blob's file that this process has in its own memory, as the kernel tells. */
static long mapped_bytes(void)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512];
	bool ours = false;
	long kib = -1;

	assert_non_null(f);
	while (kib < 0 && fgets(line, sizeof(line), f)) {
		ours = ours || strstr(line, FILE_PATH);
		if (ours && strncmp(line, "Rss:", 4) == 0)
			kib = strtol(line + 4, NULL, 10);
	}
	fclose(f);
	assert_true(kib >= 0);
	return kib << 10;
}

static void of_bytes_let_go_nothing_stays_mapped(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);
	uint64_t off = CHUNK_BYTES + 12345; /* the kernel maps more around than is touched */

	fill_chunk(b, 1);
	assert_int_equal(mapped_bytes(), 0);
	assert_true(fake_bytes_are(SEED, off, blob_data(b, off), 1));
	assert_true(mapped_bytes() > 0);
	blob_release_pages(b, off, 1);
	assert_int_equal(mapped_bytes(), 0);
	blob_unref(b);
	store_close(s);
}

static void bytes_written_but_not_put_are_absent(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);

	assert_int_equal(blob_write(b, "abc", 3, 0), 0);
	assert_false(blob_has(b, 0));
	assert_memory_equal(blob_data(b, 0), "abc", 3);
	blob_unref(b);
	store_close(s);
}

static void a_chunk_put_twice_counts_once(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);
	uint64_t used;

	fill_chunk(b, 0);
	used = store_used_bytes(s);
	fill_chunk(b, 0);
	assert_int_equal(blob_present_bytes(b), CHUNK_BYTES);
	assert_int_equal(store_used_bytes(s), used);
	blob_unref(b);
	store_close(s);
}

static void all_who_ask_get_the_same_blob(void **state)
{
	struct store *s = open_store(*state);
	struct blob *a = open_blob(s), *b = open_blob(s), *other;

	assert_ptr_equal(a, b);
	assert_int_equal(store_blob(s, ETAG, SIZE + 1, false, &other), -EBUSY);
	blob_unref(a);
	fill_chunk(b, 0);
	blob_unref(blob_ref(b));
	assert_true(blob_has(b, 0));
	blob_unref(b);
	store_close(s);
}

static void the_map_survives_a_reopen(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);

	fill_chunk(b, 2);
	blob_unref(b);
	b = open_blob(s);
	assert_true(blob_has(b, 2));
	blob_unref(b);
	store_close(s);
	s = open_store(*state);
	b = open_blob(s);
	assert_false(blob_has(b, 1));
	assert_true(blob_has(b, 2));
	assert_int_equal(blob_present_bytes(b), CHUNK_BYTES);
	blob_unref(b);
	store_close(s);
}

static void a_torn_chunk_is_absent_after_a_restart(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);

	fill_chunk(b, 1);
	fill_chunk(b, 2);
	blob_unref(b);
	store_close(s);
	tear_chunk(*state, 1);
	s = open_store(*state);
	b = open_blob(s);
	assert_true(blob_may_have(b, 1));
	assert_false(blob_has(b, 1));
	assert_false(blob_may_have(b, 1));
	assert_true(blob_has(b, 2));
	assert_int_equal(blob_present_bytes(b), CHUNK_BYTES);
	fill_chunk(b, 1);
	assert_true(blob_has(b, 1));
	blob_unref(b);
	store_close(s);
}

static void a_file_of_another_size_starts_empty(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);

	fill_all(b);
	blob_unref(b);
	b = open_blob_sized(s, SIZE + 5, false);
	assert_int_equal(blob_present_bytes(b), 0);
	assert_false(blob_has(b, 0));
	assert_int_equal(store_disk_bytes(s, ETAG), 0);
	blob_unref(b);
	store_close(s);
}

/* Changes four bytes of the chunk map's head. */
static void spoil_map(const struct workdir *p, uint64_t off)
{
	CLEANUP(closep) int fd = openat(p->dirfd, MAP_PATH, O_RDWR | O_CLOEXEC);

	assert_int_equal(file_pwrite(fd, "\0\0\4\0", 4, off), 0);
}

static void a_map_that_does_not_fit_counts_as_empty(void **state)
{
	static const uint64_t at[] = { 0, 8, 16 }; /* magic, chunk size, file size */

	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		struct store *s = open_store(*state);
		struct blob *b = open_blob(s);

		fill_chunk(b, 0);
		blob_unref(b);
		spoil_map(*state, at[i]);
		b = open_blob(s);
		assert_false(blob_has(b, 0));
		assert_int_equal(blob_present_bytes(b), 0);
		blob_unref(b);
		store_close(s);
	}
}

static void a_map_that_is_too_short_counts_as_empty(void **state)
{
	const struct workdir *p = *state;
	struct store *s = open_store(p);
	struct blob *b = open_blob(s);
	char path[256];

	fill_chunk(b, 0);
	blob_unref(b);
	snprintf(path, sizeof(path), "%s/" MAP_PATH, p->path);
	assert_int_equal(truncate(path, 30), 0);
	b = open_blob(s);
	assert_int_equal(blob_present_bytes(b), 0);
	blob_unref(b);
	store_close(s);
}

static void a_sealed_blob_has_all_and_no_map(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);

	fill_all(b);
	assert_true(exists(*state, MAP_PATH));
	assert_int_equal(blob_sync(b), 0);
	blob_seal(b);
	assert_true(blob_is_sealed(b));
	assert_false(exists(*state, MAP_PATH));
	blob_unref(b);
	b = open_blob_sized(s, SIZE, true);
	assert_true(blob_is_sealed(b));
	assert_true(blob_has(b, 3));
	assert_int_equal(blob_present_bytes(b), SIZE);
	assert_true(chunk_is_right(b, 3));
	blob_unref(b);
	store_close(s);
}

static void what_is_not_there_is_not_sealed(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob_sized(s, SIZE, true);

	assert_false(blob_is_sealed(b));
	assert_int_equal(blob_present_bytes(b), 0);
	blob_unref(b);
	/* The file has its size now, and zeros for bytes: not sealed, whatever the catalog says. */
	b = open_blob_sized(s, SIZE, true);
	assert_false(blob_is_sealed(b));
	assert_false(blob_has(b, 0));
	blob_unref(b);
	store_close(s);
}

static void an_empty_file_can_be_sealed(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob_sized(s, 0, false);

	assert_false(blob_is_sealed(b));
	blob_seal(b);
	blob_unref(b);
	b = open_blob_sized(s, 0, true);
	assert_true(blob_is_sealed(b));
	blob_unref(b);
	store_close(s);
}

static void a_dropped_blob_has_nothing_now_and_later(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);

	fill_all(b);
	assert_int_equal(blob_drop(b), 0);
	assert_int_equal(blob_present_bytes(b), 0);
	assert_true(chunk_is_right(b, 1)); /* a reader who is being answered finds no zeros */
	assert_false(blob_has(b, 0));
	blob_unref(b);
	assert_int_equal(store_used_bytes(s), 0);
	assert_int_equal(store_disk_bytes(s, ETAG), 0);
	b = open_blob(s);
	assert_false(blob_has(b, 0));
	fill_all(b);
	assert_true(chunk_is_right(b, 2));
	blob_unref(b);
	store_close(s);
}

static void a_dropped_chunk_is_gone_alone_now_and_later(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);
	uint64_t all, left;

	fill_all(b);
	all = blob_present_bytes(b);
	assert_int_equal(blob_drop_chunk(b, 1), 0);
	assert_int_equal(blob_drop_chunk(b, 1), 0); /* once more changes nothing */
	left = blob_present_bytes(b);
	assert_int_equal(left, all - CHUNK_BYTES);
	assert_false(blob_has(b, 1));
	assert_true(blob_has(b, 0) && blob_has(b, 2));
	blob_unref(b);
	b = open_blob(s);
	assert_int_equal(blob_present_bytes(b), left);
	assert_false(blob_has(b, 1));
	fill_all(b);
	assert_int_equal(blob_present_bytes(b), all);
	assert_true(chunk_is_right(b, 1));
	blob_unref(b);
	store_close(s);
}

static struct blob *open_sealed(struct store *s)
{
	struct blob *b = open_blob(s);

	fill_all(b);
	assert_int_equal(blob_seal(b), 0);
	return b;
}

static void what_is_not_whole_is_not_sealed(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);

	fill_chunk(b, 0);
	assert_int_equal(blob_seal(b), -EAGAIN);
	assert_false(blob_is_sealed(b));
	assert_true(exists(*state, MAP_PATH));
	blob_unref(b);
	store_close(s);
}

static void the_sums_of_a_sealed_blob_are_kept(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_sealed(s);
	uint64_t sums[4], again[4];

	assert_int_equal(blob_chunks(b), 4);
	assert_true(exists(*state, SUMS_PATH));
	assert_int_equal(blob_sums(b, sums), 0);
	assert_int_equal(sums[1], xxh3_of(blob_data(b, CHUNK_BYTES), CHUNK_BYTES));
	sums[1]++;
	assert_int_equal(blob_put_sums(b, sums), 0);
	assert_int_equal(blob_sums(b, again), 0);
	assert_memory_equal(sums, again, sizeof(sums));
	blob_unref(b);
	assert_true(store_evict(s, ETAG) > 0);
	assert_false(exists(*state, SUMS_PATH));
	store_close(s);
}

/* The index is what says sealed: without it the bytes need not come again. */
static void a_sealed_blob_nobody_vouches_for_is_whole_but_not_sealed(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b;

	blob_unref(open_sealed(s));
	tear_chunk(*state, 2);
	b = open_blob(s);
	assert_false(blob_is_sealed(b));
	assert_true(exists(*state, MAP_PATH));
	assert_false(exists(*state, SUMS_PATH));
	assert_int_equal(blob_present_bytes(b), SIZE);
	assert_true(blob_has(b, 1));
	assert_false(blob_has(b, 2));
	blob_unref(b);
	store_close(s);
}

static void a_broken_seal_leaves_the_chunks_that_are_right(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_sealed(s);
	uint64_t sums[4];

	blob_unref(b);
	b = open_blob_sized(s, SIZE, true);
	assert_true(blob_is_sealed(b));
	assert_int_equal(blob_sums(b, sums), 0);
	sums[2] = 0;
	assert_int_equal(blob_unseal(b, sums), 0);
	assert_false(blob_is_sealed(b));
	assert_true(blob_has(b, 1));
	assert_false(blob_has(b, 2));
	assert_int_equal(blob_present_bytes(b), SIZE - CHUNK_BYTES);
	blob_unref(b);
	b = open_blob_sized(s, SIZE, true); /* a restart would find the same */
	assert_false(blob_is_sealed(b));
	assert_false(blob_has(b, 2));
	fill_chunk(b, 2);
	assert_int_equal(blob_seal(b), 0);
	blob_unref(b);
	store_close(s);
}

static void cut(const struct workdir *p, off_t length)
{
	CLEANUP(closep) int fd = openat(p->dirfd, FILE_PATH, O_RDWR | O_CLOEXEC);

	assert_int_equal(ftruncate(fd, length), 0);
}

static void what_is_cut_off_a_sealed_blob_is_absent(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_sealed(s);

	blob_unref(b);
	b = open_blob_sized(s, SIZE, true);
	assert_true(blob_is_sealed(b) && blob_reaches(b, SIZE));
	cut(*state, CHUNK_BYTES + 5);
	assert_false(blob_reaches(b, SIZE));
	assert_true(blob_reaches(b, CHUNK_BYTES + 5));
	assert_int_equal(blob_lose(b, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 1), 1);
	assert_false(blob_is_sealed(b));
	assert_true(blob_has(b, 0));
	for (uint32_t i = 1; i < blob_chunks(b); i++)
		assert_false(blob_has(b, i));
	for (uint32_t i = 1; i < blob_chunks(b); i++)
		fill_chunk(b, i);
	assert_true(blob_reaches(b, SIZE));
	assert_int_equal(blob_seal(b), 0);
	blob_unref(b);
	store_close(s);
}

static void what_cannot_be_read_is_absent_and_the_rest_is_not(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_sealed(s);

	assert_int_equal(blob_lose(b, CHUNK_BYTES + 7, CHUNK_BYTES + 8), 1);
	assert_true(blob_has(b, 0) && !blob_has(b, 1) && blob_has(b, 2));
	assert_int_equal(blob_lose(b, CHUNK_BYTES - 1, CHUNK_BYTES), 0); /* not sealed any more */
	assert_true(!blob_has(b, 0) && !blob_has(b, 1) && blob_has(b, 2));
	blob_unref(b);
	store_close(s);
}

static void a_cut_blob_without_sums_has_nothing(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_sealed(s);

	assert_int_equal(unlinkat(((struct workdir *)*state)->dirfd, SUMS_PATH, 0), 0);
	assert_int_equal(blob_lose(b, 0, 1), 1);
	assert_int_equal(blob_present_bytes(b), 0);
	blob_unref(b);
	store_close(s);
}

/* ---- room in an open blob ---- */

static void wait_for_rest(void)
{
	clock_sleep_ms(3100);
}

static void chunks_readers_are_done_with_can_be_given_back(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);
	uint64_t used;

	fill_all(b);
	assert_int_equal(blob_sync(b), 0);
	used = store_disk_bytes(s, ETAG);
	blob_hold(b);
	blob_note_read(b, CHUNK_BYTES, 2 * CHUNK_BYTES);
	blob_let_go(b);
	assert_int_equal(blob_trim(b, SIZE), 0); /* just used */
	wait_for_rest();
	blob_hold(b);
	blob_note_read(b, CHUNK_BYTES, 1); /* used again */
	blob_let_go(b);
	assert_int_equal(blob_trim(b, SIZE), CHUNK_BYTES); /* 0 and 3 had no reader yet */
	assert_false(blob_has(b, 2));
	assert_true(blob_has(b, 0) && blob_has(b, 1) && blob_has(b, 3));
	assert_int_equal(store_disk_bytes(s, ETAG), used - CHUNK_BYTES);
	assert_int_equal(blob_present_bytes(b), SIZE - CHUNK_BYTES);
	fill_chunk(b, 2);
	assert_true(chunk_is_right(b, 2));
	blob_unref(b);
	b = open_blob(s);
	assert_true(blob_has(b, 2));
	blob_unref(b);
	store_close(s);
}

static void nothing_is_given_back_under_a_reader(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);

	fill_all(b);
	blob_hold(b);
	blob_note_read(b, 0, SIZE);
	wait_for_rest();
	assert_int_equal(blob_trim(b, SIZE), 0);
	assert_true(chunk_is_right(b, 0));
	blob_let_go(b);
	assert_int_equal(blob_trim(b, CHUNK_BYTES), CHUNK_BYTES);
	assert_false(blob_has(b, 0));
	assert_true(blob_has(b, 1));
	blob_unref(b);
	store_close(s);
}

static void sealed_blobs_are_not_trimmed(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);

	fill_all(b);
	blob_hold(b);
	blob_note_read(b, 0, SIZE);
	blob_let_go(b);
	assert_int_equal(blob_seal(b), 0);
	wait_for_rest();
	assert_int_equal(blob_trim(b, SIZE), 0);
	assert_true(chunk_is_right(b, 0));
	blob_unref(b);
	store_close(s);
}

/* ---- the directory ---- */

static void an_open_blob_is_not_evicted(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);

	fill_all(b);
	assert_int_equal(store_evict(s, ETAG), -EBUSY);
	assert_true(blob_has(b, 0));
	blob_unref(b);
	assert_in_range(store_evict(s, ETAG), SIZE, SIZE + 2 * CHUNK_BYTES);
	assert_false(exists(*state, FILE_PATH));
	assert_false(exists(*state, MAP_PATH));
	assert_int_equal(store_evict(s, ETAG), -ENOENT);
	b = open_blob(s);
	assert_int_equal(blob_present_bytes(b), 0);
	blob_unref(b);
	store_close(s);
}

static void what_is_used_is_counted_and_never_below_zero(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob_sized(s, 100, false);
	uint64_t used;

	assert_int_equal(store_used_bytes(s), 0);
	fill_all(b);
	used = store_used_bytes(s);
	assert_in_range(used, 100, 65536);
	blob_unref(b);
	/* The disk gives whole blocks: more comes back than was written. */
	assert_true(store_evict(s, ETAG) >= 100);
	assert_in_range(store_used_bytes(s), 0, used);
	b = open_blob(s);
	fill_all(b);
	assert_true(store_used_bytes(s) >= SIZE);
	blob_unref(b);
	store_close(s);
	s = open_store(*state);
	assert_in_range(store_used_bytes(s), SIZE, SIZE + CHUNK_BYTES);
	store_close(s);
}

static void no_byte_is_written_beyond_the_limit(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = NULL;
	char bytes[4096] = "";

	store_limit(s, &(struct cache_limits){ CHUNK_BYTES + 8192, 0 });
	b = open_blob(s);
	assert_int_equal(blob_write(b, bytes, sizeof(bytes), 0), 0);
	assert_int_equal(store_used_bytes(s), CHUNK_BYTES); /* all of it, before it is there */
	assert_int_equal(blob_write(b, bytes, sizeof(bytes), 4096), 0);
	assert_int_equal(blob_write(b, bytes, sizeof(bytes), CHUNK_BYTES), ERR_FULL);
	assert_int_equal(store_used_bytes(s), CHUNK_BYTES);
	blob_unref(b);
	assert_int_equal(store_used_bytes(s), 8192); /* what the disk really holds */
	assert_int_equal(store_evict(s, ETAG), 8192);
	b = open_blob(s);
	assert_int_equal(blob_write(b, bytes, sizeof(bytes), CHUNK_BYTES), 0);
	blob_unref(b);
	store_close(s);
}

static void bytes_that_stay_free_are_left_alone(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);
	char bytes[4096] = "";
	uint64_t total, left;

	assert_int_equal(store_space(s, &total, &left), 0);
	store_limit(s, &(struct cache_limits){ 0, total });
	assert_int_equal(blob_write(b, bytes, sizeof(bytes), 0), ERR_FULL);
	assert_int_equal(store_capacity(s), 0);
	store_limit(s, &(struct cache_limits){ 0, 0 });
	assert_int_equal(blob_write(b, bytes, sizeof(bytes), 0), 0);
	assert_in_range(store_capacity(s), 1, total);
	store_limit(s, &(struct cache_limits){ 5, 0 });
	assert_int_equal(store_capacity(s), 5);
	blob_unref(b);
	store_close(s);
}

static void a_torn_chunk_that_is_fetched_again_counts_once(void **state)
{
	struct store *s = open_store(*state);
	struct blob *b = open_blob(s);
	uint64_t used;

	fill_all(b);
	blob_unref(b);
	used = store_used_bytes(s);
	tear_chunk(*state, 1);
	b = open_blob(s);
	assert_false(blob_has(b, 1));
	fill_chunk(b, 1);
	blob_unref(b);
	assert_int_equal(store_used_bytes(s), used);
	store_close(s);
}

struct seen {
	unsigned count;
	uint64_t bytes;
	int64_t used_s;
};

static int see(void *arg, const char *etag, uint64_t bytes, int64_t used_s)
{
	struct seen *seen = arg;

	assert_true(strcmp(etag, ETAG) == 0 || strcmp(etag, ETAG2) == 0);
	seen->count++;
	seen->bytes += bytes;
	seen->used_s = used_s;
	return 0;
}

static int stop_at_first(void *arg, const char *etag UNUSED, uint64_t bytes UNUSED,
			 int64_t used_s UNUSED)
{
	++*(int *)arg;
	return 5;
}

static void each_blob_is_listed_with_its_last_use(void **state)
{
	const struct timespec times[2] = { { .tv_sec = 12345 }, { .tv_sec = 99 } };
	const struct workdir *p = *state;
	struct store *s = open_store(p);
	struct blob *b = open_blob(s), *b2;
	struct seen seen = { 0 };
	int calls = 0;

	fill_chunk(b, 0);
	assert_int_equal(store_blob(s, ETAG2, 0, false, &b2), 0);
	assert_int_equal(file_replace(p->dirfd, "blobs/00/README", "x", 1, 0600), 0);
	blob_unref(b2);
	blob_unref(b);
	assert_int_equal(utimensat(p->dirfd, FILE_PATH, times, 0), 0);
	assert_int_equal(utimensat(p->dirfd, "blobs/0f/" ETAG2, times, 0), 0);
	assert_int_equal(store_each(s, see, &seen), 0);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.used_s, 12345);
	assert_int_equal(seen.bytes, CHUNK_BYTES);
	assert_int_equal(store_each(s, stop_at_first, &calls), 5);
	assert_int_equal(calls, 1);
	/* Opening is using. */
	blob_unref(open_blob(s));
	assert_int_equal(unlinkat(p->dirfd, "blobs/0f/" ETAG2, 0), 0);
	store_each(s, see, &seen);
	assert_true(seen.used_s > 12345);
	store_close(s);
}

static void the_file_system_has_its_space(void **state)
{
	struct store *s = open_store(*state);
	uint64_t total, free_bytes;

	assert_int_equal(store_space(s, &total, &free_bytes), 0);
	assert_true(free_bytes > 0 && free_bytes <= total);
	store_close(s);
}

static void the_second_is_refused_and_told_who_is_first(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	const struct workdir *p = *state;
	struct store *first = NULL, *second = NULL;

	assert_int_equal(store_open(p->path, "pid 12 on /models", &first, &why), 0);
	assert_int_equal(store_open(p->path, "pid 13", &second, &why), ERR_LOCKED);
	assert_null(second);
	assert_non_null(strstr(buf_str(&why), "pid 12 on /models"));
	assert_non_null(strstr(buf_str(&why), p->path));
	store_close(first);
	assert_int_equal(store_open(p->path, "pid 13", &second, &why), 0);
	store_close(second);
}

static void the_last_use_is_when_it_was_closed(void **state)
{
	const struct timespec times[2] = { { .tv_sec = 12345 }, { .tv_nsec = UTIME_OMIT } };
	const struct workdir *p = *state;
	struct store *s = open_store(p);
	struct blob *b = open_sealed(s);
	struct stat st;

	/* The kernel reads a sealed file by itself: nobody here sees it. */
	assert_int_equal(utimensat(p->dirfd, FILE_PATH, times, 0), 0);
	blob_unref(b);
	assert_int_equal(fstatat(p->dirfd, FILE_PATH, &st, 0), 0);
	assert_true(st.st_atim.tv_sec >= clock_wall_s() - 5);
	store_close(s);
}

static void an_older_cache_is_upgraded(void **state)
{
	static const char old[] = "matrixfs-cache 1\n";
	const struct workdir *p = *state;
	CLEANUP(buf_free) struct buf text = { 0 };
	struct store *s = open_store(p);
	struct blob *b = open_sealed(s);

	blob_unref(b);
	store_close(s);
	assert_int_equal(unlinkat(p->dirfd, SUMS_PATH, 0), 0); /* version 1 kept none */
	assert_int_equal(file_replace(p->dirfd, "version", old, strlen(old), 0600), 0);
	assert_int_equal(file_replace(p->dirfd, "clean", "", 0, 0600), 0);
	s = open_store(p);
	assert_int_equal(file_read_all(p->dirfd, "version", 100, &text), 0);
	assert_string_equal(buf_str(&text), "matrixfs-cache 2\n");
	assert_false(exists(p, "clean"));
	b = open_blob_sized(s, SIZE, true);
	assert_true(blob_is_sealed(b));
	blob_unref(b);
	store_close(s);
}

static void a_newer_version_is_refused(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	const struct workdir *p = *state;
	struct store *s = NULL;

	store_close(open_store(p));
	assert_int_equal(file_replace(p->dirfd, "version", "matrixfs-cache 3\n", 17, 0600), 0);
	assert_int_equal(store_open(p->path, "me", &s, &why), ERR_FORMAT);
	assert_non_null(strstr(buf_str(&why), "version 3"));
	assert_int_equal(unlinkat(p->dirfd, "version", 0), 0);
	store_close(open_store(p));
}

static void a_missing_directory_is_made(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	const struct workdir *p = *state;
	struct store *s = NULL;
	char path[128], index[160];

	snprintf(path, sizeof(path), "%s/a/b", p->path);
	assert_int_equal(store_open(path, "me", &s, &why), 0);
	snprintf(index, sizeof(index), "%s/index", path);
	assert_string_equal(store_index_dir(s), index);
	assert_true(exists(p, "a/b/index"));
	store_close(s);
}

static void a_path_that_is_a_file_is_refused(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	const struct workdir *p = *state;
	struct store *s = NULL;
	char path[128];

	assert_int_equal(file_replace(p->dirfd, "f", "x", 1, 0600), 0);
	snprintf(path, sizeof(path), "%s/f", p->path);
	assert_int_equal(store_open(path, "me", &s, &why), -ENOTDIR);
	assert_non_null(strstr(buf_str(&why), path));
}

/* Root may write anywhere: a child that is nobody tries. */
static void a_directory_that_cannot_be_written_is_refused(void **state)
{
	const struct workdir *p = *state;
	pid_t child;
	int status;

	if (getuid() != 0)
		skip();
	assert_int_equal(chmod(p->path, 0755), 0);
	child = fork();
	if (child == 0) {
		struct buf why = { 0 };
		struct store *s = NULL;
		int r = setgid(NOBODY) || setuid(NOBODY) ? 0 : store_open(p->path, "me", &s, &why);

		_exit(r == -EACCES && strstr(buf_str(&why), "cannot write in the cache") ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, workdir_setup, workdir_teardown)

/* ---- a full disk ---- */

static void a_homeless_blob_keeps_bytes_as_soon_as_it_can(UNUSED void **state)
{
	struct workdir p;
	struct store *s;
	struct blob *b;
	const char *data;

	workdir_init(&p);
	s = open_store(&p);
	assert_int_equal(store_blob_homeless(s, ETAG, SIZE, &b), 0);
	assert_int_equal(store_disk_bytes(s, ETAG), 0);
	assert_false(blob_has(b, 0));
	data = blob_data(b, 0);
	fill_chunk(b, 2);
	assert_true(blob_has(b, 2));
	assert_ptr_equal(blob_data(b, 0), data); /* whoever has it may go on */
	assert_true(fake_bytes_are(SEED, chunk_start(2), blob_data(b, chunk_start(2)), 1000));
	assert_true(store_disk_bytes(s, ETAG) > 0);
	blob_unref(b);
	b = open_blob(s);
	assert_true(blob_has(b, 2));
	blob_unref(b);
	store_close(s);
	workdir_fini(&p);
}

static void a_homeless_blob_says_why_while_it_cannot(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	struct workdir p;
	struct store *s;
	struct blob *b;

	workdir_init(&p);
	s = open_store(&p);
	buf_printf(&path, "%s/blobs/00", p.path);
	closep(&(int){ open(buf_str(&path), O_WRONLY | O_CREAT, 0600) }); /* in the way */
	assert_int_equal(store_blob_homeless(s, ETAG, SIZE, &b), 0);
	assert_int_equal(blob_write(b, "x", 1, 0), -ENOTDIR);
	unlink(buf_str(&path));
	assert_int_equal(blob_write(b, "x", 1, 0), 0);
	blob_unref(b);
	store_close(s);
	workdir_fini(&p);
}

/* ---- our own ---- */

#define OWN_BYTES "what somebody has uploaded"
#define OWN_SIZE (sizeof(OWN_BYTES) - 1)

/* A second directory with that blob. */
static struct store *open_with_own(const struct workdir *p)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	struct store *s = open_store(p);

	buf_printf(&path, "%s/own", p->path);
	assert_int_equal(store_set_own(s, buf_str(&path)), -ENOENT);
	buf_add_str(&path, "/blobs/00");
	assert_int_equal(file_mkdirs(buf_str(&path)), 0);
	assert_int_equal(file_replace(p->dirfd, "own/" FILE_PATH, OWN_BYTES, OWN_SIZE, 0400), 0);
	buf_clear(&path);
	buf_printf(&path, "%s/own", p->path);
	assert_int_equal(store_set_own(s, buf_str(&path)), 0);
	return s;
}

static struct blob *open_own(struct store *s)
{
	struct blob *b = NULL;

	assert_int_equal(store_own_blob(s, ETAG, OWN_SIZE, &b), 0);
	return b;
}

static void check_own(struct store *s)
{
	struct blob *b = open_own(s);

	assert_true(blob_is_sealed(b));
	assert_int_equal(blob_present_bytes(b), OWN_SIZE);
	assert_memory_equal(blob_data(b, 0), OWN_BYTES, OWN_SIZE);
	blob_unref(b);
}

static void a_blob_of_our_own_is_whole_without_anybodys_word(void **state)
{
	struct store *s = open_with_own(*state);
	struct blob *b = NULL;

	check_own(s);
	assert_int_equal(store_used_bytes(s), 0);
	assert_false(exists(*state, FILE_PATH));
	assert_int_equal(store_own_blob(s, ETAG, OWN_SIZE + 1, &b), -EBUSY);
	assert_int_equal(store_own_blob(s, ETAG2, SIZE, &b), -ENOENT);
	store_close(s);
}

/* To know the id of a file is not to have it. */
static void who_asks_the_cache_for_it_gets_nothing_of_it(void **state)
{
	struct store *s = open_with_own(*state);
	struct blob *own = open_own(s), *b = open_blob_sized(s, OWN_SIZE, true);

	assert_ptr_not_equal(own, b);
	assert_false(blob_is_sealed(b));
	assert_int_equal(blob_present_bytes(b), 0);
	assert_int_equal(blob_write(b, "other", 5, 0), 0);
	assert_memory_equal(blob_data(own, 0), OWN_BYTES, OWN_SIZE);
	assert_ptr_equal(store_find(s, ETAG), b);
	blob_unref(b);
	blob_unref(b);
	blob_unref(own);
	check_own(s);
	store_close(s);
}

static void nothing_changes_a_blob_of_our_own(void **state)
{
	struct store *s = open_with_own(*state);
	struct blob *b = open_own(s);
	uint64_t sums[1] = { 0 };

	assert_int_equal(blob_drop(b), -EROFS);
	assert_int_equal(blob_unseal(b, sums), -EROFS);
	assert_int_equal(blob_lose(b, 0, 1), -EROFS);
	assert_int_equal(blob_trim(b, SIZE), 0);
	assert_true(blob_is_sealed(b));
	blob_unref(b);
	assert_int_equal(store_evict(s, ETAG), -ENOENT);
	check_own(s);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_blob_is_sparse_and_reads_as_zero),
		TEST(a_put_chunk_is_present_and_mapped),
		TEST(of_bytes_let_go_nothing_stays_mapped),
		TEST(bytes_written_but_not_put_are_absent),
		TEST(a_chunk_put_twice_counts_once),
		TEST(all_who_ask_get_the_same_blob),
		TEST(the_map_survives_a_reopen),
		TEST(a_torn_chunk_is_absent_after_a_restart),
		TEST(a_file_of_another_size_starts_empty),
		TEST(a_map_that_does_not_fit_counts_as_empty),
		TEST(a_map_that_is_too_short_counts_as_empty),
		TEST(a_sealed_blob_has_all_and_no_map),
		TEST(what_is_not_there_is_not_sealed),
		TEST(an_empty_file_can_be_sealed),
		TEST(a_dropped_blob_has_nothing_now_and_later),
		TEST(a_dropped_chunk_is_gone_alone_now_and_later),
		TEST(what_is_not_whole_is_not_sealed),
		TEST(the_sums_of_a_sealed_blob_are_kept),
		TEST(a_sealed_blob_nobody_vouches_for_is_whole_but_not_sealed),
		TEST(a_broken_seal_leaves_the_chunks_that_are_right),
		TEST(what_is_cut_off_a_sealed_blob_is_absent),
		TEST(what_cannot_be_read_is_absent_and_the_rest_is_not),
		TEST(a_cut_blob_without_sums_has_nothing),
		TEST(chunks_readers_are_done_with_can_be_given_back),
		TEST(nothing_is_given_back_under_a_reader),
		TEST(sealed_blobs_are_not_trimmed),
		TEST(an_open_blob_is_not_evicted),
		TEST(what_is_used_is_counted_and_never_below_zero),
		TEST(no_byte_is_written_beyond_the_limit),
		TEST(bytes_that_stay_free_are_left_alone),
		TEST(a_torn_chunk_that_is_fetched_again_counts_once),
		TEST(each_blob_is_listed_with_its_last_use),
		TEST(the_file_system_has_its_space),
		TEST(the_second_is_refused_and_told_who_is_first),
		TEST(the_last_use_is_when_it_was_closed),
		TEST(an_older_cache_is_upgraded),
		TEST(a_newer_version_is_refused),
		TEST(a_missing_directory_is_made),
		TEST(a_path_that_is_a_file_is_refused),
		TEST(a_directory_that_cannot_be_written_is_refused),
		TEST(a_blob_of_our_own_is_whole_without_anybodys_word),
		TEST(who_asks_the_cache_for_it_gets_nothing_of_it),
		TEST(nothing_changes_a_blob_of_our_own),
		cmocka_unit_test(a_homeless_blob_keeps_bytes_as_soon_as_it_can),
		cmocka_unit_test(a_homeless_blob_says_why_while_it_cannot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
