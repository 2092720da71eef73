/* SPDX-License-Identifier: Apache-2.0 */
/* The face of the core as far as it needs no network: a cache that was filled before, no hub. */
#include "daemon/node.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/log.h"
#include "daemon/cache/catalog.h"
#include "daemon/cache/chunk.h"
#include "daemon/cache/store.h"
#include "tests/fake_source.h"
#include "tests/workdir.h"

#define MIB CHUNK_BYTES
#define COMMIT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define COMMIT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define WHOLE_SEED 1
#define WHOLE_SIZE (MIB + 1234)
#define PARTLY_SEED 2
#define PARTLY_SIZE (3 * MIB)
#define LONG_MS 60000

static const struct node_hub hub = { .url = "http://127.0.0.1:9" };

struct world {
	struct workdir dir;
	struct source_blob whole, partly, empty;
	struct node_conf conf;
	struct repo_id id;
	struct node *node;
};

/* ---- a cache, as a former process left it ---- */

static void put_blob(struct store *s, struct catalog *c, const struct source_blob *what,
		     uint64_t seed, uint32_t chunks)
{
	struct catalog_blob row = { .size = what->file.size, .source = "http://hub" };
	struct blob *b = NULL;

	assert_int_equal(store_blob(s, what->etag, what->file.size, false, &b), 0);
	for (uint32_t i = 0; i < chunks; i++) {
		size_t len = chunk_end(i, what->file.size) - chunk_start(i);
		CLEANUP(freep) char *bytes = malloc(len);

		fake_bytes(seed, chunk_start(i), bytes, len);
		assert_int_equal(blob_write(b, bytes, len, chunk_start(i)), 0);
		assert_int_equal(blob_put_chunk(b, i, xxh3_of(bytes, len)), 0);
	}
	row.sealed = chunks == chunk_count(what->file.size);
	if (row.sealed) {
		assert_int_equal(catalog_put_blob(c, what->etag, &row), 0);
		blob_seal(b);
	}
	blob_unref(b);
}

static void put_commit(struct catalog *c, const struct world *w)
{
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };

	assert_int_equal(manifest_builder_new(&b), 0);
	assert_int_equal(manifest_builder_add(b, "dir/whole", &w->whole.file, &why), 0);
	assert_int_equal(manifest_builder_add(b, "partly", &w->partly.file, &why), 0);
	assert_int_equal(manifest_builder_add(b, "empty", &w->empty.file, &why), 0);
	assert_int_equal(manifest_builder_finish(b, &m, &why), 0);
	assert_int_equal(catalog_put_repo(c, "models/org/model", "models/org/model"), 0);
	assert_int_equal(catalog_put_repo(c, "models/old/name", "models/org/model"), 0);
	assert_int_equal(catalog_put_ref(c, "models/org/model", "main", COMMIT_A, 1), 0);
	assert_int_equal(catalog_put_commit(c, "models/org/model", COMMIT_A, 77, m), 0);
}

static void fill_cache(struct world *w)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct catalog *c = NULL;
	struct store *s = NULL;

	fake_blob(WHOLE_SEED, WHOLE_SIZE, DIGEST_SHA256, &w->whole);
	fake_blob(PARTLY_SEED, PARTLY_SIZE, DIGEST_SHA256, &w->partly);
	fake_blob(0, 0, DIGEST_GIT_SHA1, &w->empty);
	assert_int_equal(store_open(w->dir.path, "me", &s, &why), 0);
	assert_int_equal(catalog_open(store_index_dir(s), &c, &why), 0);
	put_blob(s, c, &w->whole, WHOLE_SEED, 2);
	put_blob(s, c, &w->partly, PARTLY_SEED, 1);
	put_commit(c, w);
	catalog_close(c);
	store_close(s);
}

static void ignore_wrong(void *arg UNUSED, const char *etag UNUSED)
{
}

static void start(struct world *w)
{
	CLEANUP(buf_free) struct buf why = { 0 };

	assert_int_equal(node_open(&w->conf, &w->node, &why), 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w || repo_id_parse(REPO_MODEL, "org/model", &w->id) < 0)
		return -1;
	workdir_init(&w->dir);
	w->conf = (struct node_conf){
		.cache_dir = w->dir.path,
		.owner = "pid 1 on /models",
		.hubs = &hub,
		.hub_count = 1,
		.offline = true,
		.ref_ttl_ms = 10,
		.timeout_ms = 2000,
		.memory_bytes = UINT64_C(64) << 20,
		.on_forget = ignore_wrong,
	};
	fill_cache(w);
	start(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	assert_true(node_stop(w->node));
	node_close(w->node);
	workdir_fini(&w->dir);
	free(w);
	return 0;
}

static struct repo *get_repo(struct world *w)
{
	struct repo *r = NULL;
	struct parked p;

	parked_init(&p, LONG_MS);
	assert_int_equal(node_repo(w->node, &w->id, &p.waiter, &r), 0);
	parked_fini(&p);
	return r;
}

static struct snapshot *get_snapshot(struct world *w)
{
	struct snapshot *s = NULL;
	struct parked p;

	parked_init(&p, LONG_MS);
	assert_int_equal(node_snapshot(w->node, get_repo(w), COMMIT_A, &p.waiter, &s), 0);
	parked_fini(&p);
	return s;
}

static struct handle *open_path(struct world *w, const char *path)
{
	struct snapshot *s = get_snapshot(w);
	struct handle *h = NULL;

	assert_int_equal(node_open_file(w->node, s, manifest_find(s->files, path), &h), 0);
	snapshot_unref(s); /* the handle holds it */
	return h;
}

/* Reads without ever waiting. */
static int read_now(struct world *w, struct handle *h, uint64_t off, uint64_t len, uint64_t seed,
		    uint64_t *ret_len)
{
	const void *data;
	struct parked p;
	int r;

	parked_init(&p, LONG_MS);
	r = node_read(w->node, h, off, len, &p.waiter, &data, ret_len);
	assert_int_not_equal(r, PARKED);
	parked_fini(&p);
	if (r < 0)
		return r;
	assert_true(*ret_len == 0 || fake_bytes_are(seed, off, data, *ret_len));
	node_done(h, data, *ret_len);
	return 0;
}

/* ---- names ---- */

static void what_is_known_is_told_offline(void **state)
{
	struct world *w = *state;
	struct repo *r = get_repo(w);
	char commit[COMMIT_HEX + 1];
	struct snapshot *s;
	struct parked p;

	assert_string_equal(repo_key(r), "models/org/model");
	parked_init(&p, LONG_MS);
	assert_int_equal(node_ref(w->node, r, "main", &p.waiter, commit), 0);
	parked_fini(&p);
	assert_string_equal(commit, COMMIT_A);
	s = get_snapshot(w);
	assert_int_equal(s->date_s, 77);
	assert_int_equal(manifest_file_count(s->files), 3);
	snapshot_unref(s);
	assert_ptr_equal(known_repo(node_known(w->node), &w->id), r);
}

static void another_name_is_known_offline(void **state)
{
	struct world *w = *state;
	struct repo *real = get_repo(w);

	assert_int_equal(repo_id_parse(REPO_MODEL, "old/name", &w->id), 0);
	assert_ptr_equal(repo_canonical(get_repo(w)), real);
}

static void what_is_not_known_is_refused_at_once_offline(void **state)
{
	struct world *w = *state;
	struct repo *r = get_repo(w), *none;
	char commit[COMMIT_HEX + 1];
	struct snapshot *s;
	struct repo_id id;
	struct parked p;

	parked_init(&p, LONG_MS);
	assert_int_equal(repo_id_parse(REPO_DATASET, "org/model", &id), 0);
	assert_int_equal(node_repo(w->node, &id, &p.waiter, &none), ERR_OFFLINE);
	assert_int_equal(node_ref(w->node, r, "v2", &p.waiter, commit), ERR_OFFLINE);
	assert_int_equal(node_snapshot(w->node, r, COMMIT_B, &p.waiter, &s), ERR_OFFLINE);
	assert_int_equal(node_leave_lookup(w->node, &p.waiter), 0);
	assert_int_equal(parked_woken(&p), 0);
	parked_fini(&p);
}

static void a_ref_that_is_too_long_is_none(void **state)
{
	struct world *w = *state;
	char commit[COMMIT_HEX + 1], name[300];
	struct parked p;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	parked_init(&p, LONG_MS);
	assert_int_equal(node_ref(w->node, get_repo(w), name, &p.waiter, commit), ERR_NOREV);
	parked_fini(&p);
}

/* ---- bytes ---- */

static void a_sealed_file_is_read_offline(void **state)
{
	struct world *w = *state;
	struct handle *h = open_path(w, "dir/whole");
	uint64_t len;

	assert_true(node_sealed_fd(h) >= 0);
	assert_int_equal(read_now(w, h, 0, WHOLE_SIZE, WHOLE_SEED, &len), 0);
	assert_int_equal(len, WHOLE_SIZE);
	assert_int_equal(read_now(w, h, MIB + 3, 5 * MIB, WHOLE_SEED, &len), 0);
	assert_int_equal(len, WHOLE_SIZE - MIB - 3);
	assert_int_equal(read_now(w, h, WHOLE_SIZE, 10, WHOLE_SEED, &len), 0);
	assert_int_equal(len, 0);
	assert_int_equal(read_now(w, h, 5, 0, WHOLE_SEED, &len), 0);
	assert_int_equal(len, 0);
	node_close_file(w->node, h);
}

static void of_an_incomplete_file_what_is_there_is_read_offline(void **state)
{
	struct world *w = *state;
	struct handle *h = open_path(w, "partly");
	struct parked p;
	uint64_t len;

	assert_int_equal(node_sealed_fd(h), -1);
	assert_int_equal(read_now(w, h, 10, 1000, PARTLY_SEED, &len), 0);
	assert_int_equal(len, 1000);
	assert_int_equal(read_now(w, h, 2 * MIB, 1000, PARTLY_SEED, &len), ERR_OFFLINE);
	assert_int_equal(read_now(w, h, MIB - 5, 10, PARTLY_SEED, &len), ERR_OFFLINE);
	parked_init(&p, LONG_MS);
	assert_int_equal(node_leave_read(w->node, &p.waiter), 0);
	parked_fini(&p);
	node_close_file(w->node, h);
}

static void an_empty_file_reads_as_empty(void **state)
{
	struct world *w = *state;
	struct handle *h = open_path(w, "empty");
	uint64_t len = 7;

	assert_int_equal(read_now(w, h, 0, 100, 0, &len), 0);
	assert_int_equal(len, 0);
	node_close_file(w->node, h);
}

static void a_directory_cannot_be_opened(void **state)
{
	struct world *w = *state;
	struct snapshot *s = get_snapshot(w);
	struct handle *h = NULL;

	assert_int_equal(node_open_file(w->node, s, MANIFEST_ROOT, &h), -EISDIR);
	assert_int_equal(node_open_file(w->node, s, manifest_find(s->files, "dir"), &h), -EISDIR);
	assert_null(h);
	snapshot_unref(s);
}

static void a_blob_is_described_open_or_not(void **state)
{
	struct world *w = *state;
	struct node_blob blob;
	struct handle *h;

	node_blob(w->node, w->whole.etag, WHOLE_SIZE, &blob);
	assert_true(blob.sealed);
	assert_int_equal(node_present_bytes(w->node, w->whole.etag, WHOLE_SIZE), WHOLE_SIZE);
	assert_string_equal(blob.source, "http://hub");
	node_blob(w->node, w->partly.etag, PARTLY_SIZE, &blob);
	assert_false(blob.sealed);
	assert_int_equal(node_present_bytes(w->node, w->partly.etag, PARTLY_SIZE), MIB);
	h = open_path(w, "partly");
	node_blob(w->node, w->partly.etag, PARTLY_SIZE, &blob);
	assert_false(blob.sealed);
	assert_int_equal(node_present_bytes(w->node, w->partly.etag, PARTLY_SIZE), MIB);
	node_close_file(w->node, h);
	node_blob(w->node, "ffffffffffffffffffffffffffffffffffffffff", 10, &blob);
	assert_false(blob.sealed);
	assert_int_equal(
		node_present_bytes(w->node, "ffffffffffffffffffffffffffffffffffffffff", 10), 0);
	assert_string_equal(blob.source, "");
}

static void the_cache_has_its_space(void **state)
{
	struct world *w = *state;
	uint64_t total = 0, free_bytes = 0;

	assert_int_equal(node_space(w->node, &total, &free_bytes), 0);
	assert_true(free_bytes > 0 && free_bytes <= total);
}

static void after_stopping_what_is_known_is_still_told(void **state)
{
	struct world *w = *state;
	struct handle *h = open_path(w, "dir/whole");
	uint64_t len;

	assert_true(node_stop(w->node));
	assert_int_equal(read_now(w, h, 0, 100, WHOLE_SEED, &len), 0);
	snapshot_unref(get_snapshot(w));
	node_close_file(w->node, h);
}

/* ---- what cannot be opened ---- */

static int try_open(const struct node_conf *conf, struct buf *why)
{
	struct node *n = NULL;
	int r = node_open(conf, &n, why);

	assert_null(n);
	assert_true(why->len > 0);
	return r;
}

static void two_nodes_do_not_share_a_cache(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct world *w = *state;
	uint64_t len;
	struct handle *h;

	w->conf.owner = "pid 2 on /other";
	assert_int_equal(try_open(&w->conf, &why), ERR_LOCKED);
	assert_non_null(strstr(buf_str(&why), "pid 1 on /models"));
	assert_non_null(strstr(buf_str(&why), "--cache"));
	h = open_path(w, "dir/whole"); /* the first is none the worse */
	assert_int_equal(read_now(w, h, 0, 100, WHOLE_SEED, &len), 0);
	node_close_file(w->node, h);
	assert_true(node_stop(w->node));
	node_close(w->node);
	start(w);
}

static void the_number_of_hubs_is_checked(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct world *w = *state;

	w->conf.hub_count = 0;
	assert_int_equal(try_open(&w->conf, &why), -EINVAL);
	w->conf.hub_count = 65;
	assert_int_equal(try_open(&w->conf, &why), -EINVAL);
}

static void a_cache_that_cannot_be_used_is_told_in_a_sentence(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct world *w = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/version", w->dir.path);
	w->conf.cache_dir = path; /* a file */
	assert_int_equal(try_open(&w->conf, &why), -ENOTDIR);
	assert_non_null(strstr(buf_str(&why), path));
	buf_clear(&why);
	snprintf(path, sizeof(path), "%s/other", w->dir.path);
	assert_int_equal(mkdirat(w->dir.dirfd, "other", 0700), 0);
	assert_int_equal(
		file_replace(w->dir.dirfd, "other/version", "matrixfs-cache 99\n", 18, 0600), 0);
	assert_int_equal(try_open(&w->conf, &why), ERR_FORMAT);
	assert_non_null(strstr(buf_str(&why), "99"));
}

static unsigned entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* NODE_LIVES says how many; the address sanitizer counts what they allocate. */
static void many_lives_leave_no_descriptor_and_no_thread(void **state)
{
	struct world *w = *state;
	const char *text = getenv("NODE_LIVES");
	int lives = text ? atoi(text) : 20;
	unsigned fds = entries("/proc/self/fd"), threads = entries("/proc/self/task");

	for (int i = 0; i < lives; i++) {
		CLEANUP(buf_free) struct buf why = { 0 };
		struct repo *r = get_repo(w);

		assert_non_null(r);
		assert_true(node_stop(w->node));
		node_close(w->node);
		w->conf.offline = i % 2 == 0;
		start(w);
	}
	assert_int_equal(entries("/proc/self/fd"), fds);
	assert_true(entries("/proc/self/task") <= threads + 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void a_document_that_is_not_known_is_not_to_be_had_offline(void **state)
{
	CLEANUP(doc_fini) struct doc doc = { 0 };
	struct world *w = *state;
	struct repo *repo = known_repo(node_known(w->node), &w->id);
	struct parked p;

	assert_non_null(repo);
	parked_init(&p, LONG_MS);
	assert_int_equal(node_doc(w->node, repo, "/refs", CLOCK_FOREVER, &p.waiter, &doc),
			 ERR_OFFLINE);
	parked_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_known_is_told_offline),
		TEST(another_name_is_known_offline),
		TEST(what_is_not_known_is_refused_at_once_offline),
		TEST(a_ref_that_is_too_long_is_none),
		TEST(a_sealed_file_is_read_offline),
		TEST(of_an_incomplete_file_what_is_there_is_read_offline),
		TEST(an_empty_file_reads_as_empty),
		TEST(a_directory_cannot_be_opened),
		TEST(a_blob_is_described_open_or_not),
		TEST(the_cache_has_its_space),
		TEST(after_stopping_what_is_known_is_still_told),
		TEST(two_nodes_do_not_share_a_cache),
		TEST(the_number_of_hubs_is_checked),
		TEST(a_cache_that_cannot_be_used_is_told_in_a_sentence),
		TEST(many_lives_leave_no_descriptor_and_no_thread),
		TEST(a_document_that_is_not_known_is_not_to_be_had_offline),
	};

	log_set_level(LOG_LEVEL_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
