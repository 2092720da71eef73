/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/heard.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/base/clock.h"
#include "daemon/base/workers.h"
#include "tests/hub_db.h"

#define ORG "models/org/name"

#define WAITING_MAX 16

/* Work that holds up all other until it may go on. */
static struct {
	sem_t here, go;
} held;

static void hold(void *arg UNUSED, uint64_t number UNUSED)
{
	sem_post(&held.here);
	sem_wait(&held.go);
}

static const struct work holding = { .fn = hold };

struct pair {
	struct workers *workers;
	struct heard *heard;
};

static struct pair begin(struct hub_db *h, bool is_held)
{
	const struct workers_conf conf = { "test", 1, WAITING_MAX, false };
	struct pair p = { NULL, NULL };

	assert_int_equal(workers_start(&conf, &p.workers), 0);
	assert_int_equal(heard_new(h->db, p.workers, &p.heard), 0);
	assert_int_equal(sem_init(&held.here, 0, 0) || sem_init(&held.go, 0, 0), 0);
	if (is_held) {
		assert_int_equal(workers_add(p.workers, &holding), 0);
		sem_wait(&held.here);
	}
	return p;
}

static void stop(struct pair *p)
{
	assert_true(workers_stop(p->workers, clock_ms() + 10000));
}

static int read_row(struct db_txn *t, void *arg)
{
	buf_clear(arg);
	return db_get(t, DB_UPSTREAM, db_text(ORG), arg);
}

static void check_row(struct hub_db *h, const char *want)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = db_read(h->db, read_row, &row);

	assert_int_equal(r, want ? 0 : -ENOENT);
	if (want)
		assert_string_equal(buf_str(&row), want);
}

static void it_counts_before_it_is_written_and_the_last_word_stays(void **state)
{
	struct hub_db *h = *state;
	struct pair p = begin(h, true);

	assert_null(heard_get(p.heard, ORG));
	assert_int_equal(heard_put(p.heard, ORG, "public"), 0);
	assert_string_equal(heard_get(p.heard, ORG), "public");
	assert_int_equal(heard_put(p.heard, ORG, "private"), 0);
	assert_string_equal(heard_get(p.heard, ORG), "private");
	assert_null(heard_get(p.heard, "models/org/other"));
	check_row(h, NULL);
	sem_post(&held.go);
	stop(&p);
	check_row(h, "private");
	assert_null(heard_get(p.heard, ORG)); /* the row says it now */
	heard_free(p.heard);
}

static void what_is_taken_back_is_no_row(void **state)
{
	struct hub_db *h = *state;
	struct pair p = begin(h, false);

	assert_int_equal(heard_put(p.heard, ORG, "public"), 0);
	stop(&p);
	heard_free(p.heard);
	check_row(h, "public");
	p = begin(h, false);
	assert_int_equal(heard_put(p.heard, ORG, ""), 0);
	stop(&p);
	heard_free(p.heard);
	check_row(h, NULL);
}

static void many_words_are_one_piece_of_work(void **state)
{
	struct hub_db *h = *state;
	struct pair p = begin(h, true);

	for (unsigned i = 0; i < 2 * WAITING_MAX; i++) {
		CLEANUP(buf_free) struct buf key = { 0 };

		buf_printf(&key, "models/org/%u", i);
		assert_int_equal(heard_put(p.heard, buf_str(&key), "private"), 0);
	}
	assert_int_equal(workers_add(p.workers, &holding), 0); /* there is room for others */
	sem_post(&held.go);
	sem_post(&held.go);
	stop(&p);
	assert_null(heard_get(p.heard, "models/org/0"));
	heard_free(p.heard);
}

static void what_no_worker_can_write_counts_all_the_same(void **state)
{
	struct hub_db *h = *state;
	struct pair p = begin(h, true);
	unsigned n = 0;

	while (workers_add(p.workers, &holding) == 0)
		n++;
	assert_int_equal(heard_put(p.heard, ORG, "private"), 0);
	assert_string_equal(heard_get(p.heard, ORG), "private");
	for (unsigned i = 0; i <= n; i++)
		sem_post(&held.go);
	stop(&p);
	assert_string_equal(heard_get(p.heard, ORG), "private");
	heard_free(p.heard);
	check_row(h, NULL);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A word that a full disk did not take. */
static struct pair put_in_vain(struct hub_db *h)
{
	struct pair p = begin(h, false);

	limit_files(1);
	assert_int_equal(heard_put(p.heard, ORG, "private"), 0);
	assert_int_equal(workers_add(p.workers, &holding), 0);
	sem_wait(&held.here); /* it was tried */
	sem_post(&held.go);
	assert_string_equal(heard_get(p.heard, ORG), "private");
	return p;
}

static void what_a_full_disk_did_not_take_is_tried_again_by_itself(void **state)
{
	struct hub_db *h = *state;
	struct pair p = put_in_vain(h);

	limit_files(RLIM_INFINITY);
	stop(&p);
	check_row(h, "private");
	assert_null(heard_get(p.heard, ORG));
	heard_free(p.heard);
}

static void what_no_disk_takes_counts_to_the_end(void **state)
{
	struct hub_db *h = *state;
	struct pair p = put_in_vain(h);

	stop(&p);
	limit_files(RLIM_INFINITY);
	assert_string_equal(heard_get(p.heard, ORG), "private");
	heard_free(p.heard);
	check_row(h, NULL);
}

static void without_it_nothing_was_heard(void **state)
{
	(void)state;
	assert_null(heard_get(NULL, ORG));
	heard_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_db_setup, hub_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_counts_before_it_is_written_and_the_last_word_stays),
		TEST(what_is_taken_back_is_no_row),
		TEST(many_words_are_one_piece_of_work),
		TEST(what_no_worker_can_write_counts_all_the_same),
		TEST(what_a_full_disk_did_not_take_is_tried_again_by_itself),
		TEST(what_no_disk_takes_counts_to_the_end),
		TEST(without_it_nothing_was_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
