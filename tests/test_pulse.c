/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/pulse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "tests/workdir.h"

#define WATCHDOG_US "150000"
#define LONG_MS 5000
#define SILENCE_MS 400 /* more than twice the watchdog's time */

struct process {
	struct workdir dir;
	int fd; /* the manager's */
	struct pulse *pulse;
	atomic_int result; /* of checks */
	atomic_bool stuck;
	char heard[256];
};

static char where[128];
static bool watched;

static char *test_env(const char *name)
{
	static char usec[] = WATCHDOG_US;

	if (strcmp(name, "NOTIFY_SOCKET") == 0)
		return where[0] ? where : NULL;
	return watched && strcmp(name, "WATCHDOG_USEC") == 0 ? usec : NULL;
}

static int check(void *arg)
{
	struct process *p = arg;

	while (atomic_load(&p->stuck))
		clock_sleep_ms(5);
	return atomic_load(&p->result);
}

static void tell(void *arg UNUSED, struct buf *ret)
{
	buf_add_str(ret, "serves");
}

static int setup(void **state)
{
	struct process *p = calloc(1, sizeof(*p));
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	workdir_init(&p->dir);
	snprintf(where, sizeof(where), "%s/notify", p->dir.path);
	memcpy(at.sun_path, where, strlen(where));
	p->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	watched = true;
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct process *p = *state;

	close(p->fd);
	workdir_fini(&p->dir);
	free(p);
	return 0;
}

static void start_anew(struct process *p, int64_t begin_ms)
{
	const struct pulse_conf conf = { test_env, check, tell, p, begin_ms };

	assert_int_equal(pulse_start(&conf, &p->pulse), 0);
}

static void start(struct process *p)
{
	start_anew(p, 0);
}

static void stop(struct process *p)
{
	pulse_stopping(p->pulse);
	assert_true(pulse_free(p->pulse, clock_ms() + LONG_MS));
}

/* The next message, or "" after so long. */
static const char *hear(struct process *p, int ms)
{
	const struct timeval patience = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	ssize_t n;

	setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	n = recv(p->fd, p->heard, sizeof(p->heard) - 1, 0);
	p->heard[n > 0 ? n : 0] = '\0';
	return p->heard;
}

static void expect(struct process *p, const char *message)
{
	int64_t until_ms = clock_ms() + LONG_MS;

	while (strcmp(hear(p, LONG_MS), message) != 0)
		if (clock_ms() >= until_ms)
			fail_msg("never heard: %s", message);
}

/* Until nothing more is under way. */
static bool is_silent(struct process *p)
{
	int64_t until_ms = clock_ms() + LONG_MS;

	while (clock_ms() < until_ms)
		if (!hear(p, SILENCE_MS)[0])
			return true;
	return false;
}

static void a_life_is_told(void **state)
{
	struct process *p = *state;

	start(p);
	assert_string_equal(hear(p, LONG_MS), "STATUS=starting");
	assert_string_equal(hear(p, SILENCE_MS), "");
	pulse_ready(p->pulse);
	assert_string_equal(hear(p, LONG_MS), "READY=1");
	assert_string_equal(hear(p, LONG_MS), "WATCHDOG=1");
	assert_string_equal(hear(p, LONG_MS), "STATUS=serves");
	for (int i = 0; i < 5; i++) /* what has not changed is not told again */
		assert_string_equal(hear(p, LONG_MS), "WATCHDOG=1");
	stop(p);
	expect(p, "STATUS=stopping");
	assert_string_equal(hear(p, LONG_MS), "STOPPING=1");
	assert_true(is_silent(p));
}

static void what_is_not_well_is_told_and_feeds_no_watchdog(void **state)
{
	struct process *p = *state;

	atomic_store(&p->result, ERR_TIMEOUT);
	start(p);
	pulse_ready(p->pulse);
	expect(p, "READY=1");
	assert_string_equal(hear(p, LONG_MS),
			    "STATUS=not well: no answer before the deadline; serves");
	assert_true(is_silent(p));
	atomic_store(&p->result, 0);
	expect(p, "WATCHDOG=1");
	assert_string_equal(hear(p, LONG_MS), "STATUS=serves");
	stop(p);
}

/* Its twin is a_life_is_told, where the same goes on for ever. */
static void what_is_stuck_feeds_no_watchdog_and_cannot_be_freed(void **state)
{
	struct process *p = *state;

	start(p);
	pulse_ready(p->pulse);
	expect(p, "WATCHDOG=1");
	atomic_store(&p->stuck, true);
	assert_true(is_silent(p));
	pulse_stopping(p->pulse);
	assert_false(pulse_free(p->pulse, clock_ms() + 50));
	atomic_store(&p->stuck, false);
	assert_true(pulse_free(p->pulse, clock_ms() + LONG_MS));
}

static void without_a_watchdog_the_status_is_told_all_the_same(void **state)
{
	struct process *p = *state;

	watched = false;
	start(p);
	pulse_ready(p->pulse);
	expect(p, "STATUS=serves");
	stop(p);
}

static void without_a_manager_there_is_none(void **state)
{
	struct process *p = *state;

	where[0] = '\0';
	start(p);
	assert_null(p->pulse);
	pulse_ready(p->pulse);
	stop(p);
}

static void an_address_that_is_none_is_refused(void **state)
{
	struct process *p = *state;
	const struct pulse_conf conf = { test_env, check, tell, p, 0 };

	snprintf(where, sizeof(where), "nowhere");
	assert_int_equal(pulse_start(&conf, &p->pulse), -EINVAL);
	assert_null(p->pulse);
}

/* The watchdog does not stop for it. The twin without is a_life_is_told, which is silent there. */
static void a_new_beginning_is_well_for_some_time(void **state)
{
	struct process *p = *state;

	start_anew(p, LONG_MS);
	assert_string_equal(hear(p, LONG_MS), "STATUS=starting");
	for (int i = 0; i < 5; i++)
		assert_string_equal(hear(p, LONG_MS), "WATCHDOG=1");
	pulse_reloading(p->pulse);
	expect(p, "STATUS=reading its configuration again");
	assert_memory_equal(hear(p, LONG_MS), "RELOADING=1", strlen("RELOADING=1"));
	assert_string_equal(hear(p, LONG_MS), "WATCHDOG=1");
	assert_true(pulse_free(p->pulse, clock_ms() + LONG_MS));
	start_anew(p, SILENCE_MS);
	expect(p, "WATCHDOG=1");
	assert_true(is_silent(p));
	pulse_ready(p->pulse);
	expect(p, "WATCHDOG=1");
	stop(p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_life_is_told),
		TEST(what_is_not_well_is_told_and_feeds_no_watchdog),
		TEST(what_is_stuck_feeds_no_watchdog_and_cannot_be_freed),
		TEST(without_a_watchdog_the_status_is_told_all_the_same),
		TEST(without_a_manager_there_is_none),
		TEST(a_new_beginning_is_well_for_some_time),
		TEST(an_address_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
