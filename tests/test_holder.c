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
#include <sys/socket.h>
#include <sys/wait.h>

#define LONG_MS 20000
#define STRAY 40

/* ---- the daemon ---- */

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

static void await(int sig)
{
	const struct timespec patience = { .tv_sec = LONG_MS / 1000 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (sigtimedwait(&set, NULL, &patience) < 0)
		_exit(8);
}

/* Its exit status. The text of what is kept is what was before. */
static int be_daemon(const char *what)
{
	struct notify n;
	int fd = notify_passed(getenv, "kept", 0), before;

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
	kill(getppid(), SIGUSR2); /* before it is ready, when it would die of one */
	usleep(100000);
	notify_ready(&n);
	await(SIGUSR2);
	return HOLDER_AGAIN;
}

/* ---- who holds ---- */

static void on_ready(void *arg UNUSED)
{
}

static int hold(const char *what)
{
	char self[] = "test_holder", mode[] = "daemon", copy[16];
	char *const argv[] = { self, mode, copy, NULL };
	const struct holder_conf conf = { argv, "/nonexistent", on_ready, NULL };

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

int main(int argc, char *argv[])
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_not_asked_for_is_not_kept),
		cmocka_unit_test(test_an_upgrade_during_the_start_comes_after_it),
	};

	if (argc > 1 && strcmp(argv[1], "--check") == 0)
		return 0;
	if (argc == 3 && strcmp(argv[1], "daemon") == 0)
		return holder_resumes(getenv) && getenv("FDSTORE") == NULL ? hold(argv[2])
									   : be_daemon(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
