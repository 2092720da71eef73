/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tests/seeded_node.h"

#define MODEL "hub/models--org--model"
#define SHARD MODEL "/blobs/" ETAG_SHARD_1

/* A node to take places from, and a table. */
struct fixture {
	struct seeded_node *node;
	struct inodes *table;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *node = NULL;

	if (!f || seeded_node_setup(&node) < 0 || inodes_new(view_root(), &f->table) < 0)
		return -1;
	f->node = node;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	void *node = f->node;

	inodes_free(f->table);
	free(f);
	return seeded_node_teardown(&node);
}

static struct inode *look(struct fixture *f, struct place place)
{
	struct inode *i = NULL;

	assert_int_equal(inodes_look(f->table, place, &i), 0);
	assert_non_null(i);
	return i;
}

static struct inode *look_path(struct fixture *f, const char *path)
{
	return look(f, seeded_node_place(f->node, path));
}

/* ---- numbers and lookup counts ---- */

static void test_the_root_is_one(void **state)
{
	struct fixture *f = *state;
	struct inode *root = inodes_get(f->table, 1);

	assert_non_null(root);
	assert_int_equal(root->place.kind, PLACE_ROOT);
	assert_int_equal(root->number, 1);
	assert_ptr_equal(look_path(f, ""), root);
	assert_int_equal(inodes_count(f->table), 1);
	assert_null(inodes_get(f->table, 0));
	assert_null(inodes_get(f->table, 2));
}

static void test_equal_places_are_one_inode(void **state)
{
	struct fixture *f = *state;
	struct inode *blob = look_path(f, SHARD), *config = look_path(f, MODEL "/refs/main");

	assert_ptr_equal(look_path(f, "files/org/model/model-00001-of-00002.safetensors"), blob);
	assert_ptr_equal(look_path(f, "hub/models--mirror--model/blobs/" ETAG_SHARD_1), blob);
	assert_ptr_not_equal(config, blob);
	assert_int_equal(blob->lookups, 3);
	assert_int_equal(config->lookups, 1);
	assert_int_equal(inodes_count(f->table), 3);
	assert_ptr_equal(inodes_get(f->table, blob->number), blob);
}

/* Of a file in two repositories, that one is open which was asked for last. */
static void test_a_blob_is_where_it_was_looked_up_last(void **state)
{
	struct fixture *f = *state;
	struct inode *blob = look_path(f, SHARD);
	struct place there, here;

	assert_int_equal(inodes_recent(f->table, blob, &there), 0);
	look_path(f, "hub/models--mirror--model/blobs/" ETAG_SHARD_1);
	assert_int_equal(inodes_recent(f->table, blob, &here), 0);
	assert_int_equal(there.kind, PLACE_BLOB);
	assert_int_equal(here.kind, PLACE_BLOB);
	assert_string_equal(repo_id_of(there.snapshot->repo)->name, "org/model");
	assert_string_equal(repo_id_of(here.snapshot->repo)->name, "mirror/model");
	assert_string_equal(manifest_name(here.snapshot->files, here.node),
			    "model-00001-of-00002.safetensors");
	assert_ptr_equal(blob->place.snapshot, there.snapshot);
	place_fini(&there);
	place_fini(&here);
}

static void test_numbers_are_equal_in_a_new_table(void **state)
{
	static const char *const paths[] = { "hub", MODEL, MODEL "/refs/main", SHARD, "files/org" };
	struct fixture *f = *state;
	uint64_t numbers[ARRAY_LEN(paths)];

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		numbers[i] = look_path(f, paths[i])->number;
	inodes_free(f->table);
	seeded_node_restart(f->node);
	assert_int_equal(inodes_new(view_root(), &f->table), 0);
	for (size_t i = ARRAY_LEN(paths); i-- > 0;)
		assert_int_equal(look_path(f, paths[i])->number, numbers[i]);
}

static void test_it_is_forgotten_with_its_last_lookup(void **state)
{
	struct fixture *f = *state;
	struct inode *i = look_path(f, SHARD);
	uint64_t number = i->number;

	look_path(f, SHARD);
	look_path(f, SHARD);
	inodes_forget(f->table, number, 2);
	assert_ptr_equal(inodes_get(f->table, number), i);
	inodes_forget(f->table, number, 1);
	assert_null(inodes_get(f->table, number));
	assert_int_equal(inodes_count(f->table), 1);
	inodes_forget(f->table, number, 1); /* what the kernel never knew does no harm */
	assert_int_equal(look_path(f, SHARD)->number, number);
	inodes_forget(f->table, number, 100);
	assert_null(inodes_get(f->table, number));
}

static void test_a_taken_number_gives_the_next(void **state)
{
	struct fixture *f = *state;
	struct inode *a = look(f, seeded_node_collider("aaaaaaaa"));
	struct inode *b = look(f, seeded_node_collider("bbbbbbbb"));
	struct inode *c = look(f, seeded_node_collider("cccccccc"));
	uint64_t number = a->number;

	assert_int_equal(b->number, number + 1);
	assert_int_equal(c->number, number + 2);
	assert_ptr_equal(look(f, seeded_node_collider("bbbbbbbb")), b);
	assert_ptr_equal(look(f, seeded_node_collider("cccccccc")), c);
	assert_ptr_equal(look(f, seeded_node_collider("aaaaaaaa")), a);
	assert_int_equal(inodes_count(f->table), 4);

	/* The last of them goes, and comes back where it was. */
	inodes_forget(f->table, c->number, 2);
	assert_null(inodes_get(f->table, number + 2));
	assert_int_equal(look(f, seeded_node_collider("cccccccc"))->number, number + 2);
	/* No inode changes its number while the kernel knows it. */
	inodes_forget(f->table, number, 2);
	assert_string_equal(inodes_get(f->table, number + 1)->place.name, b->place.name);
}

static void test_find_blob(void **state)
{
	struct fixture *f = *state;
	uint64_t number = look_path(f, SHARD)->number;

	look_path(f, MODEL "/snapshots/" COMMIT_MAIN "/config.json"); /* a link is no blob */
	assert_int_equal(inodes_find_blob(f->table, ETAG_SHARD_1), number);
	assert_int_equal(inodes_find_blob(f->table, ETAG_CONFIG), 0);
	inodes_forget(f->table, number, 1);
	assert_int_equal(inodes_find_blob(f->table, ETAG_SHARD_1), 0);
}

/* ---- open modes ---- */

static void test_unsealed_is_cached(void **state)
{
	struct fixture *f = *state;
	struct inode *i = look_path(f, SHARD);
	int id = -1;

	assert_int_equal(inode_open(f->table, i, false, &id), OPEN_CACHED);
	assert_int_equal(id, 0);
	/* It was sealed meanwhile: the page cache is in use, so it stays so. */
	assert_int_equal(inode_open(f->table, i, true, &id), OPEN_CACHED);
	assert_int_equal(inode_release(f->table, i, false), 0);
	assert_int_equal(inode_open(f->table, i, true, &id), OPEN_CACHED);
	assert_int_equal(inode_release(f->table, i, false), 0);
	assert_int_equal(inode_release(f->table, i, false), 0);
	assert_int_equal(inode_open(f->table, i, true, &id), OPEN_NEEDS_ID);
}

static void test_sealed_is_passthrough(void **state)
{
	struct fixture *f = *state;
	struct inode *i = look_path(f, SHARD);
	int id, spare;

	assert_int_equal(inode_open(f->table, i, true, &id), OPEN_NEEDS_ID);
	assert_int_equal(inode_opened(f->table, i, 5, &id, &spare), OPEN_PASSTHROUGH);
	assert_int_equal(id, 5);
	assert_int_equal(spare, 0);
	/* All share the id, but one that was told it is not sealed any more gets neither it nor
	 * what the kernel would not allow beside it. */
	assert_int_equal(inode_open(f->table, i, true, &id), OPEN_PASSTHROUGH);
	assert_int_equal(id, 5);
	assert_int_equal(inode_open(f->table, i, false, &id), OPEN_REFUSED);
	assert_int_equal(inode_release(f->table, i, true), 0);
	assert_int_equal(inode_release(f->table, i, true), 5);
	assert_int_equal(inode_open(f->table, i, true, &id), OPEN_NEEDS_ID);
	/* None could be had. */
	assert_int_equal(inode_opened(f->table, i, 0, &id, &spare), OPEN_CACHED);
	assert_int_equal(id, 0);
	assert_int_equal(spare, 0);
	assert_int_equal(inode_release(f->table, i, false), 0);
}

static void test_the_slower_of_two_has_an_id_to_spare(void **state)
{
	struct fixture *f = *state;
	struct inode *i = look_path(f, SHARD);
	int id, spare;

	assert_int_equal(inode_open(f->table, i, true, &id), OPEN_NEEDS_ID);
	assert_int_equal(inode_open(f->table, i, true, &id), OPEN_NEEDS_ID);
	assert_int_equal(inode_opened(f->table, i, 5, &id, &spare), OPEN_PASSTHROUGH);
	assert_int_equal(inode_opened(f->table, i, 6, &id, &spare), OPEN_PASSTHROUGH);
	assert_int_equal(id, 5);
	assert_int_equal(spare, 6);
	assert_int_equal(inode_release(f->table, i, true), 0);
	assert_int_equal(inode_release(f->table, i, true), 5);
	/* A cached open came in between. */
	assert_int_equal(inode_open(f->table, i, true, &id), OPEN_NEEDS_ID);
	assert_int_equal(inode_open(f->table, i, false, &id), OPEN_CACHED);
	assert_int_equal(inode_opened(f->table, i, 7, &id, &spare), OPEN_CACHED);
	assert_int_equal(spare, 7);
	assert_int_equal(inode_release(f->table, i, false), 0);
	assert_int_equal(inode_release(f->table, i, false), 0);
}

/* All sequences of opens, answers and releases up to a length, against a model that knows only the
 * rule: never both kinds at once, an id lives from its first open to its last release. */
#define DEPTH 9

struct model {
	unsigned cached, passthrough, waiting;
	int id, next_id, ids_alive;
};

enum step { OPEN, OPEN_SEALED, ANSWER_ID, ANSWER_NONE, RELEASE_CACHED, RELEASE_PASS, STEPS };

static unsigned sequences;

static void count(struct model *m, enum open_mode mode, int id)
{
	m->waiting += mode == OPEN_NEEDS_ID;
	m->cached += mode == OPEN_CACHED;
	m->passthrough += mode == OPEN_PASSTHROUGH;
	if (mode == OPEN_PASSTHROUGH)
		assert_int_equal(id, m->id);
}

static void ask(struct inodes *t, struct inode *i, struct model *m, bool sealed)
{
	int id;
	enum open_mode mode = inode_open(t, i, sealed, &id);

	count(m, mode, id);
}

static void answer(struct inodes *t, struct inode *i, struct model *m, int fresh)
{
	int id, spare;
	enum open_mode mode;

	m->waiting--;
	m->ids_alive += fresh != 0;
	mode = inode_opened(t, i, fresh, &id, &spare);
	assert_true(mode != OPEN_NEEDS_ID && (!spare || spare == fresh));
	m->ids_alive -= spare != 0;
	if (fresh && !spare)
		m->id = fresh;
	count(m, mode, id);
	assert_int_equal(mode == OPEN_PASSTHROUGH, m->id != 0);
}

static void release(struct inodes *t, struct inode *i, struct model *m, bool passthrough)
{
	int id = inode_release(t, i, passthrough);

	if (!passthrough) {
		m->cached--;
		assert_int_equal(id, 0);
		return;
	}
	m->passthrough--;
	assert_int_equal(id, m->passthrough ? 0 : m->id);
	m->ids_alive -= id != 0;
	m->id = m->passthrough ? m->id : 0;
}

static bool can(const struct model *m, enum step step)
{
	switch (step) {
	case ANSWER_ID:
	case ANSWER_NONE:
		return m->waiting > 0;
	case RELEASE_CACHED:
		return m->cached > 0;
	case RELEASE_PASS:
		return m->passthrough > 0;
	default:
		return true;
	}
}

static void take(struct inodes *t, struct inode *i, struct model *m, enum step step)
{
	if (step == OPEN || step == OPEN_SEALED)
		ask(t, i, m, step == OPEN_SEALED);
	else if (step == ANSWER_ID || step == ANSWER_NONE)
		answer(t, i, m, step == ANSWER_ID ? m->next_id++ : 0);
	else
		release(t, i, m, step == RELEASE_PASS);
}

static void check(const struct inode *i, const struct model *m)
{
	assert_true(m->cached == 0 || m->passthrough == 0);
	assert_int_equal(i->cached_opens, m->cached);
	assert_int_equal(i->passthrough_opens, m->passthrough);
	assert_int_equal(i->backing_id, m->id);
	assert_int_equal(m->id != 0, m->passthrough > 0);
	assert_int_equal(m->ids_alive, m->id != 0); /* none leaks, none is closed twice */
}

static void explore(struct inodes *t, struct inode *i, const struct model *before, int depth)
{
	const struct inode saved = *i;

	sequences++;
	for (enum step step = 0; depth > 0 && step < STEPS; step++) {
		struct model m = *before;

		if (!can(&m, step))
			continue;
		take(t, i, &m, step);
		check(i, &m);
		explore(t, i, &m, depth - 1);
		*i = saved;
	}
}

static void test_all_sequences_of_opens(void **state)
{
	const struct model start = { .next_id = 1 };
	struct fixture *f = *state;

	explore(f->table, look_path(f, SHARD), &start, DEPTH);
	assert_true(sequences > 10000);
}

/* ---- threads ---- */

#define THREADS 4
#define ROUNDS 3000
#define FILES 3

static const char *const shared_paths[FILES] = {
	SHARD,
	MODEL "/blobs/" ETAG_README,
	MODEL "/blobs/" ETAG_CONFIG,
};

struct shared {
	struct inodes *table;
	struct place places[FILES];
	/* Opens that are surely under way, by file and kind. */
	atomic_uint opens[FILES][2];
	atomic_int next_id, ids_alive;
};

struct visitor {
	struct shared *shared;
	unsigned seed;
	pthread_t thread;
	bool failed;
};

static enum open_mode open_file(struct shared *s, struct inode *i, bool sealed)
{
	int id, spare;
	enum open_mode mode = inode_open(s->table, i, sealed, &id);

	if (mode != OPEN_NEEDS_ID)
		return mode;
	atomic_fetch_add(&s->ids_alive, 1);
	mode = inode_opened(s->table, i, atomic_fetch_add(&s->next_id, 1), &id, &spare);
	if (spare)
		atomic_fetch_sub(&s->ids_alive, 1);
	return mode;
}

/* One visit of a file: looked up, opened, released, forgotten. False if both kinds were open. */
static bool visit(struct shared *s, int file, bool sealed)
{
	struct place place;
	struct inode *i;
	enum open_mode mode;
	bool pass, good;

	if (place_copy(&s->places[file], &place) < 0 || inodes_look(s->table, place, &i) < 0)
		return false;
	mode = open_file(s, i, sealed);
	if (mode == OPEN_REFUSED) {
		inodes_forget(s->table, i->number, 1);
		return !sealed;
	}
	pass = mode == OPEN_PASSTHROUGH;
	atomic_fetch_add(&s->opens[file][pass], 1);
	good = atomic_load(&s->opens[file][!pass]) == 0 && inodes_get(s->table, i->number) == i;
	atomic_fetch_sub(&s->opens[file][pass], 1);
	if (inode_release(s->table, i, pass))
		atomic_fetch_sub(&s->ids_alive, 1);
	inodes_forget(s->table, i->number, 1);
	return good;
}

static void *wander(void *arg)
{
	struct visitor *v = arg;

	for (int round = 0; round < ROUNDS && !v->failed; round++)
		v->failed = !visit(v->shared, rand_r(&v->seed) % FILES, rand_r(&v->seed) % 4 != 0);
	return NULL;
}

static void test_threads(void **state)
{
	struct fixture *f = *state;
	struct shared s = { .table = f->table, .next_id = 1 };
	struct visitor visitors[THREADS];

	for (int i = 0; i < FILES; i++)
		s.places[i] = seeded_node_place(f->node, shared_paths[i]);
	for (unsigned i = 0; i < THREADS; i++) {
		visitors[i] = (struct visitor){ .shared = &s, .seed = i + 1 };
		assert_int_equal(pthread_create(&visitors[i].thread, NULL, wander, &visitors[i]),
				 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(visitors[i].thread, NULL);
		assert_false(visitors[i].failed);
	}
	assert_int_equal(s.ids_alive, 0);
	assert_int_equal(inodes_count(f->table), 1);
	for (int i = 0; i < FILES; i++)
		place_fini(&s.places[i]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_root_is_one),
		TEST(test_equal_places_are_one_inode),
		TEST(test_a_blob_is_where_it_was_looked_up_last),
		TEST(test_numbers_are_equal_in_a_new_table),
		TEST(test_it_is_forgotten_with_its_last_lookup),
		TEST(test_a_taken_number_gives_the_next),
		TEST(test_find_blob),
		TEST(test_unsealed_is_cached),
		TEST(test_sealed_is_passthrough),
		TEST(test_the_slower_of_two_has_an_id_to_spare),
		TEST(test_all_sequences_of_opens),
		TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
