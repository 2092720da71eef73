/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nfs_objects.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/base/clock.h"
#include "tests/seeded_node.h"

#define MODEL "hub/models--org--model"
#define MAIN MODEL "/snapshots/" COMMIT_MAIN
#define ABSENT MODEL "/.no_exist/" COMMIT_MAIN
#define LIFE 1
/* More than a handle has room for. */
#define LONG_ORG "an-organization-whose-name-is-longer-than-a-handle"
#define OLD_ORG LONG_ORG "-was"

#define OLD_KEY "the key of these tests, 32 bytes"
#define NEW_KEY "another one, as long as that one"

static const struct nfs_keys old_key = { .at = { OLD_KEY }, .count = 1 };
static const struct nfs_keys both_keys = { .at = { NEW_KEY, OLD_KEY }, .count = 2 };
static const struct nfs_keys new_key = { .at = { NEW_KEY }, .count = 1 };

/* One path of each kind, but what clients wrote. */
static const char *const spots[] = {
	"",
	"hub",
	"hub/.locks",
	"hub/.locks/models--org--model",
	"hub/.locks/models--never--seen",
	MODEL,
	"hub/models--gpt2",
	"hub/models--old--model",
	MODEL "/blobs",
	MODEL "/snapshots",
	MODEL "/refs",
	MODEL "/refs/feature",
	MODEL "/refs/main",
	MODEL "/refs/feature/y/z",
	MAIN,
	MAIN "/onnx",
	"hub/models--mirror--model/snapshots/" COMMIT_MAIN,
	MAIN "/config.json",
	MODEL "/blobs/" ETAG_CONFIG,
	"hub/models--mirror--model/blobs/" ETAG_CONFIG,
	MODEL "/blobs/" ETAG_SHARD_1,
	MODEL "/.no_exist",
	ABSENT,
	ABSENT "/sub",
	ABSENT "/sub/x.json",
	MODEL "/trees",
	MODEL "/trees/" COMMIT_MAIN ".json",
	"files",
	"files/datasets",
	"files/org",
	"files/datasets/org",
	"files/org/model",
	"files/org/model@" COMMIT_OTHER,
};

static struct nfs_objects *start(struct seeded_node *s, uint64_t life)
{
	struct nfs_objects *t;

	assert_int_equal(nfs_objects_new(&s->view, &old_key, life, &t), 0);
	return t;
}

static struct nfs_fh handle_of(struct nfs_objects *t, struct seeded_node *s, const char *path)
{
	struct place p = seeded_node_place(s, path);
	struct nfs_fh fh;

	assert_int_equal(nfs_objects_handle(t, &p, &fh), 0);
	place_fini(&p);
	return fh;
}

static int find(struct nfs_objects *t, const struct nfs_fh *fh, struct place *ret)
{
	struct parked w;
	int r;

	parked_init(&w, 1000);
	r = nfs_objects_find(t, fh, &w.waiter, ret);
	if (r == PARKED)
		r = parked_wait(&w);
	parked_fini(&w);
	return r;
}

static void assert_is(struct nfs_objects *t, struct seeded_node *s, const struct nfs_fh *fh,
		      const char *path)
{
	struct place there = seeded_node_place(s, path), p = { 0 };
	int r = find(t, fh, &p);

	if (r != 0 || !place_same(&there, &p))
		fail_msg("%s: %d", path, r);
	place_fini(&p);
	place_fini(&there);
}

static void a_handle_names_its_place_also_after_a_restart(void **state)
{
	struct nfs_fh fh[ARRAY_LEN(spots)];
	struct seeded_node *s = *state;
	struct nfs_objects *t = start(s, LIFE);

	for (size_t i = 0; i < ARRAY_LEN(spots); i++) {
		fh[i] = handle_of(t, s, spots[i]);
		for (size_t k = 0; k < i; k++)
			assert_false(fh[k].len == fh[i].len &&
				     memcmp(fh[k].bytes, fh[i].bytes, fh[i].len) == 0);
		assert_is(t, s, &fh[i], spots[i]);
		assert_is(t, s, &fh[i], spots[i]); /* as it was found before */
	}
	nfs_objects_free(t);
	seeded_node_stop(s);
	seeded_node_start(s);
	t = start(s, LIFE + 1);
	for (size_t i = 0; i < ARRAY_LEN(spots); i++)
		assert_is(t, s, &fh[i], spots[i]);
	nfs_objects_free(t);
}

/* Names that a handle has no room for are found by their digest, if they are known. */
static void handles_of_long_names_are_good_after_a_restart(void **state)
{
	static const char *const paths[] = { "hub/models--" OLD_ORG "--old", "files/" LONG_ORG,
					     "hub/.locks/models--" LONG_ORG "--model" };
	const struct repo_id old = { REPO_MODEL, OLD_ORG "/old" },
			     new = { REPO_MODEL, LONG_ORG "/model" };
	struct nfs_fh fh[ARRAY_LEN(paths)], other;
	struct seeded_node *s = *state;
	struct nfs_objects *t = start(s, LIFE);
	struct place p = { 0 };

	assert_int_equal(known_add_repo(node_known(s->node), &old, &new), 0);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		fh[i] = handle_of(t, s, paths[i]);
	other = handle_of(t, s, "files/" OLD_ORG "-of-nobody");
	nfs_objects_free(t);
	seeded_node_stop(s);
	seeded_node_start(s);
	t = start(s, LIFE + 1);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		assert_is(t, s, &fh[i], paths[i]);
	assert_int_equal(find(t, &other, &p), -ESTALE);
	nfs_objects_free(t);
}

static void what_clients_wrote_is_gone_with_the_process(void **state)
{
	struct seeded_node *s = *state;
	struct nfs_objects *t = start(s, LIFE), *next;
	struct place p = { 0 };
	struct nfs_fh fh;

	seeded_node_write(s, "hub", "CACHEDIR.TAG", S_IFREG | 0644);
	fh = handle_of(t, s, "hub/CACHEDIR.TAG");
	assert_is(t, s, &fh, "hub/CACHEDIR.TAG");
	next = start(s, LIFE + 1);
	assert_int_equal(find(next, &fh, &p), -ESTALE);
	nfs_objects_free(next);
	nfs_objects_free(t);
}

static void what_was_removed_is_stale_although_it_is_remembered(void **state)
{
	struct seeded_node *s = *state;
	struct nfs_objects *t = start(s, LIFE);
	struct scratch_node *hub;
	struct place p = { 0 };
	struct nfs_fh fh;

	seeded_node_write(s, "hub", "CACHEDIR.TAG", S_IFREG | 0644);
	fh = handle_of(t, s, "hub/CACHEDIR.TAG");
	assert_is(t, s, &fh, "hub/CACHEDIR.TAG");
	assert_int_equal(scratch_dir(s->scratch, "hub", false, &hub), 0);
	assert_int_equal(scratch_unlink(s->scratch, hub, "CACHEDIR.TAG"), 0);
	scratch_unref(s->scratch, hub);
	assert_int_equal(find(t, &fh, &p), -ESTALE);
	nfs_objects_free(t);
}

static void what_is_not_known_is_stale(void **state)
{
	struct seeded_node *s = *state;
	struct nfs_objects *t = start(s, LIFE);
	struct nfs_form f = { .kind = PLACE_REPO, .repo = 12345 };
	struct place p = { 0 };
	struct nfs_fh fh;

	assert_int_equal(nfs_handle_print(old_key.at[0], &f, &fh), 0);
	assert_int_equal(find(t, &fh, &p), -ESTALE);
	fh.bytes[0]++;
	assert_int_equal(find(t, &fh, &p), NFS_BADHANDLE);
	nfs_objects_free(t);
}

static void handles_of_the_old_key_name_the_same_places_until_it_goes(void **state)
{
	struct nfs_objects *before, *during, *after;
	struct nfs_fh was[ARRAY_LEN(spots)];
	struct seeded_node *s = *state;
	struct place p = { 0 };

	before = start(s, LIFE);
	for (size_t i = 0; i < ARRAY_LEN(spots); i++)
		was[i] = handle_of(before, s, spots[i]);
	assert_int_equal(nfs_objects_new(&s->view, &both_keys, LIFE, &during), 0);
	assert_int_equal(nfs_objects_new(&s->view, &new_key, LIFE, &after), 0);
	for (size_t i = 0; i < ARRAY_LEN(spots); i++) {
		struct nfs_fh is = handle_of(during, s, spots[i]);

		assert_true(is.len != was[i].len || memcmp(is.bytes, was[i].bytes, is.len) != 0);
		assert_is(during, s, &was[i], spots[i]);
		assert_is(during, s, &is, spots[i]);
		assert_is(after, s, &is, spots[i]);
		assert_int_equal(find(after, &was[i], &p), NFS_BADHANDLE);
		assert_int_equal(find(before, &is, &p), NFS_BADHANDLE);
	}
	nfs_objects_free(after);
	nfs_objects_free(during);
	nfs_objects_free(before);
}

static void a_file_stays_open_for_who_reads_on(void **state)
{
	struct seeded_node *s = *state;
	struct nfs_objects *t = start(s, LIFE);
	struct place p = seeded_node_place(s, MODEL "/blobs/" ETAG_SHARD_1);
	struct handle *one, *two, *three;
	struct nfs_fh fh;

	assert_int_equal(nfs_objects_handle(t, &p, &fh), 0);
	assert_int_equal(nfs_objects_open(t, &fh, &p, &one), 0); /* not noted: it is the caller's */
	nfs_objects_note(t, &fh, &p);
	assert_int_equal(nfs_objects_open(t, &fh, &p, &two), 0);
	assert_ptr_not_equal(one, two);
	node_close_file(s->node, one);
	node_close_file(s->node, two);
	assert_int_equal(nfs_objects_open(t, &fh, &p, &three), 0);
	assert_ptr_equal(two, three);
	nfs_objects_tick(t); /* read just now */
	node_close_file(s->node, three);
	assert_int_equal(nfs_objects_open(t, &fh, &p, &one), 0);
	assert_ptr_equal(one, three);
	node_close_file(s->node, one);
	place_fini(&p);
	nfs_objects_free(t);
}

static void a_file_nobody_reads_any_more_is_closed_for_who_needs_the_room(void **state)
{
	struct seeded_node *s = *state;
	struct nfs_objects *t = start(s, LIFE);
	struct place p = seeded_node_place(s, MODEL "/blobs/" ETAG_SHARD_1);
	struct handle *h;
	struct nfs_fh fh;

	assert_int_equal(nfs_objects_handle(t, &p, &fh), 0);
	nfs_objects_note(t, &fh, &p);
	assert_int_equal(nfs_objects_open(t, &fh, &p, &h), 0);
	node_close_file(s->node, h);
	assert_false(nfs_objects_let_go(t, ETAG_SHARD_1)); /* it was read just now */
	clock_sleep_ms(2100);
	nfs_objects_tick(t); /* not long ago for who reads on */
	assert_false(nfs_objects_let_go(t, ETAG_CONFIG));
	h = nfs_objects_opened(t, &fh);
	assert_non_null(h);
	node_close_file(s->node, h);
	assert_false(nfs_objects_let_go(t, ETAG_SHARD_1)); /* again */
	clock_sleep_ms(2100);
	assert_true(nfs_objects_let_go(t, ETAG_SHARD_1));
	assert_null(nfs_objects_opened(t, &fh));
	assert_false(nfs_objects_let_go(t, ETAG_SHARD_1));
	place_fini(&p);
	nfs_objects_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_handle_names_its_place_also_after_a_restart,
						seeded_node_setup, seeded_node_teardown),
		cmocka_unit_test_setup_teardown(handles_of_long_names_are_good_after_a_restart,
						seeded_node_setup, seeded_node_teardown),
		cmocka_unit_test_setup_teardown(what_clients_wrote_is_gone_with_the_process,
						seeded_node_setup, seeded_node_teardown),
		cmocka_unit_test_setup_teardown(what_was_removed_is_stale_although_it_is_remembered,
						seeded_node_setup, seeded_node_teardown),
		cmocka_unit_test_setup_teardown(what_is_not_known_is_stale, seeded_node_setup,
						seeded_node_teardown),
		cmocka_unit_test_setup_teardown(
			handles_of_the_old_key_name_the_same_places_until_it_goes,
			seeded_node_setup, seeded_node_teardown),
		cmocka_unit_test_setup_teardown(a_file_stays_open_for_who_reads_on,
						seeded_node_setup, seeded_node_teardown),
		cmocka_unit_test_setup_teardown(
			a_file_nobody_reads_any_more_is_closed_for_who_needs_the_room,
			seeded_node_setup, seeded_node_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
