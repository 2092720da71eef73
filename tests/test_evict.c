/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/evict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/cache/chunk.h"
#include "tests/workdir.h"

#define MIB CHUNK_BYTES
#define BLOBS 6
#define LONG_MS 60000

/* A cache of six blobs of one MiB; number 0 was used longest ago. */
struct world {
	struct workdir dir;
	struct store *store;
	struct catalog *catalog;
	struct pins *pins;
	struct evict *evict;
};

static void etag_of(int i, char ret[static DIGEST_HEX_MAX + 1])
{
	snprintf(ret, DIGEST_HEX_MAX + 1, "%02x11223344556677889900aabbccddeeff001122", i);
}

static bool is_there(struct world *w, int i)
{
	char etag[DIGEST_HEX_MAX + 1];

	etag_of(i, etag);
	return store_disk_bytes(w->store, etag) > 0;
}

static struct blob *open_blob(struct world *w, int i)
{
	char etag[DIGEST_HEX_MAX + 1];
	struct blob *b = NULL;

	etag_of(i, etag);
	assert_int_equal(store_blob(w->store, etag, MIB, true, &b), 0);
	return b;
}

/* Sets when a blob was used, in the order of their numbers unless said otherwise. */
static void set_used(struct world *w, int i, int64_t used_s)
{
	const struct timespec times[2] = { { .tv_sec = used_s }, { .tv_nsec = UTIME_OMIT } };
	char etag[DIGEST_HEX_MAX + 1], path[128];

	etag_of(i, etag);
	snprintf(path, sizeof(path), "blobs/%.2s/%s", etag, etag);
	assert_int_equal(utimensat(w->dir.dirfd, path, times, 0), 0);
}

/* The limits count for who writes, too. */
static void write_when_there_is_room(struct blob *b, const void *bytes)
{
	int r = ERR_FULL;

	for (int i = 0; i < 10000 && r == ERR_FULL; i++) {
		r = blob_write(b, bytes, MIB, 0);
		if (r == ERR_FULL)
			clock_sleep_ms(5);
	}
	assert_int_equal(r, 0);
}

static void make_blob(struct world *w, int i)
{
	struct catalog_blob row = { .size = MIB, .sealed = true };
	CLEANUP(freep) char *bytes = malloc(MIB);
	struct blob *b = open_blob(w, i);
	char etag[DIGEST_HEX_MAX + 1];

	etag_of(i, etag);
	memset(bytes, 'x', MIB);
	write_when_there_is_room(b, bytes);
	assert_int_equal(blob_put_chunk(b, 0, xxh3_of(bytes, MIB)), 0);
	assert_int_equal(blob_sync(b), 0); /* so that the disk has counted it */
	assert_int_equal(catalog_put_blob(w->catalog, etag, &row), 0);
	blob_seal(b);
	blob_unref(b);
	set_used(w, i, 1000 + i);
}

static int setup(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	workdir_init(&w->dir);
	if (store_open(w->dir.path, "me", &w->store, &why) < 0 ||
	    catalog_open(store_index_dir(w->store), &w->catalog, &why) < 0 ||
	    pins_new(w->catalog, &w->pins) < 0)
		return -1;
	for (int i = 0; i < BLOBS; i++)
		make_blob(w, i);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	evict_stop(w->evict);
	evict_free(w->evict);
	pins_free(w->pins);
	catalog_close(w->catalog);
	store_close(w->store);
	workdir_fini(&w->dir);
	free(w);
	return 0;
}

static void start(struct world *w, uint64_t max_bytes, uint64_t min_free_bytes, int64_t period_ms)
{
	struct evict_conf conf = {
		.store = w->store,
		.pins = w->pins,
		.period_ms = period_ms,
	};

	store_limit(w->store, &(struct cache_limits){ max_bytes, min_free_bytes });
	assert_int_equal(evict_start(&conf, &w->evict), 0);
}

/* Waits until no more than so many bytes are used. */
static bool await_used(struct world *w, uint64_t most)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;

	while (store_used_bytes(w->store) > most && clock_ms() < deadline)
		clock_sleep_ms(1);
	return store_used_bytes(w->store) <= most;
}

static void within_the_limits_nothing_goes(void **state)
{
	struct world *w = *state;

	start(w, 100 * MIB, 1, LONG_MS);
	assert_int_equal(evict_now(w->evict, 0), 0);
	for (int i = 0; i < BLOBS; i++)
		assert_true(is_there(w, i));
}

static void a_limit_that_is_lowered_counts_at_once(void **state)
{
	struct world *w = *state;

	start(w, 100 * MIB, 0, LONG_MS);
	assert_false(evict_now(w->evict, 0));
	store_limit(w->store, &(struct cache_limits){ 4 * MIB + MIB / 2, 0 });
	evict_limits_changed(w->evict);
	assert_true(await_used(w, 4 * MIB));
}

static void without_a_limit_nothing_goes(void **state)
{
	struct world *w = *state;

	start(w, 0, 0, LONG_MS);
	assert_int_equal(evict_now(w->evict, 0), 0);
	assert_true(is_there(w, 0));
}

static void what_was_used_longest_ago_goes_first(void **state)
{
	struct world *w = *state;

	set_used(w, 1, 5000); /* used again meanwhile */
	start(w, 4 * MIB + MIB / 2, 0, LONG_MS);
	assert_true(await_used(w, 4 * MIB));
	assert_int_equal(evict_now(w->evict, 0), 0);
	assert_false(is_there(w, 0));
	assert_true(is_there(w, 1));
	assert_false(is_there(w, 2));
	for (int i = 3; i < BLOBS; i++)
		assert_true(is_there(w, i));
}

static void open_blobs_stay(void **state)
{
	struct world *w = *state;
	struct blob *b = open_blob(w, 0);

	set_used(w, 0, 1);
	start(w, 1, 0, LONG_MS);
	assert_true(await_used(w, MIB + 65536));
	assert_true(is_there(w, 0));
	for (int i = 1; i < BLOBS; i++)
		assert_false(is_there(w, i));
	blob_unref(b);
	assert_true(evict_now(w->evict, 0) >= MIB);
	assert_false(is_there(w, 0));
}

/* Pins a commit with blob i as its only file. */
static void pin_blob(struct world *w, int i)
{
	static const char commit[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	struct manifest_file f = { .size = MIB, .kind = DIGEST_GIT_SHA1 };
	struct pin pin = { .key = "models/org/model", .revision = "main" };
	char etag[DIGEST_HEX_MAX + 1];

	etag_of(i, etag);
	for (int at = 0; at < 20; at++) {
		unsigned byte;

		assert_int_equal(sscanf(etag + 2 * at, "%2x", &byte), 1);
		f.digest[at] = (uint8_t)byte;
	}
	assert_int_equal(manifest_builder_new(&b), 0);
	assert_int_equal(manifest_builder_add(b, "file", &f, &why), 0);
	assert_int_equal(manifest_builder_finish(b, &m, &why), 0);
	assert_int_equal(catalog_put_commit(w->catalog, pin.key, commit, 1, m), 0);
	memcpy(pin.commit, commit, sizeof(commit));
	assert_int_equal(pins_put(w->pins, &pin, UINT64_MAX), 0);
}

static void pinned_blobs_stay_until_they_are_unpinned(void **state)
{
	struct world *w = *state;

	pin_blob(w, 0);
	start(w, 1, 0, LONG_MS);
	assert_true(await_used(w, MIB + 65536));
	assert_true(is_there(w, 0));
	for (int i = 1; i < BLOBS; i++)
		assert_false(is_there(w, i));
	assert_int_equal(pins_del(w->pins, "models/org/model", "main"), 0);
	assert_true(evict_now(w->evict, 0) >= MIB);
	assert_false(is_there(w, 0));
}

static void one_blob_can_be_dropped_by_name(void **state)
{
	struct world *w = *state;
	char etag[DIGEST_HEX_MAX + 1];

	start(w, 0, 0, LONG_MS);
	etag_of(3, etag);
	assert_in_range(evict_blob(w->evict, etag), MIB, MIB + 65536);
	assert_false(is_there(w, 3));
	assert_true(is_there(w, 0));
	assert_int_equal(evict_blob(w->evict, etag), 0);
}

struct keeper {
	struct blob *kept; /* until it is asked for */
	unsigned asked;
};

static bool let_go(void *arg, const char *etag)
{
	struct keeper *k = arg;
	struct blob *b = k->kept;

	k->asked++;
	if (!b || strcmp(blob_etag(b), etag) != 0)
		return false;
	k->kept = NULL;
	blob_unref(b);
	return true;
}

static void who_keeps_a_blob_open_for_nobody_is_asked_for_it(void **state)
{
	struct world *w = *state;
	struct keeper k = { open_blob(w, 3), 0 };
	char etag[DIGEST_HEX_MAX + 1];

	start(w, 0, 0, LONG_MS);
	etag_of(3, etag);
	assert_int_equal(evict_blob(w->evict, etag), 0); /* there is nobody to ask */
	assert_true(is_there(w, 3));
	evict_ask(w->evict, let_go, &k);
	etag_of(2, etag);
	assert_true(evict_blob(w->evict, etag) > 0);
	assert_int_equal(k.asked, 0); /* nobody was in the way */
	etag_of(3, etag);
	assert_true(evict_blob(w->evict, etag) > 0);
	assert_false(is_there(w, 3));
	k.kept = open_blob(w, 4);
	pin_blob(w, 4);
	etag_of(4, etag);
	assert_int_equal(evict_blob(w->evict, etag), 0); /* not for what stays anyway */
	assert_non_null(k.kept);
	blob_unref(k.kept);
}

static void who_uses_a_blob_has_it_for_as_long_as_he_does(void **state)
{
	struct world *w = *state;
	struct blob *used = open_blob(w, 3);
	struct keeper k = { open_blob(w, 3), 0 };
	char etag[DIGEST_HEX_MAX + 1];

	start(w, 0, 0, LONG_MS);
	evict_ask(w->evict, let_go, &k);
	etag_of(3, etag);
	assert_int_equal(evict_blob(w->evict, etag), 0);
	assert_null(k.kept);
	assert_true(is_there(w, 3));
	blob_unref(used);
	assert_true(evict_blob(w->evict, etag) > 0);
}

static void an_open_blob_larger_than_the_budget_loses_what_was_read(void **state)
{
	struct world *w = *state;
	CLEANUP(freep) char *bytes = malloc(MIB);
	char etag[DIGEST_HEX_MAX + 1];
	struct blob *b = NULL;

	etag_of(100, etag);
	memset(bytes, 'y', MIB);
	assert_int_equal(store_blob(w->store, etag, 8 * MIB, false, &b), 0);
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(blob_write(b, bytes, MIB, chunk_start(i)), 0);
		assert_int_equal(blob_put_chunk(b, i, xxh3_of(bytes, MIB)), 0);
	}
	blob_hold(b);
	blob_note_read(b, 0, 6 * MIB); /* a reader had the first six */
	blob_let_go(b);
	clock_sleep_ms(3100);
	start(w, 4 * MIB, 0, 10);
	assert_true(await_used(w, 4 * MIB));
	for (int i = 0; i < BLOBS; i++)
		assert_false(is_there(w, i)); /* whole blobs go first */
	assert_false(blob_has(b, 0));
	assert_true(blob_has(b, 6) && blob_has(b, 7));
	blob_unref(b);
}

static void a_file_system_that_is_too_full_is_relieved(void **state)
{
	struct world *w = *state;

	start(w, 0, UINT64_C(1) << 60, LONG_MS); /* never satisfied: all goes */
	assert_true(await_used(w, 65536));
	for (int i = 0; i < BLOBS; i++)
		assert_false(is_there(w, i));
}

static void it_begins_before_the_limit_is_hit(void **state)
{
	struct world *w = *state;

	start(w, 8 * MIB, 0, LONG_MS);
	make_blob(w, BLOBS);
	assert_true(is_there(w, 0)); /* seven of eight: enough is left */
	make_blob(w, BLOBS + 1);     /* within the limit, but near it: at once, not in LONG_MS */
	assert_true(await_used(w, 7 * MIB + MIB / 5));
	assert_false(is_there(w, 0));
	assert_true(is_there(w, 1));
}

static void room_can_be_made_whatever_the_limits(void **state)
{
	struct world *w = *state;

	start(w, 0, 0, LONG_MS);
	assert_in_range(evict_now(w->evict, 2 * MIB - 5), 2 * MIB, 2 * MIB + 65536);
	assert_false(is_there(w, 1));
	assert_true(is_there(w, 2));
	assert_in_range(evict_now(w->evict, 100 * MIB), 4 * MIB, 5 * MIB);
	assert_int_equal(evict_now(w->evict, 100 * MIB), 0);
}

static void what_comes_later_is_seen_in_time(void **state)
{
	struct world *w = *state;

	start(w, (BLOBS + 1) * MIB, 0, 10);
	assert_true(is_there(w, 0));
	make_blob(w, BLOBS);
	make_blob(w, BLOBS + 1);
	assert_true(await_used(w, (BLOBS + 1) * MIB));
	assert_false(is_there(w, 0));
	assert_true(is_there(w, BLOBS + 1));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(within_the_limits_nothing_goes),
		TEST(a_limit_that_is_lowered_counts_at_once),
		TEST(without_a_limit_nothing_goes),
		TEST(what_was_used_longest_ago_goes_first),
		TEST(open_blobs_stay),
		TEST(pinned_blobs_stay_until_they_are_unpinned),
		TEST(one_blob_can_be_dropped_by_name),
		TEST(who_keeps_a_blob_open_for_nobody_is_asked_for_it),
		TEST(who_uses_a_blob_has_it_for_as_long_as_he_does),
		TEST(an_open_blob_larger_than_the_budget_loses_what_was_read),
		TEST(a_file_system_that_is_too_full_is_relieved),
		TEST(it_begins_before_the_limit_is_hit),
		TEST(room_can_be_made_whatever_the_limits),
		TEST(what_comes_later_is_seen_in_time),
	};

	log_set_level(LOG_LEVEL_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
