/* SPDX-License-Identifier: Apache-2.0 */
/* A holder, and as its daemon this program once more. */
#include "fs/holder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/base/clock.h"
#include "fs/successor.h"

#define LONG_MS 20000
#define STRAY 40
#define SHORT_MS 400 /* for those who are to be killed */
#define SERVED_MS 2400
#define WATCH_MS 1500 /* of one that says that it is well: less than it serves */
#define CROWDED_MS 300
#define NOBODY 65534
#define SKIPPED 77

/* ---- the daemon ---- */

static bool is_one_of(const char *what, const char *one, const char *other)
{
	return strcmp(what, one) == 0 || strcmp(what, other) == 0;
}

static int count_fds(pid_t pid)
{
	char path[64];
	int count = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	while (d && readdir(d))
		count++;
	if (d)
		closedir(d);
	return count;
}

/* What it is not asked for: descriptors of others, and more than one. */
static void send_strays(const struct notify *n)
{
	const int fds[] = { 0, 0, 0, 0, 0, 0, 0, 0 };
	pid_t other = fork();

	for (int i = 0; i < STRAY; i++)
		if (notify_keep_fds(n, "stray", fds, ARRAY_LEN(fds), false) < 0)
			_exit(9);
	if (other == 0) {
		notify_ready(n); /* not this one's to say */
		_exit(0);
	}
	waitpid(other, NULL, 0);
	notify_drop_fds(n, "stray");
}

/* Of those that are blocked. */
static void await(int sig)
{
	const struct timespec patience = { .tv_sec = LONG_MS / 1000 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	if (sigtimedwait(&set, NULL, &patience) < 0)
		_exit(8);
}

/* Is told to end, and does not heed it, or does. */
static int be_stopped(const struct notify *n, bool heeds)
{
	notify_ready(n);
	kill(getppid(), SIGTERM);
	if (heeds)
		await(SIGTERM);
	else
		usleep(LONG_MS * 1000);
	return 4;
}

/* For longer than it may be silent; then it is stopped. */
static int serve_long(const struct notify *n, bool says_so)
{
	notify_ready(n);
	for (int ms = 0; ms < SERVED_MS; ms += 40) {
		usleep(40000);
		if (says_so)
			notify_alive(n);
	}
	return be_stopped(n, true);
}

/* Comes to serve late, or never; once more, where it has served. */
static int begin_late(const struct notify *n, bool once_more, bool comes)
{
	if (once_more) {
		notify_ready(n);
		notify_reloading(n);
	}
	usleep((comes ? 2 * SHORT_MS : LONG_MS) * 1000);
	return be_stopped(n, true);
}

/* Dies when its holder can have no process, which passes. */
static int be_crowded(const struct notify *n)
{
	struct rlimit none, before;
	pid_t holder = getppid();

	if (prlimit(holder, RLIMIT_NPROC, NULL, &before) < 0)
		return 9;
	if (fork() == 0) {
		usleep(CROWDED_MS * 1000);
		_exit(prlimit(holder, RLIMIT_NPROC, &before, NULL) < 0);
	}
	none = (struct rlimit){ 0, before.rlim_max };
	if (prlimit(holder, RLIMIT_NPROC, &none, NULL) < 0)
		return 9;
	notify_ready(n);
	return 11;
}

/* Its exit status. The text of what is kept is what was before. */
static int be_daemon(const char *what)
{
	struct notify n;
	int fd = notify_passed(getenv, "kept", 0), before;
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (notify_open(&n, getenv) < 0 || strncmp(getenv("NOTIFY_SOCKET"), "/proc/self/fd/", 14))
		return 9;
	if (strcmp(what, "strays") == 0) {
		before = count_fds(getppid());
		send_strays(&n);
		notify_ready(&n);
		usleep(200000);
		return count_fds(getppid()) > before + 1 ? 7 : 0;
	}
	if (fd >= 0)
		return lseek(fd, 0, SEEK_END) == 3 ? 0 : 6;
	fd = memfd_create("kept", MFD_CLOEXEC);
	if (write(fd, "yes", 3) != 3 || notify_keep_fds(&n, "kept", &fd, 1, false) < 0)
		return 9;
	if (is_one_of(what, "silent", "lively"))
		return serve_long(&n, what[0] == 'l');
	if (is_one_of(what, "deaf", "obedient"))
		return be_stopped(&n, what[0] == 'o');
	if (is_one_of(what, "stuck", "slow"))
		return begin_late(&n, false, what[1] == 'l');
	if (is_one_of(what, "lost", "found"))
		return begin_late(&n, true, what[0] == 'f');
	if (strcmp(what, "crowded") == 0)
		return be_crowded(&n);
	/* "upgrade" or "hangup" */
	kill(getppid(), what[0] == 'h' ? SIGHUP : SIGUSR2); /* before it is ready */
	usleep(100000);
	notify_ready(&n);
	await(SIGUSR2);
	return HOLDER_AGAIN;
}

/* ---- who holds ---- */

static void on_ready(void *arg UNUSED)
{
}

static int64_t watch_ms(const char *what)
{
	return strcmp(what, "silent") == 0   ? SHORT_MS
	       : strcmp(what, "lively") == 0 ? WATCH_MS
					     : LONG_MS;
}

static int hold(const char *what)
{
	char self[] = "test_holder", mode[] = "daemon", copy[16];
	char *const argv[] = { self, mode, copy, NULL };
	const struct holder_conf conf = {
		.argv = argv,
		.mountpoint = "/nonexistent",
		.ready = on_ready,
		.stop_ms = strcmp(what, "deaf") == 0 ? SHORT_MS : LONG_MS,
		.watch_ms = watch_ms(what),
		.start_ms = is_one_of(what, "stuck", "lost") ? SHORT_MS : LONG_MS,
	};

	snprintf(copy, sizeof(copy), "%s", what);
	alarm(LONG_MS / 1000);
	return holder_run(&conf);
}

/* In a process of its own: the test's would have it as a child for ever. */
static int status_of(const char *what)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(hold(what));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_what_is_not_asked_for_is_not_kept(void **state)
{
	(void)state;
	assert_int_equal(status_of("strays"), 0);
}

static void test_an_upgrade_during_the_start_comes_after_it(void **state)
{
	(void)state;
	assert_int_equal(status_of("upgrade"), 0);
}

/* The next one ends well. The twin says that it is well, and gets to be stopped. */
static void test_one_that_does_not_say_that_it_is_well_is_killed(void **state)
{
	(void)state;
	assert_int_equal(status_of("silent"), 0);
	assert_int_equal(status_of("lively"), 4);
}

/* Its time is the environment's where nobody else listens; 0 is never. */
static void test_who_needs_no_watch_has_none(void **state)
{
	(void)state;
	setenv("WATCHDOG_USEC", "0", 1);
	assert_int_equal(status_of("silent"), 4);
	unsetenv("WATCHDOG_USEC");
}

static void test_one_that_does_not_end_is_killed(void **state)
{
	(void)state;
	assert_int_equal(status_of("deaf"), 1);
	assert_int_equal(status_of("obedient"), 4);
}

/* With nothing that is kept the holder ends, else the next one goes on. The twins take time. */
static void test_one_that_does_not_begin_to_serve_is_killed(void **state)
{
	(void)state;
	assert_int_equal(status_of("stuck"), 1);
	assert_int_equal(status_of("slow"), 4);
	assert_int_equal(status_of("lost"), 0);
	assert_int_equal(status_of("found"), 4);
}

static void test_a_hangup_is_an_upgrade(void **state)
{
	(void)state;
	assert_int_equal(status_of("hangup"), 0);
}

/* Limits of processes are not for root; nobody may not be allowed to run this program. */
static int hold_as_nobody(const char *what)
{
	char path[PATH_MAX];

	if (getuid() == 0 && setuid(NOBODY) < 0)
		return SKIPPED;
	if (successor_find(path) < 0 || access(path, X_OK) < 0)
		return SKIPPED;
	return hold(what);
}

static void test_where_there_is_no_process_to_be_had_it_is_waited_for(void **state)
{
	int64_t began_ms = clock_ms();
	pid_t pid = fork();
	int status = 0;

	(void)state;
	if (pid == 0)
		_exit(hold_as_nobody("crowded"));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(clock_ms() >= began_ms + CROWDED_MS);
}

int main(int argc, char *argv[])
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_not_asked_for_is_not_kept),
		cmocka_unit_test(test_an_upgrade_during_the_start_comes_after_it),
		cmocka_unit_test(test_one_that_does_not_say_that_it_is_well_is_killed),
		cmocka_unit_test(test_who_needs_no_watch_has_none),
		cmocka_unit_test(test_one_that_does_not_end_is_killed),
		cmocka_unit_test(test_one_that_does_not_begin_to_serve_is_killed),
		cmocka_unit_test(test_a_hangup_is_an_upgrade),
		cmocka_unit_test(test_where_there_is_no_process_to_be_had_it_is_waited_for),
	};

	if (argc > 1 && strcmp(argv[1], "--check") == 0)
		return 0;
	if (argc == 3 && strcmp(argv[1], "daemon") == 0)
		return holder_resumes(getenv) && getenv("FDSTORE") == NULL ? hold(argv[2])
									   : be_daemon(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
