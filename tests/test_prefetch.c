/* SPDX-License-Identifier: Apache-2.0 */
/* Guesses. A reader is what node does for one: a handle, a watch, and news of what was read. */
#include "daemon/fetch/prefetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/base/log.h"
#include "daemon/cache/chunk.h"
#include "daemon/fetch/pull.h"
#include "tests/held_commit.h"

#define MIB CHUNK_BYTES
#define SETTLE_MS 200 /* for the thread to have done what it does */
#define WAKES_MAX 100 /* of one read: more is a reader that goes round for ever */

struct world {
	struct held_commit c;
	struct workdir fake_root;
	struct prefetch *prefetch;
	uint64_t max_bytes;
};

static void start_prefetch(struct world *w)
{
	struct prefetch_conf conf = {
		.fetch = w->c.fetch,
		.store = w->c.store,
		.root = w->fake_root.path,
	};

	store_limit(w->c.store, &(struct cache_limits){ w->max_bytes, 0 });
	assert_int_equal(prefetch_start(&conf, &w->prefetch), 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	held_commit_init(&w->c);
	workdir_init(&w->fake_root);
	start_prefetch(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	prefetch_stop(w->prefetch);
	prefetch_free(w->prefetch);
	held_commit_fini(&w->c);
	workdir_fini(&w->fake_root);
	free(w);
	return 0;
}

static void restart_prefetch(struct world *w)
{
	prefetch_stop(w->prefetch);
	prefetch_free(w->prefetch);
	start_prefetch(w);
}

/* ---- readers ---- */

struct reader {
	struct pull *pull;
	struct watch *watch;
};

/* Its first read is on its way. */
static struct reader touch(struct world *w, const char *path)
{
	return (struct reader){
		.pull = held_commit_open(&w->c, path),
		.watch = prefetch_watch(w->prefetch, w->c.snapshot, held_commit_node(&w->c, path)),
	};
}

static void leave(struct world *w, struct reader *r)
{
	if (r->watch)
		prefetch_leave(w->prefetch, r->watch);
	fetch_close(w->c.fetch, r->pull);
}

/* One waiter all along: what finds no room in the cache is brought for it alone. */
static const void *read_one(struct world *w, struct reader *r, uint64_t off, uint64_t len)
{
	const void *data = NULL;
	struct parked parked;
	unsigned wakes = 0;
	uint64_t all;
	int rc;

	parked_init(&parked, PARKED_WAIT_MS);
	while ((rc = fetch_read(w->c.fetch, r->pull, off, len, &parked.waiter, &data, &all)) ==
	       PARKED) {
		assert_int_equal(parked_wait(&parked), 0);
		assert_true(++wakes < WAKES_MAX);
		parked.woken = 0;
	}
	parked_fini(&parked);
	assert_int_equal(rc, 0);
	return data;
}

/* Brings bytes as a reader would, in reads of 1 MiB. */
static void read_some(struct world *w, struct reader *r, uint64_t from, uint64_t to)
{
	for (uint64_t off = from; off < to; off += MIB) {
		uint64_t len = to - off < MIB ? to - off : MIB;

		fetch_done(r->pull, read_one(w, r, off, len), len);
		prefetch_read(w->prefetch, r->watch, len);
	}
}

static size_t tensors_of(struct world *w UNUSED, const struct reader *r)
{
	size_t count;

	lock_take(&r->pull->all->lock);
	count = r->pull->extents.count;
	lock_drop(&r->pull->all->lock);
	return count;
}

static bool await_tensors(struct world *w, const struct reader *r)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;

	while (!tensors_of(w, r) && clock_ms() < deadline)
		clock_sleep_ms(1);
	return tensors_of(w, r) > 0;
}

/* ---- headers ---- */

static void the_header_is_read_at_the_first_touch_and_no_more_is_brought(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, "one.safetensors");

	assert_true(await_tensors(w, &r));
	assert_true(held_commit_is_quiet(&w->c));
	assert_int_equal(held_commit_given_in_all(&w->c), MIB);
	leave(w, &r);
}

static void a_long_header_is_brought_when_somebody_reads_on(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, "q.gguf");

	assert_true(held_commit_await_given(&w->c, "q.gguf", MIB));
	assert_true(held_commit_is_quiet(&w->c)); /* it reaches into the fourth: not for one look */
	prefetch_read(w->prefetch, r.watch, 100);
	assert_true(held_commit_is_quiet(&w->c));
	prefetch_read(w->prefetch, r.watch, 100);
	assert_true(await_tensors(w, &r));
	assert_true(held_commit_is_quiet(&w->c));
	assert_int_equal(held_commit_given(&w->c, "q.gguf"), 4 * MIB);
	leave(w, &r);
}

static void what_is_no_header_is_left_alone(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, "bad.safetensors");

	assert_true(held_commit_await_given(&w->c, "bad.safetensors", MIB));
	assert_true(held_commit_is_quiet(&w->c));
	assert_int_equal(tensors_of(w, &r), 0);
	leave(w, &r);
}

static void of_a_zip_the_tail_is_brought(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, "pytorch_model.bin");

	assert_true(held_commit_await_given(&w->c, "pytorch_model.bin", MIB));
	assert_true(held_commit_is_quiet(&w->c));
	assert_true(blob_may_have(fetch_blob(r.pull), 4));
	assert_false(blob_may_have(fetch_blob(r.pull), 0));
	leave(w, &r);
}

static void other_files_are_not_watched(void **state)
{
	struct world *w = *state;

	assert_null(
		prefetch_watch(w->prefetch, w->c.snapshot, held_commit_node(&w->c, "README.md")));
	assert_null(
		prefetch_watch(w->prefetch, w->c.snapshot, held_commit_node(&w->c, "data/7.json")));
	assert_true(held_commit_is_quiet(&w->c));
}

static void all_who_read_a_file_share_one_watch(void **state)
{
	struct world *w = *state;
	struct reader a = touch(w, "one.safetensors"), b = touch(w, "one.safetensors");

	assert_ptr_equal(a.watch, b.watch);
	assert_true(await_tensors(w, &a));
	assert_true(held_commit_is_quiet(&w->c));
	assert_int_equal(held_commit_given_in_all(&w->c), MIB);
	leave(w, &a);
	leave(w, &b);
}

/* ---- small files ---- */

static void a_config_brings_the_small_files_beside_it(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, "config.json");

	prefetch_read(w->prefetch, r.watch, 500);
	leave(w, &r); /* they come although it is read no more */
	assert_true(held_commit_await_sealed(&w->c, "README.md"));
	assert_true(held_commit_await_sealed(&w->c, "model.safetensors.index.json"));
	assert_true(held_commit_await_sealed(&w->c, "data/0.json"));
	assert_true(held_commit_await_sealed(&w->c, "data/253.json"));
	assert_true(held_commit_is_quiet(&w->c));
	assert_int_equal(held_commit_given(&w->c, "tokenizer.json"), 0); /* not small */
	assert_int_equal(held_commit_given(&w->c, "data/299.json"), 0);  /* one too many */
	assert_int_equal(held_commit_given(&w->c, "one.safetensors"), 0);
}

/* ---- shards ---- */

static void an_index_brings_the_heads_of_the_first_shards(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, "model.safetensors.index.json");

	assert_true(held_commit_await_given(&w->c, HELD_SHARD(1), MIB));
	assert_true(held_commit_await_given(&w->c, HELD_SHARD(4), MIB));
	assert_true(held_commit_is_quiet(&w->c));
	assert_int_equal(held_commit_given(&w->c, HELD_SHARD(5)), 0);
	leave(w, &r);
}

static void a_second_read_brings_the_heads_of_the_next_shards(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, HELD_SHARD(2));

	prefetch_read(w->prefetch, r.watch, 8);
	assert_true(await_tensors(w, &r));
	assert_true(held_commit_is_quiet(&w->c));
	assert_int_equal(held_commit_given_in_all(&w->c), MIB);
	prefetch_read(w->prefetch, r.watch, 1000);
	assert_true(held_commit_await_given(&w->c, HELD_SHARD(3), MIB));
	assert_true(held_commit_await_given(&w->c, HELD_SHARD(6), MIB));
	assert_true(held_commit_is_quiet(&w->c));
	assert_int_equal(held_commit_given(&w->c, HELD_SHARD(1)) +
				 held_commit_given(&w->c, HELD_SHARD(7)),
			 0);
	leave(w, &r);
}

static void who_read_most_of_a_small_shard_finds_the_next_two_whole(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, HELD_SHARD(1));

	read_some(w, &r, 0, 5 * MIB);
	assert_true(held_commit_await_sealed(&w->c, HELD_SHARD(2)));
	assert_true(held_commit_await_sealed(&w->c, HELD_SHARD(3)));
	assert_true(held_commit_await_given(&w->c, HELD_SHARD(4), MIB));
	assert_true(held_commit_is_quiet(&w->c));
	assert_int_equal(held_commit_given(&w->c, HELD_SHARD(2)),
			 HELD_SHARD_MIB * MIB + 2); /* the head was not brought twice */
	assert_int_equal(held_commit_given(&w->c, HELD_SHARD(4)), MIB);
	leave(w, &r);
	assert_true(held_commit_is_quiet(&w->c));
}

static void who_read_two_thirds_as_the_kernel_does_unasked_does_not(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, HELD_SHARD(1));

	read_some(w, &r, 0, 4 * MIB);
	assert_true(held_commit_await_given(&w->c, HELD_SHARD(2), MIB));
	assert_true(held_commit_is_quiet(&w->c));
	assert_int_equal(held_commit_given(&w->c, HELD_SHARD(2)), MIB);
	leave(w, &r);
}

/* ---- when it stops ---- */

static unsigned handles_of(struct world *w, const char *etag)
{
	struct pulls *all = fetch_pulls(w->c.fetch);
	const struct pull *p;
	unsigned count;

	lock_take(&all->lock);
	p = map_find_str(&all->by_etag, etag);
	count = p ? p->readers : 0;
	lock_drop(&all->lock);
	return count;
}

static bool await_handles(struct world *w, const char *etag, unsigned count)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;

	while (handles_of(w, etag) != count && clock_ms() < deadline)
		clock_sleep_ms(1);
	return handles_of(w, etag) == count;
}

/* A run that is on its way ends a chunk later. */
static void a_header_is_given_up_with_the_last_reader(void **state)
{
	char etag[DIGEST_HEX_MAX + 1];
	struct world *w = *state;
	struct reader r;

	held_commit_hold(&w->c, true);
	r = touch(w, "q.gguf");
	snprintf(etag, sizeof(etag), "%s", r.pull->what.etag);
	prefetch_read(w->prefetch, r.watch, 1);
	prefetch_read(w->prefetch, r.watch, 1);
	assert_true(await_handles(w, etag, 2));
	leave(w, &r);
	assert_true(await_handles(w, etag, 0));
	held_commit_hold(&w->c, false);
	assert_true(held_commit_is_quiet(&w->c));
	assert_true(held_commit_given(&w->c, "q.gguf") <= 2 * MIB);
}

static void put(struct world *w, const char *name, const char *text)
{
	CLEANUP(buf_free) struct buf dir = { 0 };

	buf_printf(&dir, "%s/proc", w->fake_root.path);
	assert_int_equal(file_mkdirs(buf_str(&dir)), 0);
	assert_int_equal(file_replace(w->fake_root.dirfd, name, text, strlen(text), 0600), 0);
}

static void nothing_is_guessed_while_memory_is_short(void **state)
{
	struct world *w = *state;
	struct reader r;

	put(w, "proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable: 1000 kB\n");
	restart_prefetch(w);
	r = touch(w, "config.json");
	assert_true(held_commit_is_quiet(&w->c));
	leave(w, &r);
	r = touch(w, HELD_SHARD(1));
	prefetch_read(w->prefetch, r.watch, 5 * MIB);
	prefetch_read(w->prefetch, r.watch, 1);
	assert_true(held_commit_is_quiet(&w->c));
	assert_int_equal(held_commit_given_in_all(&w->c), 0);
	leave(w, &r);
}

static void what_is_under_way_ends_when_memory_gets_short(void **state)
{
	struct world *w = *state;
	struct reader r;

	put(w, "proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable: 500000 kB\n");
	restart_prefetch(w);
	r = touch(w, HELD_SHARD(1));
	read_some(w, &r, 0, 4 * MIB);
	held_commit_hold(&w->c, true);
	prefetch_read(w->prefetch, r.watch, MIB);
	clock_sleep_ms(SETTLE_MS);
	put(w, "proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable: 1000 kB\n");
	clock_sleep_ms(1500); /* it is looked at once a second */
	held_commit_hold(&w->c, false);
	clock_sleep_ms(SETTLE_MS);
	assert_true(held_commit_is_quiet(&w->c));
	assert_true(held_commit_given(&w->c, HELD_SHARD(2)) <= 4 * MIB);
	assert_true(held_commit_given(&w->c, HELD_SHARD(3)) <= MIB);
	leave(w, &r);
}

static void guesses_drive_nothing_out_of_the_cache(void **state)
{
	struct world *w = *state;
	struct reader r;

	w->max_bytes = 3 * MIB;
	restart_prefetch(w);
	r = touch(w, HELD_SHARD(1));
	read_some(w, &r, 0, 2 * MIB);
	prefetch_read(w->prefetch, r.watch, 3 * MIB);
	assert_true(held_commit_is_quiet(&w->c));
	assert_int_equal(held_commit_given(&w->c, HELD_SHARD(2)), 0);
	leave(w, &r);
}

/* Which chunks find room is a matter of whose thread comes first. */
static void who_reads_on_past_a_full_cache_gets_his_bytes(void **state)
{
	struct world *w = *state;
	struct reader r;

	w->max_bytes = MIB;
	restart_prefetch(w);
	r = touch(w, "bad.safetensors");
	read_some(w, &r, 0, 3 * MIB);
	assert_true(held_commit_is_quiet(&w->c));
	assert_in_range(held_commit_given(&w->c, "bad.safetensors"), 3 * MIB, 9 * MIB);
	leave(w, &r);
}

static void stopping_gives_all_up_and_readers_go_on(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, HELD_SHARD(1)), late;

	read_some(w, &r, 0, 5 * MIB);
	prefetch_stop(w->prefetch);
	late = touch(w, HELD_SHARD(5));
	assert_null(late.watch);
	prefetch_read(w->prefetch, r.watch, MIB);
	leave(w, &late);
	leave(w, &r);
	prefetch_free(w->prefetch);
	start_prefetch(w);
}

static void *stop_prefetch(void *arg)
{
	prefetch_stop(((struct world *)arg)->prefetch);
	return NULL;
}

/* Its look at the memory lasts until somebody writes; so long it is at the watch. */
static void who_leaves_while_it_stops_takes_nothing_from_under_it(void **state)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	struct world *w = *state;
	struct reader r, late;
	pthread_t stopping;
	int memory;

	buf_printf(&path, "%s/proc", w->fake_root.path);
	assert_int_equal(file_mkdirs(buf_str(&path)), 0);
	buf_add_str(&path, "/meminfo");
	assert_int_equal(mkfifo(buf_str(&path), 0600), 0);
	restart_prefetch(w);
	r = touch(w, HELD_SHARD(1));
	memory = open(buf_str(&path), O_WRONLY | O_CLOEXEC);
	assert_true(memory >= 0);
	assert_int_equal(thread_start(&stopping, "stopping", stop_prefetch, w), 0);
	do {
		late = touch(w, HELD_SHARD(2));
		leave(w, &late);
	} while (late.watch);
	leave(w, &r);
	assert_true(dprintf(memory, "MemTotal: 9 kB\nMemAvailable: 9 kB\n") > 0);
	close(memory);
	pthread_join(stopping, NULL);
	prefetch_free(w->prefetch);
	start_prefetch(w);
}

static void a_file_that_is_left_and_read_again_is_watched_anew(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 200; i++) {
		struct reader r = touch(w, HELD_SHARD(7));

		prefetch_read(w->prefetch, r.watch, 8);
		leave(w, &r);
	}
	assert_true(held_commit_await_given(&w->c, HELD_SHARD(7), MIB) ||
		    held_commit_given(&w->c, HELD_SHARD(7)) == 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_header_is_read_at_the_first_touch_and_no_more_is_brought),
		TEST(a_long_header_is_brought_when_somebody_reads_on),
		TEST(what_is_no_header_is_left_alone),
		TEST(of_a_zip_the_tail_is_brought),
		TEST(other_files_are_not_watched),
		TEST(all_who_read_a_file_share_one_watch),
		TEST(a_config_brings_the_small_files_beside_it),
		TEST(an_index_brings_the_heads_of_the_first_shards),
		TEST(a_second_read_brings_the_heads_of_the_next_shards),
		TEST(who_read_most_of_a_small_shard_finds_the_next_two_whole),
		TEST(who_read_two_thirds_as_the_kernel_does_unasked_does_not),
		TEST(a_header_is_given_up_with_the_last_reader),
		TEST(nothing_is_guessed_while_memory_is_short),
		TEST(what_is_under_way_ends_when_memory_gets_short),
		TEST(guesses_drive_nothing_out_of_the_cache),
		TEST(who_reads_on_past_a_full_cache_gets_his_bytes),
		TEST(stopping_gives_all_up_and_readers_go_on),
		TEST(who_leaves_while_it_stops_takes_nothing_from_under_it),
		TEST(a_file_that_is_left_and_read_again_is_watched_anew),
	};

	log_set_level(LOG_LEVEL_ERR);
	return cmocka_run_group_tests(tests, held_commit_make_files, held_commit_free_files);
}
