/* SPDX-License-Identifier: Apache-2.0 */
/* Guesses, over a source that keeps the files of one commit in memory and counts what is taken of
 * each. A reader is what node does for one: a handle, a watch, and news of what was read. */
#include "daemon/prefetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/log.h"
#include "daemon/chunk.h"
#include "daemon/known.h"
#include "daemon/pull.h"
#include "tests/fake_source.h"
#include "tests/workdir.h"

#define MIB CHUNK_BYTES
#define COMMIT "1111111111111111111111111111111111111111"
#define FILES_MAX 320
#define SMALL_FILES 300 /* more than are brought at once */
#define SHARD_MIB 6
#define QUIET_MS 200 /* what has not happened by then does not happen */

struct held_file {
	char path[80];
	struct buf bytes;
	struct manifest_file file;
	uint64_t given; /* guarded by the world's lock */
};

/* The commit: made once, for to digest it takes a while. */
static struct held_file files[FILES_MAX];
static unsigned file_count;

struct world {
	struct workdir dir, fake_root;
	struct source source;
	struct source *sources[1];
	struct lock lock;
	bool held; /* guarded by lock: no source gives anything */
	struct httpc *http;
	struct store *store;
	struct catalog *catalog;
	struct known *known;
	struct snapshot *snapshot;
	struct fetch *fetch;
	struct prefetch *prefetch;
	uint64_t max_bytes;
};

/* ---- the source ---- */

static struct held_file *find(const char *path)
{
	unsigned i = 0;

	while (strcmp(files[i].path, path) != 0)
		assert_true(++i < file_count);
	return &files[i];
}

static bool is_held(struct world *w)
{
	bool held;

	lock_take(&w->lock);
	held = w->held;
	lock_drop(&w->lock);
	return held;
}

static int get(struct source *s, const struct source_ask *ask, int64_t *ret_wait_ms)
{
	struct world *w = container_of(s, struct world, source);
	struct held_file *f = find(ask->blob->path);
	int r = 0;

	*ret_wait_ms = -1;
	while (is_held(w)) {
		if (ask->cancel && atomic_load(&ask->cancel->canceled))
			return ERR_CANCELED;
		clock_sleep_ms(1);
	}
	for (uint64_t off = 0; r == 0 && off < ask->len; off += MIB) {
		size_t n = ask->len - off < MIB ? ask->len - off : MIB;

		lock_take(&w->lock);
		f->given += n;
		lock_drop(&w->lock);
		r = ask->sink(ask->arg, f->bytes.data + ask->off + off, n);
	}
	return r;
}

static uint64_t given(struct world *w, const char *path)
{
	uint64_t n;

	lock_take(&w->lock);
	n = find(path)->given;
	lock_drop(&w->lock);
	return n;
}

static uint64_t given_in_all(struct world *w)
{
	uint64_t n = 0;

	lock_take(&w->lock);
	for (unsigned i = 0; i < file_count; i++)
		n += files[i].given;
	lock_drop(&w->lock);
	return n;
}

static bool await_given(struct world *w, const char *path, uint64_t bytes)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;

	while (given(w, path) < bytes && clock_ms() < deadline)
		clock_sleep_ms(1);
	return given(w, path) == bytes;
}

/* ---- the commit ---- */

static struct buf *add_file(const char *path)
{
	struct held_file *f = &files[file_count++];

	assert_true(file_count <= FILES_MAX);
	snprintf(f->path, sizeof(f->path), "%s", path);
	return &f->bytes;
}

static void fill(struct buf *b, uint64_t size)
{
	CLEANUP(freep) char *bytes = malloc(size);

	fake_bytes(size, b->len, bytes, size - b->len);
	assert_int_equal(buf_add(b, bytes, size - b->len), 0);
}

static void add_safetensors(const char *path, uint64_t size)
{
	struct buf *b = add_file(path);
	CLEANUP(buf_free) struct buf text = { 0 };

	buf_printf(&text, "{\"%s\":{\"dtype\":\"U8\",\"shape\":[9],\"data_offsets\":[0,1000]}}",
		   path);
	buf_add_u64(b, text.len);
	buf_add(b, text.data, text.len);
	fill(b, size);
}

/* One with a vocabulary of that many bytes. */
static void add_gguf(const char *path, uint64_t vocabulary, uint64_t size)
{
	struct buf *b = add_file(path);
	uint64_t left = vocabulary;

	buf_add(b, "GGUF\3\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 24);
	buf_add(b, "\1\0\0\0\0\0\0\0v\11\0\0\0\0\0\0\0", 17); /* "v", an array of bytes */
	buf_add_u64(b, vocabulary);
	for (; left > 0; left -= left < 8 ? left : 8)
		buf_add(b, "vocabula", left < 8 ? left : 8);
	buf_add(b, "\1\0\0\0\0\0\0\0w\0\0\0\0\0\0\0\0", 17); /* "w", no dimensions, F32 */
	buf_add_u64(b, 0);
	fill(b, size);
}

static void add_files(void)
{
	char path[80];

	fill(add_file("config.json"), 500);
	fill(add_file("README.md"), 1000);
	fill(add_file("tokenizer.json"), 2 * MIB);
	fill(add_file("model.safetensors.index.json"), 3000);
	fill(add_file("pytorch_model.bin"), 5 * MIB);
	fill(add_file("bad.safetensors"), 3 * MIB);
	add_safetensors("one.safetensors", 5 * MIB);
	add_gguf("q.gguf", 3 * MIB, 7 * MIB);
	for (unsigned i = 1; i <= 7; i++) {
		snprintf(path, sizeof(path), "model-%05u-of-00007.safetensors", i);
		add_safetensors(path, SHARD_MIB * MIB + i);
	}
	for (unsigned i = 0; i < SMALL_FILES; i++) {
		snprintf(path, sizeof(path), "data/%u.json", i);
		fill(add_file(path), 10 + i);
	}
}

static void digest_file(struct held_file *f)
{
	struct digest *d;

	f->file = (struct manifest_file){ .size = f->bytes.len, .kind = DIGEST_SHA256 };
	assert_int_equal(digest_new(f->file.kind, f->file.size, &d), 0);
	assert_int_equal(digest_update(d, f->bytes.data, f->bytes.len), 0);
	assert_int_equal(digest_final(d, f->file.digest), 0);
	digest_free(d);
}

static int make_files(void **state UNUSED)
{
	add_files();
	for (unsigned i = 0; i < file_count; i++)
		digest_file(&files[i]);
	return 0;
}

static int free_files(void **state UNUSED)
{
	for (unsigned i = 0; i < file_count; i++)
		buf_free(&files[i].bytes);
	return 0;
}

static void make_snapshot(struct world *w)
{
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	struct manifest *m = NULL;
	struct repo_id id;

	assert_int_equal(manifest_builder_new(&b), 0);
	for (unsigned i = 0; i < file_count; i++) {
		files[i].given = 0;
		assert_int_equal(manifest_builder_add(b, files[i].path, &files[i].file, &why), 0);
	}
	assert_int_equal(manifest_builder_finish(b, &m, &why), 0);
	assert_int_equal(repo_id_parse(REPO_MODEL, "org/model", &id), 0);
	assert_int_equal(known_add_repo(w->known, &id, &id), 0);
	assert_int_equal(
		known_add_snapshot(w->known, known_repo(w->known, &id), COMMIT, 1, m, &w->snapshot),
		0);
}

/* ---- the world ---- */

static void ignore_wrong(void *arg UNUSED, const char *etag UNUSED)
{
}

static int never_room(void *arg UNUSED)
{
	return 0;
}

static void start_prefetch(struct world *w)
{
	struct prefetch_conf conf = {
		.fetch = w->fetch,
		.store = w->store,
		.max_bytes = w->max_bytes,
		.root = w->fake_root.path,
	};

	assert_int_equal(prefetch_start(&conf, &w->prefetch), 0);
}

static int setup(void **state)
{
	struct httpc_conf http = { .user_agent = "test", .connect_ms = 1000, .stall_ms = 1000 };
	CLEANUP(buf_free) struct buf why = { 0 };
	struct world *w = calloc(1, sizeof(*w));
	struct fetch_conf conf = { .timeout_ms = PARKED_WAIT_MS, .memory_bytes = 64 * MIB };

	workdir_init(&w->dir);
	workdir_init(&w->fake_root);
	lock_init(&w->lock, LOCK_TEST);
	w->source = (struct source){ .name = "memory", .get = get };
	w->sources[0] = &w->source;
	assert_int_equal(httpc_new(&http, &w->http), 0);
	assert_int_equal(store_open(w->dir.path, "me", &w->store, &why), 0);
	assert_int_equal(catalog_open(store_index_dir(w->store), &w->catalog, &why), 0);
	assert_int_equal(known_new(w->catalog, &w->known), 0);
	make_snapshot(w);
	conf.store = w->store;
	conf.catalog = w->catalog;
	conf.http = w->http;
	conf.sources = w->sources;
	conf.source_count = 1;
	conf.make_room = never_room;
	conf.on_wrong = ignore_wrong;
	assert_int_equal(fetch_new(&conf, &w->fetch), 0);
	start_prefetch(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	prefetch_stop(w->prefetch);
	prefetch_free(w->prefetch);
	fetch_stop(w->fetch);
	fetch_free(w->fetch);
	snapshot_unref(w->snapshot);
	known_free(w->known);
	catalog_close(w->catalog);
	store_close(w->store);
	httpc_free(w->http);
	lock_fini(&w->lock);
	workdir_fini(&w->fake_root);
	workdir_fini(&w->dir);
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

static uint32_t node_of(struct world *w, const char *path)
{
	return manifest_find(w->snapshot->files, path);
}

static struct pull *open_file(struct world *w, const char *path)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct source_blob what;
	struct pull *p = NULL;

	assert_int_equal(known_source_blob(w->snapshot, node_of(w, path), &text, &what), 0);
	assert_int_equal(fetch_open(w->fetch, &what, &p), 0);
	return p;
}

/* Its first read is on its way. */
static struct reader touch(struct world *w, const char *path)
{
	return (struct reader){
		.pull = open_file(w, path),
		.watch = prefetch_watch(w->prefetch, w->snapshot, node_of(w, path)),
	};
}

static void leave(struct world *w, struct reader *r)
{
	if (r->watch)
		prefetch_leave(w->prefetch, r->watch);
	fetch_close(w->fetch, r->pull);
}

/* Brings bytes as a reader would, in reads of 1 MiB. */
static void read_some(struct world *w, struct reader *r, uint64_t from, uint64_t to)
{
	for (uint64_t off = from; off < to; off += MIB) {
		uint64_t len = to - off < MIB ? to - off : MIB;
		const void *data = NULL;
		struct parked parked;
		int rc;

		do {
			parked_init(&parked, PARKED_WAIT_MS);
			rc = fetch_read(w->fetch, r->pull, off, len, &parked.waiter, &data);
			if (rc == PARKED)
				assert_int_equal(parked_wait(&parked), 0);
			parked_fini(&parked);
		} while (rc == PARKED);
		assert_int_equal(rc, 0);
		fetch_done(r->pull, data, len);
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

static bool await_sealed(struct world *w, const char *path)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;
	struct catalog_blob row = { 0 };
	char etag[DIGEST_HEX_MAX + 1];

	manifest_etag(manifest_file(w->snapshot->files, node_of(w, path)), etag);
	while (catalog_get_blob(w->catalog, etag, &row) < 0 && clock_ms() < deadline)
		clock_sleep_ms(1);
	return row.sealed;
}

/* Waits until nothing more is given for a while. */
static bool is_quiet(struct world *w)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;
	uint64_t before;

	do {
		before = given_in_all(w);
		clock_sleep_ms(QUIET_MS);
	} while (given_in_all(w) != before && clock_ms() < deadline);
	return given_in_all(w) == before;
}

/* ---- headers ---- */

static void the_header_is_read_at_the_first_touch_and_no_more_is_brought(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, "one.safetensors");

	assert_true(await_tensors(w, &r));
	assert_true(is_quiet(w));
	assert_int_equal(given_in_all(w), MIB);
	leave(w, &r);
}

static void a_long_header_is_brought_when_somebody_reads_on(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, "q.gguf");

	assert_true(await_given(w, "q.gguf", MIB));
	assert_true(is_quiet(w)); /* it reaches into the fourth: not for one look */
	prefetch_read(w->prefetch, r.watch, 100);
	assert_true(is_quiet(w));
	prefetch_read(w->prefetch, r.watch, 100);
	assert_true(await_tensors(w, &r));
	assert_true(is_quiet(w));
	assert_int_equal(given(w, "q.gguf"), 4 * MIB);
	leave(w, &r);
}

static void what_is_no_header_is_left_alone(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, "bad.safetensors");

	assert_true(await_given(w, "bad.safetensors", MIB));
	assert_true(is_quiet(w));
	assert_int_equal(tensors_of(w, &r), 0);
	leave(w, &r);
}

static void of_a_zip_the_tail_is_brought(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, "pytorch_model.bin");

	assert_true(await_given(w, "pytorch_model.bin", MIB));
	assert_true(is_quiet(w));
	assert_true(blob_may_have(fetch_blob(r.pull), 4));
	assert_false(blob_may_have(fetch_blob(r.pull), 0));
	leave(w, &r);
}

static void other_files_are_not_watched(void **state)
{
	struct world *w = *state;

	assert_null(prefetch_watch(w->prefetch, w->snapshot, node_of(w, "README.md")));
	assert_null(prefetch_watch(w->prefetch, w->snapshot, node_of(w, "data/7.json")));
	assert_true(is_quiet(w));
}

static void all_who_read_a_file_share_one_watch(void **state)
{
	struct world *w = *state;
	struct reader a = touch(w, "one.safetensors"), b = touch(w, "one.safetensors");

	assert_ptr_equal(a.watch, b.watch);
	assert_true(await_tensors(w, &a));
	assert_true(is_quiet(w));
	assert_int_equal(given_in_all(w), MIB);
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
	assert_true(await_sealed(w, "README.md"));
	assert_true(await_sealed(w, "model.safetensors.index.json"));
	assert_true(await_sealed(w, "data/0.json"));
	assert_true(await_sealed(w, "data/253.json"));
	assert_true(is_quiet(w));
	assert_int_equal(given(w, "tokenizer.json"), 0); /* not small */
	assert_int_equal(given(w, "data/299.json"), 0);  /* one too many */
	assert_int_equal(given(w, "one.safetensors"), 0);
}

/* ---- shards ---- */

#define SHARD(n) "model-0000" #n "-of-00007.safetensors"

static void an_index_brings_the_heads_of_the_first_shards(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, "model.safetensors.index.json");

	assert_true(await_given(w, SHARD(1), MIB));
	assert_true(await_given(w, SHARD(4), MIB));
	assert_true(is_quiet(w));
	assert_int_equal(given(w, SHARD(5)), 0);
	leave(w, &r);
}

static void a_second_read_brings_the_heads_of_the_next_shards(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, SHARD(2));

	prefetch_read(w->prefetch, r.watch, 8);
	assert_true(await_tensors(w, &r));
	assert_true(is_quiet(w));
	assert_int_equal(given_in_all(w), MIB);
	prefetch_read(w->prefetch, r.watch, 1000);
	assert_true(await_given(w, SHARD(3), MIB));
	assert_true(await_given(w, SHARD(6), MIB));
	assert_true(is_quiet(w));
	assert_int_equal(given(w, SHARD(1)) + given(w, SHARD(7)), 0);
	leave(w, &r);
}

static void who_read_half_of_a_shard_finds_the_next_two_whole(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, SHARD(1));

	read_some(w, &r, 0, 4 * MIB);
	assert_true(await_sealed(w, SHARD(2)));
	assert_true(await_sealed(w, SHARD(3)));
	assert_true(is_quiet(w));
	assert_int_equal(given(w, SHARD(2)),
			 SHARD_MIB * MIB + 2); /* the head was not brought twice */
	assert_int_equal(given(w, SHARD(4)), MIB);
	leave(w, &r);
	assert_true(is_quiet(w));
}

static void who_read_a_third_does_not(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, SHARD(1));

	read_some(w, &r, 0, 2 * MIB);
	assert_true(await_given(w, SHARD(2), MIB));
	assert_true(is_quiet(w));
	assert_int_equal(given(w, SHARD(2)), MIB);
	leave(w, &r);
}

/* ---- when it stops ---- */

static void hold(struct world *w, bool held)
{
	lock_take(&w->lock);
	w->held = held;
	lock_drop(&w->lock);
}

/* A run that is on its way ends a chunk later. */
static void a_header_is_given_up_with_the_last_reader(void **state)
{
	struct world *w = *state;
	struct reader r;

	hold(w, true);
	r = touch(w, "q.gguf");
	prefetch_read(w->prefetch, r.watch, 1);
	prefetch_read(w->prefetch, r.watch, 1);
	clock_sleep_ms(QUIET_MS);
	leave(w, &r);
	clock_sleep_ms(QUIET_MS);
	hold(w, false);
	clock_sleep_ms(QUIET_MS);
	assert_true(given(w, "q.gguf") <= 2 * MIB);
	assert_true(is_quiet(w));
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
	assert_true(is_quiet(w));
	leave(w, &r);
	r = touch(w, SHARD(1));
	prefetch_read(w->prefetch, r.watch, 5 * MIB);
	prefetch_read(w->prefetch, r.watch, 1);
	assert_true(is_quiet(w));
	assert_int_equal(given_in_all(w), 0);
	leave(w, &r);
}

static void what_is_under_way_ends_when_memory_gets_short(void **state)
{
	struct world *w = *state;
	struct reader r;

	put(w, "proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable: 500000 kB\n");
	restart_prefetch(w);
	r = touch(w, SHARD(1));
	read_some(w, &r, 0, 3 * MIB);
	hold(w, true);
	prefetch_read(w->prefetch, r.watch, MIB);
	clock_sleep_ms(QUIET_MS);
	put(w, "proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable: 1000 kB\n");
	clock_sleep_ms(1500); /* it is looked at once a second */
	hold(w, false);
	clock_sleep_ms(QUIET_MS);
	assert_true(is_quiet(w));
	assert_true(given(w, SHARD(2)) <= 4 * MIB);
	assert_true(given(w, SHARD(3)) <= MIB);
	leave(w, &r);
}

static void guesses_drive_nothing_out_of_the_cache(void **state)
{
	struct world *w = *state;
	struct reader r;

	w->max_bytes = 3 * MIB;
	restart_prefetch(w);
	r = touch(w, SHARD(1));
	read_some(w, &r, 0, 2 * MIB);
	prefetch_read(w->prefetch, r.watch, 3 * MIB);
	assert_true(is_quiet(w));
	assert_int_equal(given(w, SHARD(2)), 0);
	leave(w, &r);
}

static void stopping_gives_all_up_and_readers_go_on(void **state)
{
	struct world *w = *state;
	struct reader r = touch(w, SHARD(1)), late;

	read_some(w, &r, 0, 4 * MIB);
	prefetch_stop(w->prefetch);
	late = touch(w, SHARD(5));
	assert_null(late.watch);
	prefetch_read(w->prefetch, r.watch, MIB);
	leave(w, &late);
	leave(w, &r);
	prefetch_free(w->prefetch);
	start_prefetch(w);
}

static void a_file_that_is_left_and_read_again_is_watched_anew(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 200; i++) {
		struct reader r = touch(w, SHARD(7));

		prefetch_read(w->prefetch, r.watch, 8);
		leave(w, &r);
	}
	assert_true(await_given(w, SHARD(7), MIB) || given(w, SHARD(7)) == 0);
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
		TEST(who_read_half_of_a_shard_finds_the_next_two_whole),
		TEST(who_read_a_third_does_not),
		TEST(a_header_is_given_up_with_the_last_reader),
		TEST(nothing_is_guessed_while_memory_is_short),
		TEST(what_is_under_way_ends_when_memory_gets_short),
		TEST(guesses_drive_nothing_out_of_the_cache),
		TEST(stopping_gives_all_up_and_readers_go_on),
		TEST(a_file_that_is_left_and_read_again_is_watched_anew),
	};

	log_set_level(LOG_LEVEL_ERR);
	return cmocka_run_group_tests(tests, make_files, free_files);
}
