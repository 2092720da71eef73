/* SPDX-License-Identifier: Apache-2.0 */
/* Pulls, pins and scrubs over a whole node, with a scripted hub for the bytes. */
#include "daemon/keeper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/log.h"
#include "daemon/cache/catalog.h"
#include "daemon/cache/chunk.h"
#include "daemon/node_parts.h"
#include "daemon/cache/store.h"
#include "tests/fake_origin.h"
#include "tests/fake_source.h"
#include "tests/workdir.h"

#define COMMIT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define COMMIT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define KEY "models/org/model"
#define BIG_SEED 1
#define BIG_SIZE (5 * CHUNK_BYTES + 777)
#define SMALL_SEED 2
#define SMALL_SIZE 20000
#define OTHER_SEED 3
#define OTHER_SIZE 4000
#define BIG_URL "/org/model/resolve/" COMMIT_A "/big.bin"
#define SMALL_URL "/org/model/resolve/" COMMIT_A "/small.txt"
#define OTHER_URL "/org/model/resolve/" COMMIT_B "/small.txt"
#define WAIT_MS 15000
#define NOBODY 65534

/* org/model: main is COMMIT_A (big.bin, small.txt, empty); COMMIT_B has another small.txt. */
struct world {
	struct workdir dir;
	struct fake_origin *origin;
	struct source_blob big, small, other, empty;
	char *big_bytes, *small_bytes, *other_bytes;
	struct node_hub hub;
	struct node_conf conf;
	struct repo_id id;
	struct node *node;
	struct keeper *keeper;
	atomic_uint forgotten;
};

/* ---- start and stop ---- */

static void count_forgotten(void *arg, const char *etag UNUSED)
{
	struct world *w = arg;

	atomic_fetch_add(&w->forgotten, 1);
}

static void start(struct world *w)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct keeper_conf keeper = { .threads = 2 };

	assert_int_equal(node_open(&w->conf, &w->node, &why), 0);
	keeper.node = w->node;
	assert_int_equal(keeper_start(&keeper, &w->keeper), 0);
}

static void stop(struct world *w)
{
	keeper_stop(w->keeper);
	assert_true(node_stop(w->node));
	keeper_free(w->keeper);
	node_close(w->node);
}

static void add_commit(struct catalog *c, const char *commit,
		       const struct source_blob *const *files, const char *const *paths)
{
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };

	assert_int_equal(manifest_builder_new(&b), 0);
	for (int i = 0; files[i]; i++)
		assert_int_equal(manifest_builder_add(b, paths[i], &files[i]->file, &why), 0);
	assert_int_equal(manifest_builder_finish(b, &m, &why), 0);
	assert_int_equal(catalog_put_commit(c, KEY, commit, 1, m), 0);
}

static void seed(struct world *w)
{
	const struct source_blob *const a[] = { &w->big, &w->small, &w->empty, NULL };
	const struct source_blob *const b[] = { &w->other, NULL };
	static const char *const paths_a[] = { "big.bin", "small.txt", "empty" };
	static const char *const paths_b[] = { "small.txt" };
	CLEANUP(buf_free) struct buf why = { 0 };
	struct catalog *c = NULL;
	struct store *s = NULL;

	fake_blob(BIG_SEED, BIG_SIZE, DIGEST_SHA256, &w->big);
	fake_blob(SMALL_SEED, SMALL_SIZE, DIGEST_GIT_SHA1, &w->small);
	fake_blob(OTHER_SEED, OTHER_SIZE, DIGEST_GIT_SHA1, &w->other);
	fake_blob(0, 0, DIGEST_GIT_SHA1, &w->empty);
	assert_int_equal(store_open(w->dir.path, "seed", &s, &why), 0);
	assert_int_equal(catalog_open(store_index_dir(s), &c, &why), 0);
	assert_int_equal(catalog_put_repo(c, KEY, KEY), 0);
	assert_int_equal(catalog_put_repo(c, "models/old/name", KEY), 0);
	add_commit(c, COMMIT_A, a, paths_a);
	add_commit(c, COMMIT_B, b, paths_b);
	assert_int_equal(catalog_put_ref(c, KEY, "main", COMMIT_A, clock_wall_s()), 0);
	catalog_close(c);
	store_close(s);
}

static char *bytes_of(uint64_t blob_seed, size_t size)
{
	char *bytes = malloc(size);

	fake_bytes(blob_seed, 0, bytes, size);
	return bytes;
}

static void serve(struct world *w)
{
	fake_origin_clear(w->origin, BIG_URL);
	fake_origin_clear(w->origin, SMALL_URL);
	fake_origin_clear(w->origin, OTHER_URL);
	fake_origin_add(
		w->origin, BIG_URL,
		(struct fake_answer){
			.status = 200, .body = w->big_bytes, .len = BIG_SIZE, .ranges = true });
	fake_origin_add(
		w->origin, SMALL_URL,
		(struct fake_answer){
			.status = 200, .body = w->small_bytes, .len = SMALL_SIZE, .ranges = true });
	fake_origin_add(
		w->origin, OTHER_URL,
		(struct fake_answer){
			.status = 200, .body = w->other_bytes, .len = OTHER_SIZE, .ranges = true });
}

static void refuse(struct world *w, int status)
{
	const struct fake_answer no = { .status = status,
					.headers = "X-Error-Code: EntryNotFound\r\n" };

	fake_origin_clear(w->origin, BIG_URL);
	fake_origin_clear(w->origin, SMALL_URL);
	fake_origin_add(w->origin, BIG_URL, no);
	fake_origin_add(w->origin, SMALL_URL, no);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w || repo_id_parse(REPO_MODEL, "org/model", &w->id) < 0)
		return -1;
	workdir_init(&w->dir);
	w->origin = fake_origin_start();
	w->big_bytes = bytes_of(BIG_SEED, BIG_SIZE);
	w->small_bytes = bytes_of(SMALL_SEED, SMALL_SIZE);
	w->other_bytes = bytes_of(OTHER_SEED, OTHER_SIZE);
	w->hub.url = fake_origin_url(w->origin);
	w->conf = (struct node_conf){
		.cache_dir = w->dir.path,
		.owner = "test",
		.hubs = &w->hub,
		.hub_count = 1,
		.ref_ttl_ms = 600000,
		.timeout_ms = 1500,
		.on_forget = count_forgotten,
		.arg = w,
	};
	seed(w);
	serve(w);
	start(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	stop(w);
	fake_origin_stop(w->origin);
	workdir_fini(&w->dir);
	free(w->big_bytes);
	free(w->small_bytes);
	free(w->other_bytes);
	free(w);
	return 0;
}

/* ---- what tests do ---- */

static struct job_progress await_end(struct world *w, uint64_t id)
{
	int64_t until_ms = clock_ms() + WAIT_MS;
	struct job_progress p = { .state = JOB_RUNNING };

	while (p.state == JOB_RUNNING && clock_ms() < until_ms) {
		assert_int_equal(keeper_job(w->keeper, id, &p), 0);
		clock_sleep_ms(2);
	}
	return p;
}

static struct job_progress pull(struct world *w, const char *revision, bool pin)
{
	uint64_t id = 0;

	assert_int_equal(keeper_pull(w->keeper, &w->id, revision, pin, &id), 0);
	return await_end(w, id);
}

static struct job_progress scrub(struct world *w, uint64_t bytes_per_s)
{
	uint64_t id = 0;

	assert_int_equal(keeper_scrub(w->keeper, bytes_per_s, &id), 0);
	return await_end(w, id);
}

static bool is_sealed(struct world *w, const struct source_blob *what)
{
	struct node_blob blob;

	node_blob(w->node, what->etag, what->file.size, &blob);
	return blob.sealed;
}

static uint64_t present(struct world *w, const struct source_blob *what)
{
	return node_present_bytes(w->node, what->etag, what->file.size);
}

static void blob_file(const struct source_blob *what, const char *suffix, char ret[static 128])
{
	snprintf(ret, 128, "blobs/%.2s/%s%s", what->etag, what->etag, suffix);
}

static void flip_bit(struct world *w, const struct source_blob *what, const char *suffix,
		     uint64_t off)
{
	char path[128], byte;
	CLEANUP(closep) int fd = -1;

	blob_file(what, suffix, path);
	fd = openat(w->dir.dirfd, path, O_RDWR | O_CLOEXEC);
	assert_int_equal(file_pread(fd, &byte, 1, off), 0);
	byte = (char)(byte ^ 4);
	assert_int_equal(file_pwrite(fd, &byte, 1, off), 0);
}

static bool disk_is_right(struct world *w)
{
	CLEANUP(freep) char *bytes = malloc(BIG_SIZE);
	CLEANUP(closep) int fd = -1;
	char path[128];

	blob_file(&w->big, "", path);
	fd = openat(w->dir.dirfd, path, O_RDONLY | O_CLOEXEC);
	return file_pread(fd, bytes, BIG_SIZE, 0) == 0 &&
	       memcmp(bytes, w->big_bytes, BIG_SIZE) == 0;
}

/* ---- pulls ---- */

static void a_pull_brings_all_files(void **state)
{
	struct world *w = *state;
	struct job_progress p = pull(w, "main", false);
	unsigned requests = fake_origin_count(w->origin, NULL);

	assert_int_equal(p.state, JOB_DONE);
	assert_int_equal(p.kind, JOB_PULL);
	assert_string_equal(p.what, KEY "@main");
	assert_int_equal(p.files_done, 3);
	assert_int_equal(p.files_total, 3);
	assert_int_equal(p.bytes_done, BIG_SIZE + SMALL_SIZE);
	assert_int_equal(p.bytes_total, BIG_SIZE + SMALL_SIZE);
	assert_true(is_sealed(w, &w->big) && is_sealed(w, &w->small));
	assert_true(disk_is_right(w));
	/* What is there costs nothing the next time. */
	assert_int_equal(pull(w, COMMIT_A, false).state, JOB_DONE);
	assert_int_equal(fake_origin_count(w->origin, NULL), requests);
}

static void a_pull_fails_with_the_hubs_reason(void **state)
{
	struct world *w = *state;
	struct job_progress p;

	refuse(w, 404);
	p = pull(w, "main", false);
	assert_int_equal(p.state, JOB_FAILED);
	assert_int_equal(p.error, ERR_NOENTRY);
	assert_int_equal(pull(w, "no-such-branch", false).state, JOB_FAILED);
}

static void a_name_that_can_be_none_is_refused(void **state)
{
	struct world *w = *state;
	uint64_t id;

	assert_int_equal(keeper_pull(w->keeper, &w->id, "a..b", true, &id), ERR_NOREV);
	assert_int_equal(keeper_unpin(w->keeper, &w->id, "main"), -ENOENT);
}

static void a_pull_can_be_canceled(void **state)
{
	struct world *w = *state;
	uint64_t id;

	fake_origin_clear(w->origin, BIG_URL);
	fake_origin_add(w->origin, BIG_URL,
			(struct fake_answer){ .status = 200,
					      .body = w->big_bytes,
					      .len = BIG_SIZE,
					      .ranges = true,
					      .before_ms = 1000 });
	assert_int_equal(keeper_pull(w->keeper, &w->id, "main", false, &id), 0);
	assert_int_equal(keeper_cancel_job(w->keeper, id), 0);
	assert_int_equal(await_end(w, id).state, JOB_CANCELED);
	assert_false(is_sealed(w, &w->big));
}

/* ---- pins ---- */

static int copy_pin(void *arg, const struct pin *p)
{
	*(struct pin *)arg = *p;
	return 1;
}

static void a_pin_is_kept_until_it_is_taken_away(void **state)
{
	struct world *w = *state;
	struct pin pin = { .since_s = 0 };
	uint64_t freed;

	assert_int_equal(pull(w, "main", true).state, JOB_DONE);
	assert_int_equal(keeper_each_pin(w->keeper, copy_pin, &pin), 1);
	assert_string_equal(pin.key, KEY);
	assert_string_equal(pin.revision, "main");
	assert_string_equal(pin.commit, COMMIT_A);
	assert_true(pin.since_s >= clock_wall_s() - 60);
	assert_int_equal(keeper_evict(w->keeper, &w->id, "main", &freed), 0);
	assert_int_equal(freed, 0);
	assert_true(is_sealed(w, &w->big));
	assert_int_equal(keeper_unpin(w->keeper, &w->id, "main"), 0);
	assert_int_equal(keeper_each_pin(w->keeper, copy_pin, &pin), 0);
	assert_int_equal(keeper_evict(w->keeper, &w->id, "main", &freed), 0);
	assert_true(freed >= BIG_SIZE);
	assert_false(is_sealed(w, &w->big));
	assert_int_equal(present(w, &w->big), 0);
}

static void a_pin_of_another_name_is_the_repositorys(void **state)
{
	struct world *w = *state;
	struct pin pin;
	struct repo_id old;
	uint64_t id;

	assert_int_equal(repo_id_parse(REPO_MODEL, "old/name", &old), 0);
	assert_int_equal(keeper_pull(w->keeper, &old, "main", true, &id), 0);
	assert_int_equal(await_end(w, id).state, JOB_DONE);
	assert_int_equal(keeper_each_pin(w->keeper, copy_pin, &pin), 1);
	assert_string_equal(pin.key, KEY);
	assert_int_equal(keeper_unpin(w->keeper, &w->id, "main"), 0);
}

static void a_pin_waits_for_its_hub_and_outlives_a_restart(void **state)
{
	struct world *w = *state;
	int64_t until_ms = clock_ms() + WAIT_MS;
	struct job_progress p;
	uint64_t id;

	refuse(w, 503);
	assert_int_equal(keeper_pull(w->keeper, &w->id, "main", true, &id), 0);
	do {
		assert_int_equal(keeper_job(w->keeper, id, &p), 0);
		clock_sleep_ms(5);
	} while (p.error == 0 && clock_ms() < until_ms);
	assert_int_equal(p.state, JOB_RUNNING);
	assert_int_equal(p.error, ERR_SERVER);
	assert_false(is_sealed(w, &w->big));
	stop(w);
	serve(w);
	start(w); /* goes on by itself */
	while (!(is_sealed(w, &w->big) && is_sealed(w, &w->small)) && clock_ms() < until_ms)
		clock_sleep_ms(5);
	assert_true(is_sealed(w, &w->big) && is_sealed(w, &w->small));
}

/* Pins v0, v1, ... of a repository that no hub has; nothing runs. */
static void put_pins(struct world *w, int count)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct catalog *c = NULL;
	struct store *s = NULL;
	char revision[16];

	assert_int_equal(store_open(w->dir.path, "pins", &s, &why), 0);
	assert_int_equal(catalog_open(store_index_dir(s), &c, &why), 0);
	for (int i = 0; i < count; i++) {
		snprintf(revision, sizeof(revision), "v%d", i);
		assert_int_equal(catalog_put_pin(c, "models/org/none", revision, "", 1), 0);
	}
	catalog_close(c);
	store_close(s);
}

static int note_last(void *arg, const struct job_progress *p)
{
	*(uint64_t *)arg = p->id;
	return 0;
}

/* Of the job that was started last; their ids are numbered through. */
static uint64_t last_job(struct world *w)
{
	uint64_t id = 0;

	assert_int_equal(keeper_each_job(w->keeper, note_last, &id), 0);
	return id;
}

static int count_running(void *arg, const struct job_progress *p)
{
	*(unsigned *)arg += p->state == JOB_RUNNING;
	return 0;
}

static void more_pins_than_jobs_may_run_keep_nobody_from_a_pull(void **state)
{
	struct world *w = *state;
	unsigned running = 0;
	struct pin pin;

	stop(w);
	put_pins(w, JOBS_RUNNING_MAX + 1);
	w->conf.offline = true; /* none of them ends */
	start(w);
	assert_int_equal(pins_get(node_parts(w->node)->pins, "models/org/none", "v1024", &pin), 0);
	assert_int_equal(pull(w, COMMIT_A, false).error, ERR_OFFLINE);
	assert_int_equal(keeper_each_job(w->keeper, count_running, &running), 0);
	assert_in_range(running, 1, JOBS_RUNNING_MAX / 2);
}

static int note_done(void *arg, const struct job_progress *p)
{
	bool *done = arg;

	*done |= strcmp(p->what, KEY "@" COMMIT_A) == 0 && p->state == JOB_DONE;
	return 0;
}

static void pins_that_have_to_wait_make_way_for_others(void **state)
{
	int64_t until_ms = clock_ms() + WAIT_MS;
	struct world *w = *state;
	unsigned running = 0;
	bool done = false;

	assert_int_equal(pull(w, COMMIT_A, true).state, JOB_DONE);
	stop(w);
	put_pins(w, JOBS_RUNNING_MAX / 2 + 8);
	w->conf.offline = true; /* only the pin that comes after all these has what it needs */
	start(w);
	while (!done && clock_ms() < until_ms) {
		assert_int_equal(keeper_each_job(w->keeper, note_done, &done), 0);
		clock_sleep_ms(5);
	}
	assert_true(done);
	/* They go on waiting; between two that take turns there may be none, or both. */
	while ((running < 1 || running > JOBS_RUNNING_MAX / 2) && clock_ms() < until_ms) {
		running = 0;
		assert_int_equal(keeper_each_job(w->keeper, count_running, &running), 0);
	}
	assert_in_range(running, 1, JOBS_RUNNING_MAX / 2);
}

static void all_pins_are_resumed_however_many_there_are(void **state)
{
	int64_t until_ms = clock_ms() + 2 * WAIT_MS;
	struct world *w = *state;

	stop(w);
	put_pins(w, JOBS_RUNNING_MAX + 7);
	start(w); /* the hub says that there is no such repository: they end one by one */
	while (last_job(w) < JOBS_RUNNING_MAX + 7 && clock_ms() < until_ms)
		clock_sleep_ms(20);
	assert_int_equal(last_job(w), JOBS_RUNNING_MAX + 7);
	clock_sleep_ms(1500); /* and none of them twice */
	assert_int_equal(last_job(w), JOBS_RUNNING_MAX + 7);
}

#ifndef __SANITIZE_THREAD__ /* it forbids threads in a process that was forked */
/* In a process that may have no thread more. */
static int start_without_threads(struct world *w)
{
	const struct rlimit none = { 0, 0 };
	struct keeper_conf conf = { .node = w->node, .threads = 2 };
	struct keeper *k = (struct keeper *)w; /* no keeper: not to be touched */
	int r;

	if (setrlimit(RLIMIT_NPROC, &none) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
		return 1;
	r = keeper_start(&conf, &k);
	return r != -EAGAIN || k;
}

static void a_keeper_that_cannot_start_is_none(void **state)
{
	struct world *w = *state;
	int status;
	pid_t pid;

	keeper_stop(w->keeper);
	keeper_free(w->keeper);
	assert_int_equal(pins_put(node_parts(w->node)->pins,
				  &(struct pin){ .key = "models/org/none", .revision = "v" },
				  UINT64_MAX),
			 0);
	pid = fork();
	if (pid == 0)
		_exit(start_without_threads(w));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	w->keeper = NULL;
}
#endif

static void a_pin_stays_on_its_commit_when_the_ref_moves(void **state)
{
	struct world *w = *state;
	struct repo *r = known_repo(node_known(w->node), &w->id);
	uint64_t freed;

	assert_int_equal(pull(w, "main", true).state, JOB_DONE);
	assert_int_equal(known_set_ref(node_known(w->node), r, "main", COMMIT_B), 0);
	stop(w);
	start(w);
	clock_sleep_ms(100);
	assert_false(is_sealed(w, &w->other));
	assert_int_equal(keeper_evict(w->keeper, &w->id, COMMIT_A, &freed), 0);
	assert_int_equal(freed, 0);
	/* Pinned again, it is of the new one. */
	assert_int_equal(pull(w, "main", true).state, JOB_DONE);
	assert_true(is_sealed(w, &w->other));
	assert_int_equal(keeper_evict(w->keeper, &w->id, COMMIT_A, &freed), 0);
	assert_true(freed >= BIG_SIZE);
}

static void what_cannot_fit_is_not_pinned(void **state)
{
	struct world *w = *state;
	struct job_progress p;
	struct pin pin;

	stop(w);
	w->conf.cache.max_bytes = BIG_SIZE;
	start(w);
	p = pull(w, "main", true);
	assert_int_equal(p.state, JOB_FAILED);
	assert_int_equal(p.error, ERR_TOO_LARGE);
	assert_int_equal(keeper_each_pin(w->keeper, copy_pin, &pin), 0);
}

static void pins_fit_together_or_the_last_is_refused(void **state)
{
	struct world *w = *state;
	struct job_progress p;

	for (int fits = 0; fits < 2; fits++) {
		stop(w);
		w->conf.cache.max_bytes =
			BIG_SIZE + SMALL_SIZE + OTHER_SIZE - 1 + (fits ? CHUNK_BYTES : 0);
		start(w);
		p = pull(w, COMMIT_B, true);
		assert_int_equal(p.error, 0);
		p = pull(w, "main", true);
		assert_int_equal(p.error, fits ? 0 : ERR_TOO_LARGE);
	}
}

static void a_pull_that_cannot_be_kept_fails_and_says_why(void **state)
{
	struct world *w = *state;
	struct job_progress p;

	stop(w);
	w->conf.cache.max_bytes = 3 * CHUNK_BYTES;
	start(w);
	p = pull(w, "main", false);
	assert_int_equal(p.state, JOB_FAILED);
	assert_int_equal(p.error, ERR_FULL);
	assert_non_null(strstr(p.why, "the cache may take 3145728")); /* before any byte came */
	assert_int_equal(p.bytes_done, 0);
	assert_int_equal(store_used_bytes(node_parts(w->node)->store), 0);
}

/* ---- what is kept ---- */

static void the_cache_tells_what_it_holds(void **state)
{
	struct world *w = *state;
	struct keeper_cache c;

	assert_int_equal(keeper_cache(w->keeper, &c), 0);
	assert_int_equal(c.used_blobs, 0);
	assert_int_equal(pull(w, "main", true).state, JOB_DONE);
	assert_int_equal(pull(w, COMMIT_B, false).state, JOB_DONE);
	assert_int_equal(keeper_cache(w->keeper, &c), 0);
	assert_int_equal(c.used_blobs, 4);
	assert_true(c.used_bytes >= BIG_SIZE + SMALL_SIZE + OTHER_SIZE);
	assert_int_equal(c.sealed_blobs, 4);
	assert_int_equal(c.incomplete_blobs, 0);
	assert_int_equal(c.pinned_blobs, 3);
	assert_int_equal(c.evictable_blobs, 1);
	assert_true(c.evictable_bytes >= OTHER_SIZE);
	assert_true(c.disk_bytes > c.disk_free_bytes);
}

/* ---- scrub ---- */

/* How many threads of that name run, and how nice the nicest of them is. */
static unsigned count_threads(const char *name, int *ret_nice)
{
	CLEANUP(closedirp) DIR *tasks = opendir("/proc/self/task");
	unsigned count = 0;
	struct dirent *e;

	*ret_nice = PRIO_MIN;
	assert_non_null(tasks);
	while ((e = readdir(tasks))) {
		CLEANUP(buf_free) struct buf comm = { 0 };
		char path[300];
		int now;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		if (file_read_all(AT_FDCWD, path, 100, &comm) < 0 ||
		    strncmp(buf_str(&comm), name, strlen(name)) != 0)
			continue;
		count++;
		now = getpriority(PRIO_PROCESS, (id_t)strtol(e->d_name, NULL, 10));
		*ret_nice = now > *ret_nice ? now : *ret_nice;
	}
	return count;
}

/* Its thread ends with it: niceness is for life, and the job's thread has other jobs to do. */
static void a_scrub_is_modest_and_leaves_no_modest_thread(void **state)
{
	struct world *w = *state;
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;
	uint64_t id;
	int nice = 0;

	pull(w, "main", false);
	assert_int_equal(keeper_scrub(w->keeper, 1, &id), 0);
	while (nice != THREAD_NICE_MAX && clock_ms() < deadline) {
		clock_sleep_ms(1);
		count_threads("mfs-scrub", &nice);
	}
	assert_int_equal(nice, THREAD_NICE_MAX);
	assert_true(count_threads("mfs-job", &nice) > 0);
	assert_int_equal(nice, getpriority(PRIO_PROCESS, 0));
	assert_int_equal(keeper_cancel_job(w->keeper, id), 0);
	while (count_threads("mfs-scrub", &nice) && clock_ms() < deadline)
		clock_sleep_ms(1);
	assert_int_equal(count_threads("mfs-scrub", &nice), 0);
}

static void a_scrub_of_a_sound_cache_finds_nothing(void **state)
{
	struct world *w = *state;
	struct job_progress p;
	unsigned requests;

	assert_int_equal(pull(w, "main", false).state, JOB_DONE);
	requests = fake_origin_count(w->origin, NULL);
	p = scrub(w, 0);
	assert_int_equal(p.state, JOB_DONE);
	assert_int_equal(p.kind, JOB_SCRUB);
	assert_int_equal(p.files_done, 3);
	assert_int_equal(p.bytes_done, BIG_SIZE + SMALL_SIZE);
	assert_int_equal(p.bad + p.repaired, 0);
	assert_int_equal(fake_origin_count(w->origin, NULL), requests);
	assert_int_equal(atomic_load(&w->forgotten), 0);
}

static void a_rotten_chunk_is_found_and_fetched_again(void **state)
{
	struct world *w = *state;
	struct job_progress p;
	unsigned requests;

	assert_int_equal(pull(w, "main", false).state, JOB_DONE);
	requests = fake_origin_count(w->origin, BIG_URL);
	flip_bit(w, &w->big, "", 2 * CHUNK_BYTES + 99);
	p = scrub(w, 0);
	assert_int_equal(p.state, JOB_DONE);
	assert_int_equal(p.repaired, 1);
	assert_int_equal(p.bad, 0);
	assert_true(is_sealed(w, &w->big));
	assert_true(disk_is_right(w));
	assert_int_equal(fake_origin_count(w->origin, BIG_URL), requests + 1);
	assert_true(fake_origin_saw(w->origin, BIG_URL, "bytes=2097152-3145727"));
	assert_true(atomic_load(&w->forgotten) > 0);
	assert_int_equal(scrub(w, 0).repaired, 0);
}

static void rot_is_mended_in_a_cache_that_has_no_room_for_more(void **state)
{
	struct world *w = *state;
	struct job_progress p;
	char path[128];

	assert_int_equal(pull(w, "main", false).state, JOB_DONE);
	stop(w);
	w->conf.cache.max_bytes = BIG_SIZE + SMALL_SIZE + CHUNK_BYTES;
	start(w);
	blob_file(&w->big, ".sums", path);
	assert_int_equal(unlinkat(w->dir.dirfd, path, 0), 0); /* all of it is to be fetched again */
	flip_bit(w, &w->big, "", CHUNK_BYTES);
	p = scrub(w, 0);
	assert_int_equal(p.repaired, 6);
	assert_int_equal(p.bad, 0);
	assert_true(is_sealed(w, &w->big));
	assert_true(disk_is_right(w));
}

static void what_cannot_be_mended_is_absent(void **state)
{
	struct world *w = *state;
	struct job_progress p;

	assert_int_equal(pull(w, "main", false).state, JOB_DONE);
	flip_bit(w, &w->big, "", 2 * CHUNK_BYTES + 99);
	refuse(w, 404);
	p = scrub(w, 0);
	assert_int_equal(p.state, JOB_DONE);
	assert_int_equal(p.repaired, 0);
	assert_int_equal(p.bad, 1);
	assert_false(is_sealed(w, &w->big));
	assert_int_equal(present(w, &w->big), BIG_SIZE - CHUNK_BYTES);
	stop(w);
	serve(w);
	start(w);
	assert_int_equal(present(w, &w->big), BIG_SIZE - CHUNK_BYTES);
	assert_int_equal(pull(w, "main", false).state, JOB_DONE);
	assert_true(is_sealed(w, &w->big));
	assert_true(disk_is_right(w));
}

static void rotten_or_missing_sums_are_made_again(void **state)
{
	struct world *w = *state;
	char path[128];

	assert_int_equal(pull(w, "main", false).state, JOB_DONE);
	flip_bit(w, &w->big, ".sums", 24 + 8);
	assert_int_equal(scrub(w, 0).bad, 0);
	assert_true(is_sealed(w, &w->big));
	blob_file(&w->big, ".sums", path);
	assert_int_equal(unlinkat(w->dir.dirfd, path, 0), 0); /* as an older version left it */
	assert_int_equal(scrub(w, 0).bad, 0);
	flip_bit(w, &w->big, "", CHUNK_BYTES);
	assert_int_equal(scrub(w, 0).repaired, 1);
	/* Data and sums rotten: only the whole can be fetched again. */
	flip_bit(w, &w->big, "", CHUNK_BYTES);
	flip_bit(w, &w->big, ".sums", 3);
	assert_int_equal(scrub(w, 0).repaired, 6);
	assert_true(disk_is_right(w));
}

static void chunks_of_an_incomplete_blob_are_compared(void **state)
{
	struct world *w = *state;
	struct job_progress p;

	assert_int_equal(pull(w, "main", false).state, JOB_DONE);
	flip_bit(w, &w->big, "", 5);
	refuse(w, 404);
	assert_int_equal(scrub(w, 0).bad, 1); /* now it is incomplete */
	flip_bit(w, &w->big, "", 3 * CHUNK_BYTES);
	serve(w);
	p = scrub(w, 0);
	assert_int_equal(p.repaired, 1);
	assert_int_equal(p.bad, 0);
	assert_int_equal(present(w, &w->big), BIG_SIZE - CHUNK_BYTES);
}

static void a_scrub_keeps_to_its_rate_and_can_be_canceled(void **state)
{
	struct world *w = *state;
	int64_t begun_ms;
	uint64_t id;

	assert_int_equal(pull(w, "main", false).state, JOB_DONE);
	begun_ms = clock_ms();
	assert_int_equal(scrub(w, 10 * CHUNK_BYTES).state, JOB_DONE);
	assert_in_range(clock_ms() - begun_ms, 400, 5000);
	assert_int_equal(keeper_scrub(w->keeper, 1, &id), 0);
	assert_int_equal(keeper_cancel_job(w->keeper, id), 0);
	assert_int_equal(await_end(w, id).state, JOB_CANCELED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_pull_brings_all_files),
		TEST(a_pull_fails_with_the_hubs_reason),
		TEST(a_name_that_can_be_none_is_refused),
		TEST(a_pull_can_be_canceled),
		TEST(a_pin_is_kept_until_it_is_taken_away),
		TEST(a_pin_of_another_name_is_the_repositorys),
		TEST(a_pin_waits_for_its_hub_and_outlives_a_restart),
		TEST(more_pins_than_jobs_may_run_keep_nobody_from_a_pull),
		TEST(pins_that_have_to_wait_make_way_for_others),
		TEST(all_pins_are_resumed_however_many_there_are),
#ifndef __SANITIZE_THREAD__
		TEST(a_keeper_that_cannot_start_is_none),
#endif
		TEST(a_pin_stays_on_its_commit_when_the_ref_moves),
		TEST(what_cannot_fit_is_not_pinned),
		TEST(pins_fit_together_or_the_last_is_refused),
		TEST(a_pull_that_cannot_be_kept_fails_and_says_why),
		TEST(the_cache_tells_what_it_holds),
		TEST(a_scrub_of_a_sound_cache_finds_nothing),
		TEST(a_rotten_chunk_is_found_and_fetched_again),
		TEST(rot_is_mended_in_a_cache_that_has_no_room_for_more),
		TEST(what_cannot_be_mended_is_absent),
		TEST(rotten_or_missing_sums_are_made_again),
		TEST(chunks_of_an_incomplete_blob_are_compared),
		TEST(a_scrub_is_modest_and_leaves_no_modest_thread),
		TEST(a_scrub_keeps_to_its_rate_and_can_be_canceled),
	};

	log_set_level((enum log_level)(LOG_LEVEL_ERR - 1));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
