/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/format.h"

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
#include "daemon/base/kv.h"
#include "daemon/base/log.h"
#include "daemon/cache/catalog.h"
#include "daemon/cache/catalog_mend.h"
#include "daemon/cache/store.h"
#include "tests/workdir.h"

#define OURS "matrixfs-cache 2\n"
#define NEWER "matrixfs-cache 3\n"
#define OLDER "matrixfs-cache 1\n"
#define KEY "models/org/model"

/* Does not wait for the disk: it is done some hundred times. */
static void put_file(const struct workdir *p, const char *text, size_t len)
{
	CLEANUP(closep)
	int fd = openat(p->dirfd, "version", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(file_pwrite(fd, text, len, 0), 0);
}

static void put_line(const struct workdir *p, const char *line)
{
	put_file(p, line, strlen(line));
}

static bool file_is(const struct workdir *p, const char *line)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	return file_read_all(p->dirfd, "version", 4096, &text) == 0 && text.len == strlen(line) &&
	       memcmp(text.data, line, text.len) == 0;
}

static bool exists(const struct workdir *p, const char *path)
{
	return faccessat(p->dirfd, path, F_OK, 0) == 0;
}

/* Opens the cache as a node does, and closes it again. */
static int start(const struct workdir *p, struct buf *why)
{
	struct store *s = NULL;
	struct catalog *c = NULL;
	int r;

	buf_clear(why);
	r = store_open(p->path, "me", &s, why);
	if (r == 0)
		r = catalog_open(store_index_dir(s), &c, why);
	catalog_close(c);
	store_close(s);
	return r;
}

static void must_start(const struct workdir *p)
{
	CLEANUP(buf_free) struct buf why = { 0 };

	assert_int_equal(start(p, &why), 0);
	assert_true(file_is(p, OURS));
}

static void must_refuse(const struct workdir *p, const char *because)
{
	CLEANUP(buf_free) struct buf why = { 0 };

	assert_int_equal(start(p, &why), ERR_FORMAT);
	assert_non_null(strstr(buf_str(&why), because));
}

static int note_repo(void *arg, const char *key UNUSED, const char *canonical UNUSED)
{
	++*(unsigned *)arg;
	return 0;
}

static struct catalog *open_catalog(const struct workdir *p)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	char path[WORKDIR_PATH_MAX + 8];
	struct catalog *c = NULL;

	snprintf(path, sizeof(path), "%s/index", p->path);
	assert_int_equal(catalog_open(path, &c, &why), 0);
	return c;
}

/* A cache whose index knows something. */
static void make_ours(const struct workdir *p)
{
	struct catalog *c;

	must_start(p);
	c = open_catalog(p);
	assert_int_equal(catalog_put_repo(c, KEY, KEY), 0);
	catalog_close(c);
}

/* That is still there. */
static bool is_whole(const struct workdir *p)
{
	struct catalog *c = open_catalog(p);
	unsigned repos = 0;

	assert_int_equal(catalog_each_repo(c, note_repo, &repos), 0);
	catalog_close(c);
	return repos == 1 && !exists(p, "index/damaged.mdb");
}

/* Writes one row as an index has it that was closed in good order. */
static void put_row(const struct workdir *p, const char *key, char version, bool sums)
{
	static const char *const tables[] = { FORMAT_TABLE };
	const char row[] = { version, 0, 0, 0 };
	char path[WORKDIR_PATH_MAX + 8];
	struct kv_conf conf = {
		.dir = path, .tables = tables, .table_count = 1, .map_bytes = 1 << 20, .sums = sums
	};
	struct kv *kv = NULL;

	snprintf(path, sizeof(path), "%s/index", p->path);
	assert_true(mkdirat(p->dirfd, "index", 0700) == 0 || errno == EEXIST);
	assert_int_equal(kv_open(&conf, &kv), 0);
	assert_int_equal(kv_put(kv, 0, (struct kv_key){ key, strlen(key) }, row, sizeof(row)), 0);
	kv_close(kv);
	catalog_vouch(path);
}

static void make_newer(const struct workdir *p)
{
	must_start(p);
	put_row(p, FORMAT_KEY_CACHE, 3, true);
	put_line(p, NEWER);
}

/* Calls fn with the line in the version file, one bit of it flipped, for each bit from byte `from`
 * on. */
static void each_flip(const struct workdir *p, const char *line, size_t from,
		      void (*fn)(const struct workdir *))
{
	size_t len = strlen(line);
	char flipped[32];

	for (size_t bit = from * 8; bit < len * 8; bit++) {
		snprintf(flipped, sizeof(flipped), "%s", line);
		flipped[bit / 8] = (char)(flipped[bit / 8] ^ 1 << bit % 8);
		put_file(p, flipped, len);
		fn(p);
	}
}

static void a_flipped_bit_in_the_version_file_is_mended(void **state)
{
	make_ours(*state);
	each_flip(*state, OURS, 0, must_start);
	assert_true(is_whole(*state));
}

static void refused_and_left_alone(const struct workdir *p)
{
	CLEANUP(buf_free) struct buf was = { 0 };

	assert_int_equal(file_read_all(p->dirfd, "version", 100, &was), 0);
	must_refuse(p, "version 3 and this matrixfs knows 2");
	assert_true(file_is(p, buf_str(&was)) || was.len != strlen(buf_str(&was)));
}

static void no_flipped_bit_opens_a_newer_cache(void **state)
{
	make_newer(*state);
	refused_and_left_alone(*state);
	each_flip(*state, NEWER, 0, refused_and_left_alone);
}

/* As version 1 left it: its rows had no sums. */
static void upgraded(const struct workdir *p)
{
	unlinkat(p->dirfd, "index/data.mdb", 0);
	unlinkat(p->dirfd, "index/lock.mdb", 0);
	unlinkat(p->dirfd, "index/sound", 0);
	put_row(p, FORMAT_KEY_INDEX, 1, false);
	assert_int_equal(unlinkat(p->dirfd, "index/sound", 0), 0);
	assert_int_equal(file_replace(p->dirfd, "clean", "", 0, 0600), 0);
	must_start(p);
	assert_false(exists(p, "index/damaged.mdb"));
}

static void an_older_cache_is_upgraded_whatever_bit_of_its_version_has_flipped(void **state)
{
	const struct workdir *p = *state;

	must_start(p);
	put_line(p, OLDER);
	upgraded(p);
	assert_false(exists(p, "clean"));
	each_flip(p, OLDER, strlen(OLDER) - 2, upgraded);
}

static void a_cut_or_empty_version_file_is_mended(void **state)
{
	const struct workdir *p = *state;

	make_ours(p);
	for (size_t len = 0; len < strlen(OURS); len++) {
		put_file(p, OURS, len);
		must_start(p);
	}
	assert_true(is_whole(p));
}

static void only_the_very_line_is_a_version(void **state)
{
	static const char *const lines[] = {
		"matrixfs-cache -1\n", "matrixfs-cache +2\n",  "matrixfs-cache 02\n",
		"matrixfs-cache 2",    "matrixfs-cache  2\n",  "matrixfs-cache 2 \n",
		"matrixfs-cache 2\n2", "matrixfs-cache 2\n\n", "matrixfs-cache 4294967298\n",
		"matrixfs-cache 0\n",  "matrixfs-cache 3x\n",  "a matrixfs-cache 2\n",
	};
	const struct workdir *p = *state;

	make_ours(p);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		put_line(p, lines[i]);
		must_start(p);
	}
	put_file(p, OURS "\0junk", strlen(OURS) + 5);
	must_start(p);
	assert_true(is_whole(p));
}

static void a_newer_cache_is_known_by_its_index_alone(void **state)
{
	const struct workdir *p = *state;

	make_newer(p);
	put_line(p, OURS);
	must_refuse(p, "version 3 and this matrixfs knows 2");
	assert_int_equal(unlinkat(p->dirfd, "version", 0), 0);
	must_refuse(p, "version 3 and this matrixfs knows 2");
	assert_false(exists(p, "version"));
	put_row(p, FORMAT_KEY_CACHE, 2, true);
	put_row(p, FORMAT_KEY_INDEX, 9, true);
	put_line(p, OURS);
	must_refuse(p, "version 9 and this matrixfs knows 2");
}

static void without_an_index_the_file_is_believed(void **state)
{
	const struct workdir *p = *state;

	must_start(p);
	assert_int_equal(unlinkat(p->dirfd, "index/data.mdb", 0), 0);
	put_line(p, NEWER);
	must_refuse(p, "version 3 and this matrixfs knows 2");
	assert_true(file_is(p, NEWER));
	put_line(p, OLDER);
	must_start(p);
}

static void what_is_left_of_a_cache_without_an_index_stays_ours(void **state)
{
	const struct workdir *p = *state;

	must_start(p);
	assert_int_equal(unlinkat(p->dirfd, "index/data.mdb", 0), 0);
	put_line(p, "");
	must_start(p);
	assert_int_equal(unlinkat(p->dirfd, "index/data.mdb", 0), 0);
	assert_int_equal(unlinkat(p->dirfd, "lock", 0), 0);
	assert_int_equal(mkdirat(p->dirfd, "blobs/3a", 0700), 0);
	put_line(p, "");
	must_start(p);
}

static void the_directory_of_something_else_is_left_alone(void **state)
{
	const struct workdir *p = *state;

	put_line(p, "1.7.2\n");
	assert_int_equal(file_replace(p->dirfd, "theirs", "", 0, 0600), 0);
	must_refuse(p, "not a matrixfs cache");
	assert_true(file_is(p, "1.7.2\n"));
	assert_false(exists(p, "blobs") || exists(p, "index") || exists(p, "lock"));
	assert_int_equal(file_replace(p->dirfd, "lock", "", 0, 0600), 0);
	must_refuse(p, "not a matrixfs cache");
	assert_int_equal(unlinkat(p->dirfd, "version", 0), 0);
	must_start(p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, workdir_setup, workdir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_flipped_bit_in_the_version_file_is_mended),
		TEST(no_flipped_bit_opens_a_newer_cache),
		TEST(an_older_cache_is_upgraded_whatever_bit_of_its_version_has_flipped),
		TEST(a_cut_or_empty_version_file_is_mended),
		TEST(only_the_very_line_is_a_version),
		TEST(a_newer_cache_is_known_by_its_index_alone),
		TEST(without_an_index_the_file_is_believed),
		TEST(what_is_left_of_a_cache_without_an_index_stays_ours),
		TEST(the_directory_of_something_else_is_left_alone),
	};

	log_set_level(LOG_LEVEL_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
