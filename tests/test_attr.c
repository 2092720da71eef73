/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/cache/chunkmap.h"
#include "tests/seeded_node.h"

#define MODEL "hub/models--org--model"
#define MAIN MODEL "/snapshots/" COMMIT_MAIN
#define ABSENT MODEL "/.no_exist/" COMMIT_MAIN
#define SHARD_NAME "model-00001-of-00002.safetensors"
#define SHARD MODEL "/blobs/" ETAG_SHARD_1
#define CHUNK (1 << 20)
#define A_WHILE_MS 10000 /* how long nobody is asked again for a blob nobody has read */

/* ---- modes, sizes, times ---- */

struct row {
	const char *path;
	mode_t mode, strict_mode;
	int64_t ttl_ms;
	off_t size;
	bool dated; /* with its commit's date */
};

#define DIR_RO (S_IFDIR | 0555)
#define DIR_RW (S_IFDIR | 0755)
#define FILE_RO (S_IFREG | 0444)
#define FILE_RW (S_IFREG | 0644)
#define LINK (S_IFLNK | 0777)

static const struct row rows[] = {
	{ "", DIR_RW, DIR_RO, VIEW_FOREVER, 0, false },
	{ "hub", DIR_RW, DIR_RO, VIEW_FOREVER, 0, false },
	{ "hub/.locks", DIR_RW, DIR_RO, VIEW_FOREVER, 0, false },
	{ MODEL, DIR_RO, DIR_RO, VIEW_FOREVER, 0, false },
	{ MODEL "/blobs", DIR_RO, DIR_RO, VIEW_FOREVER, 0, false },
	{ MODEL "/snapshots", DIR_RO, DIR_RO, VIEW_FOREVER, 0, false },
	{ MODEL "/refs", DIR_RW, DIR_RO, VIEW_FOREVER, 0, false },
	{ MODEL "/refs/refs/pr", DIR_RW, DIR_RO, VIEW_FOREVER, 0, false },
	{ MODEL "/.no_exist", DIR_RW, DIR_RO, VIEW_FOREVER, 0, false },
	{ MODEL "/trees", DIR_RW, DIR_RO, VIEW_FOREVER, 0, false },
	{ MODEL "/refs/main", FILE_RW, FILE_RO, VIEW_NEVER, 40, false },
	{ MAIN, DIR_RO, DIR_RO, VIEW_FOREVER, 0, true },
	{ MAIN "/onnx", DIR_RO, DIR_RO, VIEW_FOREVER, 0, true },
	{ MAIN "/config.json", LINK, LINK, VIEW_FOREVER, 52, true },
	{ MAIN "/" SHARD_NAME, LINK, LINK, VIEW_FOREVER, 76, true },
	{ "hub/models--old--model", LINK, LINK, VIEW_FOREVER, 18, false },
	{ SHARD, FILE_RO, FILE_RO, A_WHILE_MS, SEEDED_SHARD_BYTES, true },
	{ "files/org/model/" SHARD_NAME, FILE_RO, FILE_RO, A_WHILE_MS, SEEDED_SHARD_BYTES, true },
	{ ABSENT, DIR_RW, DIR_RO, VIEW_FOREVER, 0, true },
	{ ABSENT "/x.json", FILE_RW, FILE_RO, VIEW_FOREVER, 0, true },
	{ "files", DIR_RO, DIR_RO, VIEW_FOREVER, 0, false },
	{ "files/datasets", DIR_RO, DIR_RO, VIEW_FOREVER, 0, false },
	{ "files/org", DIR_RO, DIR_RO, VIEW_FOREVER, 0, false },
	{ "files/org/model", DIR_RO, DIR_RO, VIEW_FOREVER, 0, true },
	{ "files/org/model/onnx", DIR_RO, DIR_RO, VIEW_FOREVER, 0, true },
};

static struct stat stat_of(struct seeded_node *s, const char *path, int64_t *ret_ttl_ms)
{
	struct place p = seeded_node_place(s, path);
	struct stat st;

	assert_int_equal(attr_stat(&s->view, &p, &st, ret_ttl_ms), 0);
	assert_int_equal(st.st_mode & S_IFMT, place_format(&p));
	place_fini(&p);
	return st;
}

static void check_row(struct seeded_node *s, const struct row *row)
{
	int64_t ttl_ms;
	struct stat st = stat_of(s, row->path, &ttl_ms);

	if (st.st_mode != (s->view.strict_ro ? row->strict_mode : row->mode) ||
	    ttl_ms != row->ttl_ms || st.st_size != row->size)
		fail_msg("%s: mode %o, size %lld, %lld ms", row->path, st.st_mode,
			 (long long)st.st_size, (long long)ttl_ms);
	assert_int_equal(st.st_uid, SEEDED_UID);
	assert_int_equal(st.st_gid, SEEDED_GID);
	assert_int_equal(st.st_nlink, S_ISDIR(st.st_mode) ? 2 : 1);
	assert_int_equal(st.st_mtim.tv_sec, row->dated ? SEEDED_DATE_S : 0);
	assert_int_equal(st.st_ctim.tv_sec, st.st_mtim.tv_sec);
}

static void test_attributes(void **state)
{
	struct seeded_node *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_row(s, &rows[i]);
}

static void test_strict_directories_are_not_writable(void **state)
{
	struct seeded_node *s = *state;

	s->view.strict_ro = true;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_row(s, &rows[i]);
}

static void test_written_files_have_their_own(void **state)
{
	struct seeded_node *s = *state;
	int64_t ttl_ms;
	struct stat st;

	seeded_node_write(s, "hub", "CACHEDIR.TAG", S_IFREG | 0640);
	st = stat_of(s, "hub/CACHEDIR.TAG", &ttl_ms);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(st.st_uid, 1);
	assert_int_equal(st.st_gid, 2);
	assert_int_equal(ttl_ms, VIEW_NEVER);
}

/* ---- what is cached ---- */

/* Puts bytes below the cache directory, as fetch would. */
static void put_blob(struct seeded_node *s, const char *etag, off_t size, size_t bytes)
{
	static char data[3 * CHUNK];
	char path[128];
	int fd;

	assert_true(bytes <= sizeof(data));
	snprintf(path, sizeof(path), "blobs/%.2s", etag);
	assert_true(mkdirat(s->dir.dirfd, path, 0700) == 0 || errno == EEXIST);
	snprintf(path, sizeof(path), "blobs/%.2s/%s", etag, etag);
	fd = openat(s->dir.dirfd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	memset(data, 'x', sizeof(data));
	assert_int_equal(pwrite(fd, data, bytes, 0), (ssize_t)bytes);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(fsync(fd), 0);
	close(fd);
}

/* Writes its chunk map, with the first chunks there. */
static void put_map(struct seeded_node *s, const char *etag, uint64_t size, uint32_t chunks)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "blobs/%.2s/%s.map", etag, etag);
	fd = openat(s->dir.dirfd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(chunkmap_make(fd, size), 0);
	for (uint32_t i = 0; i < chunks; i++)
		assert_int_equal(chunkmap_put(fd, i, 1), 0);
	close(fd);
}

/* Writes a blob's row while no node has the index. */
static void put_row(struct seeded_node *s, const char *etag, uint64_t size, bool sealed)
{
	struct catalog_blob row = { .size = size, .sealed = sealed, .source = "http://hub" };
	CLEANUP(buf_free) struct buf why = { 0 };
	struct catalog *c = NULL;
	char dir[128];

	snprintf(dir, sizeof(dir), "%s/index", s->dir.path);
	assert_int_equal(catalog_open(dir, &c, &why), 0);
	assert_int_equal(catalog_put_blob(c, etag, &row), 0);
	catalog_close(c);
}

static void restart_with_row(struct seeded_node *s, const char *etag, uint64_t size, bool sealed)
{
	seeded_node_stop(s);
	put_row(s, etag, size, sealed);
	seeded_node_start(s);
}

static void check_xattr(struct seeded_node *s, const char *path, const char *name,
			const char *value)
{
	struct place p = seeded_node_place(s, path);
	CLEANUP(buf_free) struct buf b = { 0 };
	int r = attr_xattr(&s->view, &p, name, &b);

	assert_int_equal(r, value ? 0 : -ENODATA);
	assert_string_equal(buf_str(&b), value ? value : "");
	place_fini(&p);
}

static void check_unsupported(struct seeded_node *s, const char *path, const char *name)
{
	struct place p = seeded_node_place(s, path);
	CLEANUP(buf_free) struct buf b = { 0 };

	assert_int_equal(attr_xattr(&s->view, &p, name, &b), -EOPNOTSUPP);
	assert_int_equal(b.len, 0);
	place_fini(&p);
}

static void test_blocks_are_what_is_cached(void **state)
{
	struct seeded_node *s = *state;
	int64_t ttl_ms;

	assert_int_equal(stat_of(s, SHARD, &ttl_ms).st_blocks, 0);
	check_xattr(s, SHARD, "user.matrixfs.present", "0");
	put_blob(s, ETAG_SHARD_1, SEEDED_SHARD_BYTES, 2 * CHUNK);
	check_xattr(s, SHARD, "user.matrixfs.present", "0"); /* no chunk is whole */
	put_map(s, ETAG_SHARD_1, SEEDED_SHARD_BYTES, 2);
	assert_int_equal(stat_of(s, SHARD, &ttl_ms).st_blocks, 2 * CHUNK / 512);
	assert_int_equal(ttl_ms, VIEW_NEVER);
	check_xattr(s, SHARD, "user.matrixfs.present", "2097152");
	check_xattr(s, SHARD, "user.matrixfs.sealed", "0");
	check_xattr(s, SHARD, "user.matrixfs.source", "");
}

static void test_a_sealed_blob_is_whole_for_ever(void **state)
{
	struct seeded_node *s = *state;
	int64_t ttl_ms;

	put_blob(s, ETAG_README, 10, 10);
	restart_with_row(s, ETAG_README, 10, true);
	assert_int_equal(stat_of(s, MODEL "/blobs/" ETAG_README, &ttl_ms).st_blocks, 1);
	assert_int_equal(ttl_ms, VIEW_FOREVER);
	check_xattr(s, MODEL "/blobs/" ETAG_README, "user.matrixfs.sealed", "1");
	check_xattr(s, MODEL "/blobs/" ETAG_README, "user.matrixfs.source", "http://hub");
	check_xattr(s, MODEL "/blobs/" ETAG_README, "user.matrixfs.present", "10");
	/* The twins: a row without a file, with another size, of an unsealed blob. */
	restart_with_row(s, ETAG_CONFIG, 20, true);
	stat_of(s, MODEL "/blobs/" ETAG_CONFIG, &ttl_ms);
	assert_int_equal(ttl_ms, A_WHILE_MS);
	put_blob(s, ETAG_CONFIG, 20, 20);
	restart_with_row(s, ETAG_CONFIG, 19, true);
	stat_of(s, MODEL "/blobs/" ETAG_CONFIG, &ttl_ms);
	assert_int_equal(ttl_ms, VIEW_NEVER);
	restart_with_row(s, ETAG_CONFIG, 20, false);
	stat_of(s, MODEL "/blobs/" ETAG_CONFIG, &ttl_ms);
	assert_int_equal(ttl_ms, VIEW_NEVER);
}

/* ---- links ---- */

static void test_links(void **state)
{
	static const char *const links[][2] = {
		{ MAIN "/config.json", "../../blobs/" ETAG_CONFIG },
		{ MAIN "/" SHARD_NAME, "../../blobs/" ETAG_SHARD_1 },
		{ MAIN "/layers/layer2.bin", "../../../blobs/" HEX64("9") },
		{ MAIN "/onnx/quant/int8/model.onnx", "../../../../../blobs/" ETAG_DEEP },
		{ "hub/models--old--model", "models--org--model" },
		{ "hub/models--Org--Model", "models--org--model" },
	};
	struct seeded_node *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		struct place p = seeded_node_place(s, links[i][0]);
		CLEANUP(buf_free) struct buf target = { 0 };

		assert_int_equal(attr_link(&p, &target), 0);
		assert_string_equal(buf_str(&target), links[i][1]);
		place_fini(&p);
	}
}

/* Following a link by its text ends at the blob that the commit has there. */
static void test_links_lead_to_their_blobs(void **state)
{
	static const char *const paths[] = { "config.json", "layers/layer10.bin",
					     "onnx/quant/int8/model.onnx" };
	struct seeded_node *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		CLEANUP(buf_free) struct buf target = { 0 };
		char link[200], plain[200], blob[200];
		struct place p, q;

		snprintf(link, sizeof(link), MAIN "/%s", paths[i]);
		p = seeded_node_place(s, link);
		assert_int_equal(attr_link(&p, &target), 0);
		place_fini(&p);
		snprintf(blob, sizeof(blob), MODEL "/%s", strstr(buf_str(&target), "blobs/"));
		snprintf(plain, sizeof(plain), "files/org/model/%s", paths[i]);
		p = seeded_node_place(s, blob);
		q = seeded_node_place(s, plain);
		assert_true(place_same(&p, &q));
		place_fini(&p);
		place_fini(&q);
	}
}

static void test_no_links(void **state)
{
	static const char *const paths[] = {
		"", MODEL, MAIN, SHARD, MODEL "/refs/main", ABSENT "/x.json", "hub/CACHEDIR.TAG"
	};
	CLEANUP(buf_free) struct buf target = { 0 };
	struct seeded_node *s = *state;

	seeded_node_write(s, "hub", "CACHEDIR.TAG", S_IFREG | 0640);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct place p = seeded_node_place(s, paths[i]);

		assert_int_equal(attr_link(&p, &target), -EINVAL);
		place_fini(&p);
	}
	assert_int_equal(target.len, 0);
}

/* ---- texts ---- */

static int text_of(struct seeded_node *s, const char *path, struct buf *ret)
{
	struct place p = seeded_node_place(s, path);
	struct parked parked;
	int r;

	parked_init(&parked, 1000);
	buf_clear(ret);
	r = attr_text(&s->view, &p, &parked.waiter, ret);
	parked_fini(&parked);
	place_fini(&p);
	return r;
}

static void test_texts(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct seeded_node *s = *state;
	int64_t ttl_ms;

	assert_int_equal(text_of(s, MODEL "/refs/main", &text), 0);
	assert_string_equal(buf_str(&text), COMMIT_MAIN);
	assert_int_equal(text_of(s, MODEL "/refs/feature/y/z", &text), 0);
	assert_string_equal(buf_str(&text), COMMIT_OTHER);
	assert_int_equal(text_of(s, MODEL "/refs/refs/pr/1", &text), 0);
	assert_string_equal(buf_str(&text), COMMIT_OTHER);
	assert_int_equal(text_of(s, ABSENT "/x.json", &text), 0);
	assert_int_equal(text.len, 0);
	assert_int_equal(text_of(s, MODEL "/trees/" COMMIT_OTHER ".json", &text), 0);
	assert_non_null(strstr(buf_str(&text), "\"format_version\":1"));
	assert_non_null(strstr(buf_str(&text), "\"config.json\""));
	assert_null(strstr(buf_str(&text), "README.md"));
	assert_null(strstr(buf_str(&text), "xet"));
	assert_int_equal(stat_of(s, MODEL "/trees/" COMMIT_OTHER ".json", &ttl_ms).st_size,
			 text.len);
	assert_int_equal(ttl_ms, VIEW_FOREVER);
}

/* ---- extended attributes ---- */

static void test_extended_attributes(void **state)
{
	struct seeded_node *s = *state;
	CLEANUP(buf_free) struct buf names = { 0 };
	static const char all[] = "user.matrixfs.etag\0user.matrixfs.present\0"
				  "user.matrixfs.source\0user.matrixfs.sealed";
	struct place p = seeded_node_place(s, SHARD);

	assert_int_equal(attr_xattr_names(&p, &names), 0);
	assert_int_equal(names.len, sizeof(all));
	assert_memory_equal(names.data, all, sizeof(all));
	place_fini(&p);
	check_xattr(s, SHARD, "user.matrixfs.etag", ETAG_SHARD_1);
	check_xattr(s, "files/org/model/config.json", "user.matrixfs.etag", ETAG_CONFIG);
	check_xattr(s, SHARD, "user.matrixfs.", NULL);
	check_xattr(s, SHARD, "user.matrixfs.etags", NULL);
	check_xattr(s, SHARD, "user.etag", NULL);
	check_xattr(s, MAIN, "user.matrixfs.etag", NULL);
	check_xattr(s, MAIN "/config.json", "user.matrixfs.etag", NULL); /* a link */
}

/* ls -l asks for both, of each file, until it is told that the file system has none at all. */
static void test_there_are_no_labels_and_acls_anywhere(void **state)
{
	static const char *const paths[] = { "", "hub/.locks", MAIN, MAIN "/config.json", SHARD };
	struct seeded_node *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		check_unsupported(s, paths[i], "security.selinux");
		check_unsupported(s, paths[i], "system.posix_acl_access");
		check_xattr(s, paths[i], "user.other", NULL);
	}
}

static void test_only_files_of_models_have_them(void **state)
{
	static const char *const paths[] = { "", MODEL, MAIN, MODEL "/refs/main" };
	CLEANUP(buf_free) struct buf names = { 0 };
	struct seeded_node *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct place p = seeded_node_place(s, paths[i]);

		assert_int_equal(attr_xattr_names(&p, &names), 0);
		place_fini(&p);
	}
	assert_int_equal(names.len, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, seeded_node_setup, seeded_node_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_attributes),
		TEST(test_strict_directories_are_not_writable),
		TEST(test_written_files_have_their_own),
		TEST(test_blocks_are_what_is_cached),
		TEST(test_a_sealed_blob_is_whole_for_ever),
		TEST(test_links),
		TEST(test_links_lead_to_their_blobs),
		TEST(test_no_links),
		TEST(test_texts),
		TEST(test_extended_attributes),
		TEST(test_there_are_no_labels_and_acls_anywhere),
		TEST(test_only_files_of_models_have_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
