/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/kv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/base/err.h"

#define MIB (1024 * 1024)
#define VALUE_BYTES 4096

enum { NAMES, BLOBS };

static const char *const tables[] = { "names", "blobs" };

struct place {
	char path[64];
	struct kv *kv;
};

static int open_kv(struct place *p, uint64_t map_bytes)
{
	const struct kv_conf conf = {
		.dir = p->path,
		.tables = tables,
		.table_count = 2,
		.map_bytes = map_bytes,
	};

	return kv_open(&conf, &p->kv);
}

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	if (!p)
		return -1;
	strcpy(p->path, "/tmp/matrixfs-kv-XXXXXX");
	if (!mkdtemp(p->path))
		return -1;
	*state = p;
	return open_kv(p, MIB);
}

static int remove_one(const char *path, UNUSED const struct stat *st, UNUSED int kind,
		      UNUSED struct FTW *ftw)
{
	return remove(path);
}

static int remove_place(void **state)
{
	struct place *p = *state;

	kv_close(p->kv);
	nftw(p->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(p);
	return 0;
}

static void close_kv(struct place *p)
{
	kv_close(steal(p->kv));
}

static struct kv_key key(const char *text)
{
	return (struct kv_key){ .data = text, .len = strlen(text) };
}

static int put(struct place *p, unsigned table, const char *k, const char *v)
{
	return kv_put(p->kv, table, key(k), v, strlen(v));
}

static void assert_value(struct place *p, unsigned table, const char *k, const char *v)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	assert_int_equal(kv_get(p->kv, table, key(k), &b), 0);
	assert_string_equal(buf_str(&b), v);
}

static void assert_absent(struct place *p, unsigned table, const char *k)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	assert_int_equal(kv_get(p->kv, table, key(k), &b), -ENOENT);
	assert_int_equal(b.len, 0);
}

static void what_was_put_is_got_and_nothing_else(void **state)
{
	struct place *p = *state;

	assert_int_equal(put(p, NAMES, "a", "first"), 0);
	assert_value(p, NAMES, "a", "first");
	assert_int_equal(put(p, NAMES, "a", "second"), 0);
	assert_value(p, NAMES, "a", "second");
	assert_int_equal(put(p, NAMES, "empty", ""), 0);
	assert_value(p, NAMES, "empty", "");
	assert_absent(p, NAMES, "b");
	assert_absent(p, BLOBS, "a");
}

static void a_deleted_key_is_gone_and_may_be_deleted_again(void **state)
{
	struct place *p = *state;

	assert_int_equal(put(p, NAMES, "a", "1"), 0);
	assert_int_equal(kv_del(p->kv, NAMES, key("a")), 0);
	assert_absent(p, NAMES, "a");
	assert_int_equal(kv_del(p->kv, NAMES, key("a")), 0);
}

static void a_key_of_impossible_length_is_refused(void **state)
{
	struct place *p = *state;
	char text[600];

	memset(text, 'k', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(put(p, NAMES, text, "1"), -EINVAL);
	text[511] = '\0';
	assert_int_equal(put(p, NAMES, text, "1"), 0);
	assert_value(p, NAMES, text, "1");
	assert_int_equal(put(p, NAMES, "", "1"), -EINVAL);
}

static int list(void *arg, const struct kv_key *k, const void *val, size_t val_len)
{
	return buf_printf(arg, "%.*s=%.*s ", (int)k->len, (const char *)k->data, (int)val_len,
			  (const char *)val);
}

static int stop_at_second(void *arg, UNUSED const struct kv_key *k, UNUSED const void *val,
			  UNUSED size_t val_len)
{
	int *seen = arg;

	return ++*seen == 2 ? ERR_CANCELED : 0;
}

static void put_some(struct place *p)
{
	assert_int_equal(put(p, NAMES, "b/2", "4"), 0);
	assert_int_equal(put(p, NAMES, "a", "1"), 0);
	assert_int_equal(put(p, NAMES, "c", "5"), 0);
	assert_int_equal(put(p, NAMES, "b", "2"), 0);
	assert_int_equal(put(p, NAMES, "b/10", "3"), 0);
	assert_int_equal(put(p, BLOBS, "b/3", "0"), 0);
}

static void a_walk_goes_through_a_prefix_in_key_order(void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct place *p = *state;

	put_some(p);
	assert_int_equal(kv_each(p->kv, NAMES, key("b/"), list, &b), 0);
	assert_string_equal(buf_str(&b), "b/10=3 b/2=4 ");
	buf_clear(&b);
	assert_int_equal(kv_each(p->kv, NAMES, key(""), list, &b), 0);
	assert_string_equal(buf_str(&b), "a=1 b=2 b/10=3 b/2=4 c=5 ");
}

static void a_walk_through_nothing_is_no_failure(void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct place *p = *state;

	assert_int_equal(kv_each(p->kv, NAMES, key(""), list, &b), 0);
	put_some(p);
	assert_int_equal(kv_each(p->kv, NAMES, key("b/3"), list, &b), 0);
	assert_int_equal(kv_each(p->kv, NAMES, key("z"), list, &b), 0);
	assert_string_equal(buf_str(&b), "");
}

static void a_walk_stops_when_told(void **state)
{
	struct place *p = *state;
	int seen = 0;

	put_some(p);
	assert_int_equal(kv_each(p->kv, NAMES, key(""), stop_at_second, &seen), ERR_CANCELED);
	assert_int_equal(seen, 2);
}

static int move_name(struct kv_txn *t, void *arg)
{
	int r = kv_txn_del(t, NAMES, key("old"));

	if (!r)
		r = kv_txn_put(t, NAMES, key("new"), "1", 1);
	if (!r)
		r = kv_txn_put(t, BLOBS, key("b"), "2", 1);
	return r ? r : *(int *)arg;
}

static void a_transaction_happens_as_a_whole(void **state)
{
	struct place *p = *state;
	int result = 0;

	assert_int_equal(put(p, NAMES, "old", "1"), 0);
	assert_int_equal(kv_write(p->kv, move_name, &result), 0);
	assert_absent(p, NAMES, "old");
	assert_value(p, NAMES, "new", "1");
	assert_value(p, BLOBS, "b", "2");
}

static void a_failed_transaction_never_happened(void **state)
{
	struct place *p = *state;
	int result = ERR_HOSTILE;

	assert_int_equal(put(p, NAMES, "old", "1"), 0);
	assert_int_equal(kv_write(p->kv, move_name, &result), ERR_HOSTILE);
	assert_value(p, NAMES, "old", "1");
	assert_absent(p, NAMES, "new");
	assert_absent(p, BLOBS, "b");
}

static void data_outlives_closing(void **state)
{
	struct place *p = *state;

	assert_int_equal(put(p, BLOBS, "k", "kept"), 0);
	close_kv(p);
	assert_int_equal(open_kv(p, MIB), 0);
	assert_value(p, BLOBS, "k", "kept");
}

/* Puts number i of many values of one page each. */
static int put_page(struct kv *kv, unsigned i)
{
	char value[VALUE_BYTES];
	uint32_t k = htobe32(i);

	memset(value, (int)(i % 251), sizeof(value));
	return kv_put(kv, BLOBS, (struct kv_key){ &k, sizeof(k) }, value, sizeof(value));
}

static int page_is_right(struct kv *kv, unsigned i)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	uint32_t k = htobe32(i);

	if (kv_get(kv, BLOBS, (struct kv_key){ &k, sizeof(k) }, &b) < 0 || b.len != VALUE_BYTES)
		return 0;
	return (unsigned char)b.data[0] == i % 251 &&
	       (unsigned char)b.data[VALUE_BYTES - 1] == i % 251;
}

struct batch {
	unsigned first, count;
	unsigned runs;
};

static int put_batch(struct kv_txn *t, void *arg)
{
	struct batch *batch = arg;
	char value[VALUE_BYTES];
	int r = 0;

	batch->runs++;
	for (unsigned i = batch->first; !r && i < batch->first + batch->count; i++) {
		uint32_t k = htobe32(i);

		memset(value, (int)(i % 251), sizeof(value));
		r = kv_txn_put(t, BLOBS, (struct kv_key){ &k, sizeof(k) }, value, sizeof(value));
	}
	return r;
}

static void a_full_map_grows_unseen(void **state)
{
	struct place *p = *state;
	struct batch batch = { .count = 20 * MIB / VALUE_BYTES };

	assert_int_equal(kv_map_bytes(p->kv), MIB);
	assert_int_equal(kv_write(p->kv, put_batch, &batch), 0);
	assert_true(batch.runs > 1);
	assert_true(kv_map_bytes(p->kv) > 20 * MIB);
	for (unsigned i = 0; i < batch.count; i++)
		assert_true(page_is_right(p->kv, i));
}

static void a_map_with_room_does_not_grow(void **state)
{
	struct place *p = *state;
	struct batch batch = { .count = 20 };

	assert_int_equal(kv_write(p->kv, put_batch, &batch), 0);
	assert_int_equal(batch.runs, 1);
	assert_int_equal(kv_map_bytes(p->kv), MIB);
}

static void a_grown_map_opens_with_a_smaller_wish(void **state)
{
	struct place *p = *state;
	struct batch batch = { .count = 4 * MIB / VALUE_BYTES };

	assert_int_equal(kv_write(p->kv, put_batch, &batch), 0);
	close_kv(p);
	assert_int_equal(open_kv(p, MIB), 0);
	for (unsigned i = 0; i < batch.count; i++)
		assert_true(page_is_right(p->kv, i));
	assert_int_equal(put_page(p->kv, batch.count), 0);
}

/* Bytes of address space this process has mapped. */
static uint64_t mapped_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%llu", &pages), 1);
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void growth_without_address_space_fails_until_the_next_open(void **state)
{
	struct place *p = *state;
	struct batch batch = { .count = 20 * MIB / VALUE_BYTES };
	struct rlimit old, tight;

	assert_int_equal(put(p, NAMES, "a", "1"), 0);
	assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
	/* Room for the pages LMDB gathers in memory and for a map of 4 MiB, but not for 16. */
	tight = (struct rlimit){ mapped_bytes() + 9 * MIB, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
	assert_int_equal(kv_write(p->kv, put_batch, &batch), -ENOMEM);
	assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
	assert_int_equal(put(p, NAMES, "b", "2"), -ENOMEM);
	close_kv(p);
	assert_int_equal(open_kv(p, MIB), 0);
	assert_value(p, NAMES, "a", "1");
	assert_absent(p, NAMES, "b");
}

/* Another process opens the same environment and makes its map larger than ours. */
static int grow_elsewhere(const struct place *p, struct batch *batch)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct place own = *p;

		own.kv = NULL;
		if (open_kv(&own, MIB) < 0 || kv_write(own.kv, put_batch, batch) < 0)
			_exit(1);
		kv_close(own.kv);
		_exit(0);
	}
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static void growth_by_another_process_is_followed(void **state)
{
	struct place *p = *state;
	struct batch batch = { .count = 4 * MIB / VALUE_BYTES };

	assert_true(grow_elsewhere(p, &batch));
	assert_int_equal(kv_map_bytes(p->kv), MIB);
	for (unsigned i = 0; i < batch.count; i++)
		assert_true(page_is_right(p->kv, i));
	assert_true(kv_map_bytes(p->kv) > 4 * MIB);
	assert_int_equal(put_page(p->kv, batch.count), 0);
}

struct worker {
	pthread_t thread;
	struct kv *kv;
	unsigned first, count;
	int bad;
};

/* Looks at all it has put so far while the map grows under it. */
static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < w->count; i++) {
		struct batch batch = { .first = w->first + i * 16, .count = 16 };

		w->bad += kv_write(w->kv, put_batch, &batch) != 0;
		for (unsigned j = 0; j <= i; j++)
			w->bad += !page_is_right(w->kv, w->first + j * 16);
	}
	return NULL;
}

static void two_threads_write_and_read_while_the_map_grows(void **state)
{
	struct place *p = *state;
	struct worker w[2] = { { .first = 0 }, { .first = 100000 } };

	for (int i = 0; i < 2; i++) {
		w[i].kv = p->kv;
		w[i].count = 60;
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].bad, 0);
	}
	assert_true(kv_map_bytes(p->kv) >= 8 * MIB);
}

static void the_files_are_private(void **state)
{
	struct place *p = *state;
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/data.mdb", p->path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_file_that_is_no_lmdb_is_corrupt(void **state)
{
	struct place *p = *state;
	char path[128], garbage[16384];
	int fd;

	close_kv(p);
	snprintf(path, sizeof(path), "%s/data.mdb", p->path);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	memset(garbage, 'g', sizeof(garbage));
	assert_int_equal(write(fd, garbage, sizeof(garbage)), sizeof(garbage));
	close(fd);
	assert_int_equal(open_kv(p, MIB), ERR_CORRUPT);
	assert_null(p->kv);
	/* Shorter than a header. */
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(open_kv(p, MIB), ERR_CORRUPT);
	/* Twin: an empty file is a new environment. */
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(open_kv(p, MIB), 0);
}

static void a_missing_directory_is_no_environment(UNUSED void **state)
{
	struct place none = { .path = "/tmp/matrixfs-kv-none/none" };

	assert_int_equal(open_kv(&none, MIB), -ENOENT);
	assert_null(none.kv);
	kv_close(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_put_is_got_and_nothing_else),
		TEST(a_deleted_key_is_gone_and_may_be_deleted_again),
		TEST(a_key_of_impossible_length_is_refused),
		TEST(a_walk_goes_through_a_prefix_in_key_order),
		TEST(a_walk_through_nothing_is_no_failure),
		TEST(a_walk_stops_when_told),
		TEST(a_transaction_happens_as_a_whole),
		TEST(a_failed_transaction_never_happened),
		TEST(data_outlives_closing),
		TEST(a_full_map_grows_unseen),
		TEST(a_map_with_room_does_not_grow),
		TEST(a_grown_map_opens_with_a_smaller_wish),
		TEST(growth_without_address_space_fails_until_the_next_open),
		TEST(growth_by_another_process_is_followed),
		TEST(two_threads_write_and_read_while_the_map_grows),
		TEST(the_files_are_private),
		TEST(a_file_that_is_no_lmdb_is_corrupt),
		TEST(a_missing_directory_is_no_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
