/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes that outlive the process that made them. */
#include "fs/heritage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/base/file.h"
#include "fs/inode.h"
#include "tests/seeded_node.h"

#define MODEL "hub/models--org--model"
#define SHARD MODEL "/blobs/" ETAG_SHARD_1

struct fixture {
	struct seeded_node *node;
	struct estate *estate;
	struct inodes *table;
};

static void begin(struct fixture *f)
{
	assert_int_equal(inodes_new(view_root(), &f->table), 0);
	assert_int_equal(inodes_inherit(f->table, f->estate, &f->node->view), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *node = NULL;

	if (!f || seeded_node_setup(&node) < 0 || estate_new(&f->estate) < 0)
		return -1;
	f->node = node;
	begin(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	void *node = f->node;

	inodes_free(f->table);
	estate_free(f->estate);
	free(f);
	return seeded_node_teardown(&node);
}

/* The process is another one. */
static void succeed(struct fixture *f)
{
	struct estate *next = NULL;

	assert_int_equal(estate_inherit(estate_fd(f->estate), &next), 0);
	assert_int_equal(estate_leave(f->estate), 0);
	inodes_free(f->table);
	estate_free(f->estate);
	f->estate = next;
	seeded_node_restart(f->node);
	begin(f);
}

static struct inode *look(struct fixture *f, const char *path)
{
	struct inode *i = NULL;

	assert_int_equal(inodes_look(f->table, seeded_node_place(f->node, path), &i), 0);
	return i;
}

static void test_every_kind_of_place_is_found_again(void **state)
{
	static const char *const paths[] = {
		"hub",
		"hub/.locks",
		"hub/.locks/models--org--model",
		MODEL,
		"hub/models--old--model",
		MODEL "/blobs",
		MODEL "/snapshots",
		MODEL "/refs",
		MODEL "/refs/refs/pr",
		MODEL "/refs/main",
		MODEL "/snapshots/" COMMIT_MAIN,
		MODEL "/snapshots/" COMMIT_MAIN "/config.json",
		SHARD,
		MODEL "/.no_exist",
		MODEL "/.no_exist/" COMMIT_MAIN,
		MODEL "/.no_exist/" COMMIT_MAIN "/none.json",
		MODEL "/trees",
		MODEL "/trees/" COMMIT_MAIN ".json",
		"files",
		"files/datasets",
		"files/org",
		"files/org/model",
		"files/org/model/onnx/quant",
		"files/datasets/org/data/README.md",
	};
	struct fixture *f = *state;
	uint64_t numbers[ARRAY_LEN(paths)];

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		numbers[i] = look(f, paths[i])->number;
	for (int life = 0; life < 2; life++) {
		succeed(f);
		assert_int_equal(inodes_count(f->table), ARRAY_LEN(paths) + 1);
		for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
			struct place want = seeded_node_place(f->node, paths[i]);
			struct inode *found = inodes_get(f->table, numbers[i]);

			assert_non_null(found);
			assert_true(place_same(&found->place, &want));
			assert_int_equal(found->lookups, 1);
			place_fini(&want);
		}
		assert_int_equal(inodes_count(f->table), ARRAY_LEN(paths) + 1);
	}
	/* The twin: a process that has no estate knows none of them. */
	inodes_free(f->table);
	assert_int_equal(inodes_new(view_root(), &f->table), 0);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		assert_null(inodes_get(f->table, numbers[i]));
}

/* What a process of 0.1.0 left, up to its last record; the file is as long as it grew. */
#define LEFT_BY_0_1_0 "tests/corpus/estate/0.1.0"
#define LEFT_BYTES (1 << 20)

static const char *const left_paths[] = {
	"hub",
	"hub/.locks/models--org--model",
	"hub/models--old--model",
	MODEL "/refs/refs/pr",
	MODEL "/refs/main",
	MODEL "/snapshots/" COMMIT_MAIN "/config.json",
	SHARD,
	MODEL "/.no_exist/" COMMIT_MAIN "/none.json",
	MODEL "/trees/" COMMIT_MAIN ".json",
	"files/datasets",
	"files/org/model/onnx/quant",
	"files/datasets/org/data/README.md",
};

static void take_left(struct fixture *f)
{
	CLEANUP(closep) int fd = memfd_create("left", MFD_CLOEXEC);
	CLEANUP(buf_free) struct buf bytes = { 0 };

	assert_int_equal(file_read_all(AT_FDCWD, LEFT_BY_0_1_0, LEFT_BYTES, &bytes), 0);
	assert_int_equal(file_pwrite(fd, bytes.data, bytes.len, 0), 0);
	assert_int_equal(ftruncate(fd, LEFT_BYTES), 0);
	inodes_free(f->table);
	estate_free(f->estate);
	assert_int_equal(estate_inherit(fd, &f->estate), 0);
	begin(f);
}

/* Where a change of the program gives a kind, a number or a field another meaning, this fails: that
 * is a new version of the estate, which reads this one, too (docs/formats.md). */
static void test_what_0_1_0_left_means_what_it_meant(void **state)
{
	struct fixture *f = *state;

	take_left(f);
	assert_int_equal(inodes_count(f->table), ARRAY_LEN(left_paths) + 1);
	for (size_t i = 0; i < ARRAY_LEN(left_paths); i++) {
		struct place want = seeded_node_place(f->node, left_paths[i]);
		struct inode *found = inodes_get(f->table, place_number(&want));

		if (!found || !place_same(&found->place, &want))
			fail_msg("%s is not what it was", left_paths[i]);
		assert_int_equal(found->lookups, 1 + i % 3);
		place_fini(&want);
	}
	/* The twin: what it does not know is not there. */
	assert_int_equal(inodes_find_blob(f->table, ETAG_CONFIG), 0);
}

static void test_lookups_are_counted_on(void **state)
{
	struct fixture *f = *state;
	uint64_t shard = look(f, SHARD)->number, main_ref = look(f, MODEL "/refs/main")->number;

	look(f, SHARD);
	succeed(f);
	assert_int_equal(look(f, SHARD)->lookups, 3);
	inodes_forget(f->table, shard, 2);
	inodes_forget(f->table, main_ref, 1); /* never used here */
	inodes_forget(f->table, main_ref, 1);
	assert_null(inodes_get(f->table, main_ref));
	succeed(f);
	assert_null(inodes_get(f->table, main_ref));
	assert_non_null(inodes_get(f->table, shard));
	inodes_forget(f->table, shard, 1);
	succeed(f);
	assert_int_equal(inodes_count(f->table), 1);
}

static uint64_t open_by_passthrough(struct fixture *f)
{
	struct inode *i = look(f, SHARD);
	int id, spare;

	assert_int_equal(inode_open(f->table, i, true, &id), OPEN_NEEDS_ID);
	assert_int_equal(inode_opened(f->table, i, 5, &id, &spare), OPEN_PASSTHROUGH);
	return i->number;
}

static void test_open_modes_go_on(void **state)
{
	struct fixture *f = *state;
	uint64_t number = open_by_passthrough(f);
	struct inode *i;
	int id;

	succeed(f);
	inodes_count_left(f->table, number, true);
	assert_int_equal(inodes_take_stray_id(f->table), 0);
	i = inodes_get(f->table, number);
	assert_int_equal(inode_open(f->table, i, true, &id), OPEN_PASSTHROUGH);
	assert_int_equal(id, 5);
	assert_int_equal(inode_release(f->table, i, true), 0);
	succeed(f);
	inodes_count_left(f->table, number, true);
	i = inodes_get(f->table, number);
	assert_int_equal(inode_release(f->table, i, true), 5);
	assert_int_equal(inode_open(f->table, i, false, &id), OPEN_CACHED);
	succeed(f);
	inodes_count_left(f->table, number, false);
	i = inodes_get(f->table, number);
	assert_int_equal(inode_open(f->table, i, true, &id), OPEN_CACHED);
}

/* The process before got an id, and ended before its open was to be found. */
static void test_an_id_that_nobody_has_open_is_closed(void **state)
{
	struct fixture *f = *state;
	uint64_t number = open_by_passthrough(f);
	struct inode *i;
	int id;

	succeed(f);
	assert_int_equal(inodes_take_stray_id(f->table), 5);
	assert_int_equal(inodes_take_stray_id(f->table), 0);
	i = inodes_get(f->table, number);
	assert_int_equal(inode_open(f->table, i, true, &id), OPEN_NEEDS_ID);
	succeed(f);
	assert_int_equal(inodes_take_stray_id(f->table), 0);
}

static void test_the_blobs_that_were_left(void **state)
{
	CLEANUP(freep) uint64_t *list = NULL;
	CLEANUP(place_fini) struct place place = { 0 };
	struct fixture *f = *state;
	uint64_t number = look(f, SHARD)->number;
	size_t count;

	look(f, MODEL "/refs/main");
	succeed(f);
	assert_int_equal(inodes_left_blobs(f->table, &list, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(list[0], number);
	assert_int_equal(inodes_place(f->table, number, &place), 0);
	assert_int_equal(place.kind, PLACE_BLOB);
	inodes_forget(f->table, number, 1);
	place_fini(&place);
	place = (struct place){ 0 };
	assert_int_equal(inodes_place(f->table, number, &place), -ESTALE);
}

static void test_a_blob_is_where_it_was_looked_up_last(void **state)
{
	struct fixture *f = *state;
	uint64_t number = look(f, SHARD)->number;
	struct place there;

	look(f, "hub/models--mirror--model/blobs/" ETAG_SHARD_1);
	succeed(f);
	assert_int_equal(inodes_recent(f->table, inodes_get(f->table, number), &there), 0);
	assert_string_equal(repo_id_of(there.snapshot->repo)->name, "mirror/model");
	place_fini(&there);
}

static void test_a_digest_finds_what_was_not_used_yet(void **state)
{
	struct fixture *f = *state;
	uint64_t number = look(f, SHARD)->number;

	succeed(f);
	assert_int_equal(inodes_find_blob(f->table, ETAG_SHARD_1), number);
	assert_int_equal(inodes_find_blob(f->table, ETAG_CONFIG), 0);
}

/* Two places that want one number keep theirs, whoever is seen first. */
static void test_collisions_stay_as_they_were(void **state)
{
	struct fixture *f = *state;
	struct inode *a = NULL, *b = NULL;
	uint64_t number;

	assert_int_equal(inodes_look(f->table, seeded_node_collider("aaaaaaaa"), &a), 0);
	assert_int_equal(inodes_look(f->table, seeded_node_collider("bbbbbbbb"), &b), 0);
	number = a->number;
	assert_int_equal(b->number, number + 1);
	succeed(f);
	assert_int_equal(inodes_look(f->table, seeded_node_collider("bbbbbbbb"), &b), 0);
	assert_int_equal(b->number, number + 1);
	assert_int_equal(inodes_look(f->table, seeded_node_collider("aaaaaaaa"), &a), 0);
	assert_int_equal(a->number, number);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_every_kind_of_place_is_found_again),
		TEST(test_what_0_1_0_left_means_what_it_meant),
		TEST(test_lookups_are_counted_on),
		TEST(test_open_modes_go_on),
		TEST(test_an_id_that_nobody_has_open_is_closed),
		TEST(test_the_blobs_that_were_left),
		TEST(test_a_blob_is_where_it_was_looked_up_last),
		TEST(test_a_digest_finds_what_was_not_used_yet),
		TEST(test_collisions_stay_as_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
