/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/intake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "tests/workdir.h"

#define TEXT "hello world\n"
#define LEN (sizeof(TEXT) - 1)
/* As sha256sum and git hash-object have it. */
#define SHA256 "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447"
#define GIT "3b18e512dba79e4c8300dd08aeb37f8e728b8dad"
#define EMPTY_GIT "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"

static struct intake *open_intake(const struct workdir *p)
{
	CLEANUP(buf_free) struct buf why = { 0 }, dir = { 0 };
	struct intake *in = NULL;

	buf_printf(&dir, "%s/own", p->path);
	assert_int_equal(intake_open(buf_str(&dir), &in, &why), 0);
	return in;
}

static struct intake_file *begin(struct intake *in, enum digest_kind kind, uint64_t size,
				 const char *etag)
{
	const struct intake_want want = { kind, size, etag };
	struct intake_file *f = NULL;

	assert_int_equal(intake_begin(in, &want, &f), 0);
	return f;
}

static struct intake_file *come(struct intake *in, enum digest_kind kind, uint64_t size)
{
	struct intake_file *f = begin(in, kind, size, NULL);

	assert_int_equal(intake_add(f, TEXT, 5), 0);
	assert_int_equal(intake_add(f, TEXT + 5, LEN - 5), 0);
	return f;
}

static unsigned staged(const struct workdir *p)
{
	CLEANUP(closedirp) DIR *d = NULL;
	unsigned n = 0;

	d = fdopendir(openat(p->dirfd, "own/incoming", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	assert_non_null(d);
	for (const struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	return n;
}

static void check_blob(struct intake *in, const char *etag, const char *text)
{
	char got[64] = "";
	uint64_t size = 0;
	CLEANUP(closep) int fd = intake_open_blob(in, etag, &size);

	assert_true(fd >= 0);
	assert_int_equal(size, strlen(text));
	assert_int_equal(file_pread(fd, got, strlen(text), 0), 0);
	assert_string_equal(got, text);
	assert_int_equal(write(fd, "x", 1), -1);
}

/* ---- stories ---- */

static void what_came_whole_becomes_a_blob(void **state)
{
	struct intake *in = open_intake(*state);
	struct intake_file *f = come(in, DIGEST_SHA256, LEN);

	assert_int_equal(intake_end(f), 0);
	assert_string_equal(intake_etag(f), SHA256);
	assert_int_equal(intake_size(f), LEN);
	assert_false(intake_has(in, SHA256, LEN)); /* before it is durable */
	assert_int_equal(intake_keep(in, &f, 1), 0);
	intake_drop(f);
	assert_true(intake_has(in, SHA256, LEN));
	assert_false(intake_has(in, SHA256, LEN + 1));
	assert_false(intake_has(in, GIT, LEN));
	check_blob(in, SHA256, TEXT);
	assert_int_equal(staged(*state), 0);
	intake_close(in);
}

static void what_is_dropped_leaves_nothing(void **state)
{
	struct intake *in = open_intake(*state);
	struct intake_file *f = come(in, DIGEST_SHA256, LEN);
	uint64_t size;

	assert_int_equal(intake_end(f), 0);
	assert_int_equal(staged(*state), 1);
	intake_drop(f);
	assert_int_equal(staged(*state), 0);
	assert_int_equal(intake_open_blob(in, SHA256, &size), -ENOENT);
	intake_drop(NULL);
	intake_close(in);
}

static void other_bytes_than_were_promised_are_refused(void **state)
{
	struct intake *in = open_intake(*state);
	struct intake_file *f = begin(in, DIGEST_SHA256, LEN, SHA256);

	assert_int_equal(intake_add(f, "Hello world\n", LEN), 0);
	assert_int_equal(intake_end(f), ERR_DIGEST);
	assert_int_equal(intake_keep(in, &f, 1), -EINVAL);
	intake_drop(f);
	f = begin(in, DIGEST_SHA256, LEN, SHA256);
	assert_int_equal(intake_add(f, TEXT, LEN - 1), 0);
	assert_int_equal(intake_end(f), ERR_SIZE);
	intake_drop(f);
	f = begin(in, DIGEST_SHA256, LEN, SHA256);
	assert_int_equal(intake_add(f, TEXT, LEN), 0);
	assert_int_equal(intake_add(f, TEXT, 1), ERR_SIZE);
	intake_drop(f);
	assert_false(intake_has(in, SHA256, LEN));
	intake_close(in);
}

static void the_id_of_a_regular_file_is_git_s_also_if_its_size_comes_last(void **state)
{
	struct intake *in = open_intake(*state);
	struct intake_file *known = come(in, DIGEST_GIT_SHA1, LEN),
			   *unknown = come(in, DIGEST_GIT_SHA1, INTAKE_ANY_SIZE),
			   *empty = begin(in, DIGEST_GIT_SHA1, INTAKE_ANY_SIZE, NULL);

	assert_int_equal(intake_end(known), 0);
	assert_int_equal(intake_end(unknown), 0);
	assert_int_equal(intake_end(empty), 0);
	assert_string_equal(intake_etag(known), GIT);
	assert_string_equal(intake_etag(unknown), GIT);
	assert_string_equal(intake_etag(empty), EMPTY_GIT);
	intake_drop(known);
	intake_drop(unknown);
	intake_drop(empty);
	intake_close(in);
}

#define HELD (4 << 10)

/* What is small and of no known size costs the disk nothing before it is kept. */
static void a_small_file_of_a_commit_waits_in_memory(void **state)
{
	CLEANUP(freep) char *bytes = calloc(1, HELD + 1);
	CLEANUP(buf_free) struct buf start = { 0 };
	struct intake *in = open_intake(*state);

	for (size_t len = HELD; len <= HELD + 1; len++) {
		struct intake_file *f = begin(in, DIGEST_GIT_SHA1, INTAKE_ANY_SIZE, NULL);
		uint8_t id[20];
		char hex[41];

		assert_int_equal(intake_add(f, bytes, 5), 0);
		assert_int_equal(intake_add(f, bytes, len - 5), 0);
		assert_int_equal(staged(*state), len > HELD);
		assert_int_equal(intake_end(f), 0);
		buf_clear(&start);
		assert_int_equal(intake_start(f, 100, &start), 0);
		assert_int_equal(start.len, 100);
		assert_int_equal(digest_git_object("blob", bytes, len, id), 0);
		hex_print(id, sizeof(id), hex);
		assert_string_equal(intake_etag(f), hex);
		assert_int_equal(intake_keep(in, &f, 1), 0);
		intake_drop(f);
		assert_true(intake_has(in, hex, len));
		assert_int_equal(staged(*state), 0);
	}
	intake_close(in);
}

static void a_small_file_is_put_at_once(void **state)
{
	struct intake *in = open_intake(*state);
	char etag[DIGEST_HEX_MAX + 1];

	assert_int_equal(intake_put(in, TEXT, LEN, etag), 0);
	assert_string_equal(etag, GIT);
	check_blob(in, GIT, TEXT);
	assert_int_equal(intake_put(in, "", 0, etag), 0);
	assert_string_equal(etag, EMPTY_GIT);
	assert_true(intake_has(in, EMPTY_GIT, 0));
	intake_close(in);
}

static void the_same_may_come_twice_at_once(void **state)
{
	struct intake *in = open_intake(*state);
	struct intake_file *both[] = { come(in, DIGEST_SHA256, LEN), come(in, DIGEST_SHA256, LEN) };

	for (int i = 0; i < 2; i++) {
		assert_int_equal(intake_end(both[i]), 0);
		assert_int_equal(intake_keep(in, &both[i], 1), 0);
	}
	intake_drop(both[0]);
	check_blob(in, SHA256, TEXT);
	intake_drop(both[1]);
	check_blob(in, SHA256, TEXT);
	assert_int_equal(staged(*state), 0);
	intake_close(in);
}

static void put_blob(const struct workdir *p, const char *etag, const char *text)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	CLEANUP(closep) int fd = -1;

	buf_printf(&path, "own/blobs/%.2s/%s", etag, etag);
	fd = openat(p->dirfd, buf_str(&path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0400);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* What has the SHA-1 of what is there is not what is there. */
static void by_a_git_id_the_first_bytes_stay(void **state)
{
	struct intake *in = open_intake(*state);
	struct intake_file *f = come(in, DIGEST_SHA256, LEN);
	char etag[DIGEST_HEX_MAX + 1];

	put_blob(*state, GIT, "HELLO WORLD\n");
	assert_int_equal(intake_put(in, TEXT, LEN, etag), 0);
	assert_string_equal(etag, GIT);
	check_blob(in, GIT, "HELLO WORLD\n");
	put_blob(*state, SHA256, "HELLO WORLD\n"); /* its id says that it is damaged */
	assert_int_equal(intake_end(f), 0);
	assert_int_equal(intake_keep(in, &f, 1), 0);
	intake_drop(f);
	check_blob(in, SHA256, TEXT);
	assert_int_equal(staged(*state), 0);
	intake_close(in);
}

static void many_are_kept_together(void **state)
{
	struct intake *in = open_intake(*state);
	struct intake_file *files[100];
	char text[16];

	for (int i = 0; i < 100; i++) {
		int len = snprintf(text, sizeof(text), "file %d", i);

		files[i] = begin(in, DIGEST_GIT_SHA1, INTAKE_ANY_SIZE, NULL);
		assert_int_equal(intake_add(files[i], text, (size_t)len), 0);
		assert_int_equal(intake_end(files[i]), 0);
	}
	assert_int_equal(intake_keep(in, files, 100), 0);
	for (int i = 0; i < 100; i++) {
		assert_true(intake_has(in, intake_etag(files[i]), intake_size(files[i])));
		intake_drop(files[i]);
	}
	intake_close(in);
}

static void what_a_killed_hub_had_staged_is_gone_after_the_start(void **state)
{
	struct intake *in = open_intake(*state);
	struct workdir *p = *state;

	intake_close(in);
	assert_int_equal(file_replace(p->dirfd, "own/incoming/0", TEXT, LEN, 0400), 0);
	assert_int_equal(staged(p), 1);
	in = open_intake(p);
	assert_int_equal(staged(p), 0);
	intake_drop(come(in, DIGEST_SHA256, LEN));
	intake_close(in);
}

static void the_directory_has_one_owner(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 }, dir = { 0 };
	struct workdir *p = *state;
	struct intake *in = open_intake(p), *second = NULL;

	buf_printf(&dir, "%s/own", p->path);
	assert_int_equal(intake_open(buf_str(&dir), &second, &why), ERR_LOCKED);
	assert_non_null(strstr(buf_str(&why), "in use by another process"));
	intake_close(in);
}

/* The time a collector looks at. */
static void a_blob_that_was_asked_for_is_young_again(void **state)
{
	static const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct intake *in = open_intake(*state);
	struct workdir *p = *state;
	char etag[DIGEST_HEX_MAX + 1];
	struct stat st;

	assert_int_equal(intake_put(in, TEXT, LEN, etag), 0);
	assert_int_equal(utimensat(p->dirfd, "own/blobs/3b/" GIT, old, 0), 0);
	assert_false(intake_has(in, GIT, LEN + 1)); /* that is another */
	assert_int_equal(fstatat(p->dirfd, "own/blobs/3b/" GIT, &st, 0), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1000);
	assert_true(intake_has(in, GIT, LEN));
	assert_int_equal(fstatat(p->dirfd, "own/blobs/3b/" GIT, &st, 0), 0);
	assert_true(st.st_mtim.tv_sec >= clock_wall_s() - 5);
	intake_close(in);
}

static void a_file_larger_than_the_disk_is_refused_before_it_comes(void **state)
{
	struct intake *in = open_intake(*state);
	const struct intake_want want = { DIGEST_SHA256, UINT64_C(1) << 60, SHA256 };
	struct intake_file *f = NULL;

	assert_int_equal(intake_begin(in, &want, &f), ERR_READ_ONLY);
	assert_int_equal(staged(*state), 0);
	intake_close(in);
}

static void what_was_promised_to_one_is_no_room_for_another(void **state)
{
	struct intake *in = open_intake(*state);
	uint64_t left, total;

	assert_int_equal(file_space(((struct workdir *)*state)->dirfd, &left, &total), 0);
	assert_true(left > 2 * INTAKE_SPARE_BYTES);
	assert_int_equal(intake_promise(in, left), ERR_READ_ONLY);
	assert_int_equal(intake_promise(in, left / 2), 0);
	assert_int_equal(intake_has_room(in, left / 2), ERR_READ_ONLY);
	assert_int_equal(intake_promise(in, left / 2), ERR_READ_ONLY);
	assert_int_equal(intake_has_room(in, left / 4), 0);
	intake_redeem(in, left / 2);
	assert_int_equal(intake_promise(in, left / 2), 0);
	intake_redeem(in, left / 2);
	intake_close(in);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, workdir_setup, workdir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_came_whole_becomes_a_blob),
		TEST(what_is_dropped_leaves_nothing),
		TEST(other_bytes_than_were_promised_are_refused),
		TEST(the_id_of_a_regular_file_is_git_s_also_if_its_size_comes_last),
		TEST(a_small_file_of_a_commit_waits_in_memory),
		TEST(a_small_file_is_put_at_once),
		TEST(the_same_may_come_twice_at_once),
		TEST(by_a_git_id_the_first_bytes_stay),
		TEST(many_are_kept_together),
		TEST(what_a_killed_hub_had_staged_is_gone_after_the_start),
		TEST(the_directory_has_one_owner),
		TEST(a_blob_that_was_asked_for_is_young_again),
		TEST(a_file_larger_than_the_disk_is_refused_before_it_comes),
		TEST(what_was_promised_to_one_is_no_room_for_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
