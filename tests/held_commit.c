/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/held_commit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/cache/chunk.h"
#include "tests/fake_source.h"

#define MIB CHUNK_BYTES
#define COMMIT "1111111111111111111111111111111111111111"
#define FILES_MAX 320
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

/* ---- the source ---- */

static struct held_file *find(const char *path)
{
	unsigned i = 0;

	while (strcmp(files[i].path, path) != 0)
		assert_true(++i < file_count);
	return &files[i];
}

static bool is_held(struct held_commit *c)
{
	bool held;

	lock_take(&c->lock);
	held = c->held;
	lock_drop(&c->lock);
	return held;
}

/* Counts what has been taken: who sees the count finds the bytes in the cache. */
static int give(struct held_commit *c, struct held_file *f, const struct source_ask *ask)
{
	int r = 0;

	for (uint64_t off = 0; r == 0 && off < ask->len; off += MIB) {
		size_t n = ask->len - off < MIB ? ask->len - off : MIB;

		r = ask->sink(ask->arg, f->bytes.data + ask->off + off, n);
		lock_take(&c->lock);
		f->given += n;
		lock_drop(&c->lock);
	}
	return r;
}

static void count_running(struct held_commit *c, int more)
{
	lock_take(&c->lock);
	c->running += more;
	lock_drop(&c->lock);
}

static int get(struct source *s, const struct source_ask *ask, int64_t *ret_wait_ms)
{
	struct held_commit *c = container_of(s, struct held_commit, source);
	struct held_file *f = find(ask->blob->path);
	int r = 0;

	*ret_wait_ms = -1;
	count_running(c, 1);
	while (r == 0 && is_held(c)) {
		if (ask->cancel && atomic_load(&ask->cancel->canceled))
			r = ERR_CANCELED;
		clock_sleep_ms(1);
	}
	if (r == 0)
		r = give(c, f, ask);
	count_running(c, -1);
	return r;
}

uint64_t held_commit_given(struct held_commit *c, const char *path)
{
	uint64_t n;

	lock_take(&c->lock);
	n = find(path)->given;
	lock_drop(&c->lock);
	return n;
}

uint64_t held_commit_given_in_all(struct held_commit *c)
{
	uint64_t n = 0;

	lock_take(&c->lock);
	for (unsigned i = 0; i < file_count; i++)
		n += files[i].given;
	lock_drop(&c->lock);
	return n;
}

bool held_commit_await_given(struct held_commit *c, const char *path, uint64_t bytes)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;

	while (held_commit_given(c, path) < bytes && clock_ms() < deadline)
		clock_sleep_ms(1);
	return held_commit_given(c, path) == bytes;
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
		add_safetensors(path, HELD_SHARD_MIB * MIB + i);
	}
	for (unsigned i = 0; i < HELD_SMALL_FILES; i++) {
		snprintf(path, sizeof(path), "data/%u.json", i);
		fill(add_file(path), 10 + i);
	}
}

static void digest_file(struct held_file *f)
{
	f->file = (struct manifest_file){ .size = f->bytes.len, .kind = DIGEST_SHA256 };
	assert_int_equal(digest_of(DIGEST_SHA256, f->bytes.data, f->bytes.len, f->file.digest), 0);
}

int held_commit_make_files(void **state UNUSED)
{
	add_files();
	for (unsigned i = 0; i < file_count; i++)
		digest_file(&files[i]);
	return 0;
}

int held_commit_free_files(void **state UNUSED)
{
	for (unsigned i = 0; i < file_count; i++)
		buf_free(&files[i].bytes);
	return 0;
}

static void make_snapshot(struct held_commit *c)
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
	assert_int_equal(known_add_repo(c->known, &id, &id), 0);
	assert_int_equal(
		known_add_snapshot(c->known, known_repo(c->known, &id), COMMIT, 1, m, &c->snapshot),
		0);
}

/* ---- the cache ---- */

static void ignore_wrong(void *arg UNUSED, const char *etag UNUSED)
{
}

static int never_room(void *arg UNUSED, int refusal UNUSED)
{
	return 0;
}

void held_commit_init(struct held_commit *c)
{
	struct httpc_conf http = { .user_agent = "test", .connect_ms = 1000, .stall_ms = 1000 };
	struct fetch_conf conf = { .timeout_ms = PARKED_WAIT_MS, .memory_bytes = 64 * MIB };
	CLEANUP(buf_free) struct buf why = { 0 };

	workdir_init(&c->dir);
	lock_init(&c->lock, LOCK_TEST);
	c->source = (struct source){ .name = "memory", .get = get };
	c->sources[0] = &c->source;
	assert_int_equal(httpc_new(&http, &c->http), 0);
	assert_int_equal(store_open(c->dir.path, "me", &c->store, &why), 0);
	assert_int_equal(catalog_open(store_index_dir(c->store), &c->catalog, &why), 0);
	assert_int_equal(known_new(c->catalog, &c->known), 0);
	make_snapshot(c);
	conf.store = c->store;
	conf.catalog = c->catalog;
	conf.http = c->http;
	conf.sources = c->sources;
	conf.source_count = 1;
	conf.make_room = never_room;
	conf.outcry.on_wrong = ignore_wrong;
	assert_int_equal(fetch_new(&conf, &c->fetch), 0);
}

void held_commit_fini(struct held_commit *c)
{
	fetch_stop(c->fetch);
	fetch_free(c->fetch);
	snapshot_unref(c->snapshot);
	known_free(c->known);
	catalog_close(c->catalog);
	store_close(c->store);
	httpc_free(c->http);
	lock_fini(&c->lock);
	workdir_fini(&c->dir);
}

uint32_t held_commit_node(struct held_commit *c, const char *path)
{
	return manifest_find(c->snapshot->files, path);
}

struct pull *held_commit_open(struct held_commit *c, const char *path)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct source_blob what;
	struct pull *p = NULL;

	assert_int_equal(known_source_blob(c->snapshot, held_commit_node(c, path), &text, &what),
			 0);
	assert_int_equal(fetch_open(c->fetch, &what, &p), 0);
	return p;
}

bool held_commit_await_sealed(struct held_commit *c, const char *path)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;
	struct catalog_blob row = { 0 };
	char etag[DIGEST_HEX_MAX + 1];

	manifest_etag(manifest_file(c->snapshot->files, held_commit_node(c, path)), etag);
	while (catalog_get_blob(c->catalog, etag, &row) < 0 && clock_ms() < deadline)
		clock_sleep_ms(1);
	return row.sealed;
}

static bool is_running(struct held_commit *c)
{
	bool running;

	lock_take(&c->lock);
	running = c->running;
	lock_drop(&c->lock);
	return running;
}

bool held_commit_await_idle(struct held_commit *c)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;

	while (is_running(c) && clock_ms() < deadline)
		clock_sleep_ms(1);
	return !is_running(c);
}

bool held_commit_is_quiet(struct held_commit *c)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;
	uint64_t before;
	bool quiet;

	do {
		before = held_commit_given_in_all(c);
		clock_sleep_ms(QUIET_MS);
		quiet = !is_running(c) && held_commit_given_in_all(c) == before;
	} while (!quiet && clock_ms() < deadline);
	return quiet;
}

void held_commit_hold(struct held_commit *c, bool held)
{
	lock_take(&c->lock);
	c->held = held;
	lock_drop(&c->lock);
}
