/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit_writer.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "tests/trail.h"

#define MIB (UINT64_C(1) << 20)

static const struct audit_record change = {
	.kind = AUDIT_CHANGE, .act = "tag.create", .user = "ann", .outcome = AUDIT_DONE
};

/* What holds up the writer's thread, as a disk that hangs does, or NULL. */
static sem_t *held;

static bool before(void *arg UNUSED, bool stop UNUSED)
{
	if (held)
		sem_wait(held);
	return false;
}

static void nothing_after(void *arg UNUSED, bool stop UNUSED)
{
}

static struct audit_writer *open_writer(struct trail *t)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	struct audit_writer_conf conf = {
		.segment_bytes = 64 * MIB,
		.before = before,
		.after = nothing_after,
	};
	struct audit_mended mended;
	struct audit_writer *w;

	workdir_init(&t->dir);
	assert_int_equal(buf_printf(&path, "%s/" AUDIT_DIR, t->dir.path), 0);
	assert_int_equal(file_mkdirs(buf_str(&path)), 0);
	conf.dirfd = audit_dir_open(t->dir.path);
	assert_int_equal(audit_writer_open(&conf, &w, &mended), 0);
	return w;
}

/* The trail is sound, and has so many records. */
static void close_writer(struct trail *t, struct audit_writer *w, uint64_t records)
{
	CLEANUP(buf_free) struct buf problems = { 0 };
	struct audit_stats stats;
	struct audit_mark mark;

	assert_true(audit_writer_stop(w, clock_ms() + 10000));
	audit_writer_stats(w, &stats);
	audit_writer_mark(w, &mark);
	assert_int_equal(stats.lost, 0);
	assert_int_equal(mark.seq, records + 1); /* and the first of the segment */
	audit_writer_free(w);
	trail_verify(t, &problems);
	assert_string_equal(buf_str(&problems), "");
	workdir_fini(&t->dir);
}

static void push_many(struct audit_writer *w, unsigned count)
{
	char body[10000];

	memset(body, 'n', sizeof(body));
	memcpy(body, ",\"kind\":\"hub\",\"note\":\"", 22);
	body[sizeof(body) - 1] = '"';
	for (unsigned i = 0; i < count; i++)
		audit_writer_push_body(w, body, sizeof(body));
}

static void what_is_committed_is_behind_all_that_was_put_before(void **state UNUSED)
{
	struct trail t = { 0 };
	struct audit_writer *w = open_writer(&t);

	push_many(w, 3000);
	assert_int_equal(audit_writer_start(w), 0);
	assert_int_equal(audit_writer_commit(w, &change, NULL), 0);
	assert_int_equal(audit_writer_refusing(w), 0);
	close_writer(&t, w, 3001);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they end without memory */
static void limit_memory(uint64_t more, struct rlimit *old)
{
	struct rlimit limit;
	unsigned long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%llu", &pages), 1);
	fclose(f);
	assert_int_equal(getrlimit(RLIMIT_AS, old), 0);
	limit = *old;
	limit.rlim_cur = pages * (uint64_t)sysconf(_SC_PAGESIZE) + more;
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
}

static void what_there_is_no_memory_for_is_no_success_and_is_tried_again(void **state UNUSED)
{
	struct trail t = { 0 };
	struct audit_writer *w = open_writer(&t);
	int64_t until_ms = clock_ms() + 10000;
	struct rlimit old;

	push_many(w, 3000);
	limit_memory(8 * MIB, &old);
	assert_int_equal(audit_writer_start(w), 0);
	assert_int_equal(audit_writer_commit(w, &change, NULL), -ENOMEM);
	assert_int_equal(audit_writer_refusing(w), -ENOMEM);
	assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
	while (audit_writer_refusing(w) < 0 && clock_ms() < until_ms)
		clock_sleep_ms(20);
	assert_int_equal(audit_writer_commit(w, &change, NULL), 0);
	close_writer(&t, w, 3002);
}
#endif

static void a_disk_that_hangs_is_not_waited_for_at_the_stop(void **state UNUSED)
{
	struct trail t = { 0 };
	struct audit_writer *w = open_writer(&t);
	sem_t sem;

	assert_int_equal(sem_init(&sem, 0, 0), 0);
	held = &sem;
	push_many(w, 10);
	assert_int_equal(audit_writer_start(w), 0);
	assert_false(audit_writer_stop(w, clock_ms() + 100));
	for (unsigned i = 0; i < 2; i++) /* its rounds: the first may not know of the stop */
		sem_post(&sem);
	close_writer(&t, w, 10);
	held = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
		/* The first: others leave memory that it would find. */
		cmocka_unit_test(what_there_is_no_memory_for_is_no_success_and_is_tried_again),
#endif
		cmocka_unit_test(what_is_committed_is_behind_all_that_was_put_before),
		cmocka_unit_test(a_disk_that_hangs_is_not_waited_for_at_the_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
