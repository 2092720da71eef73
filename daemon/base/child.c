/* SPDX-License-Identifier: Apache-2.0 */
/* The child holds the writing end of a pipe: the other end says when it has ended, with a
 * deadline. */
#include "daemon/base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define LOOK_US 1000    /* from one look for an end to the next */
#define STATUS_FIRST 64 /* exit statuses below are those of libraries and sanitizers */
#define KILL_MS 1000
#define SAID_BYTES_MAX 65536

static void live(int (*fn)(void *arg), void *arg, uint64_t file_bytes_max)
{
	const struct rlimit none = { 0, 0 }, file = { file_bytes_max, file_bytes_max };

	/* Its death is expected: no core file of it. */
	if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_FSIZE, &file) < 0)
		_exit(1);
	signal(SIGTERM, SIG_DFL);
	_exit(STATUS_FIRST + fn(arg));
}

/* Waits until the pipe's other end is closed; false if that takes too long. */
static int has_ended(int fd, int64_t timeout_ms)
{
	int64_t until_ms = clock_ms() + timeout_ms, left = timeout_ms;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n;

	do {
		n = poll(&p, 1, (int)left);
		left = until_ms - clock_ms();
	} while (n < 0 && errno == EINTR && left > 0);
	return n > 0;
}

static int outcome(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) >= STATUS_FIRST
		       ? WEXITSTATUS(status) - STATUS_FIRST
		       : ERR_CORRUPT;
}

/* What is written there is read here. */
static int open_pipe(int *ret_here, int *ret_there)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*ret_here = fds[0];
	*ret_there = fds[1];
	return 0;
}

int child_run(int (*fn)(void *arg), void *arg, int64_t timeout_ms, uint64_t file_bytes_max)
{
	CLEANUP(closep) int there = -1;
	CLEANUP(closep) int here = -1;
	int r = open_pipe(&here, &there);
	pid_t pid;

	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		live(fn, arg, file_bytes_max);
	close(steal_fd(&there));
	if (!has_ended(here, timeout_ms))
		kill(pid, SIGKILL);
	return outcome(pid);
}

int child_wait(pid_t pid, int64_t until_ms, int *ret_status)
{
	pid_t r;

	while ((r = waitpid(pid, ret_status, WNOHANG)) == 0 && clock_ms() < until_ms)
		usleep(LOOK_US);
	return r > 0 ? 0 : r == 0 ? ERR_TIMEOUT : -errno;
}

void child_kill(pid_t pid, int64_t until_ms)
{
	int status;

	kill(pid, SIGKILL);
	(void)!child_wait(pid, until_ms, &status);
}

/* ---- other programs ---- */

static int set_actions(posix_spawn_file_actions_t *actions, int fd)
{
	int e = posix_spawn_file_actions_adddup2(actions, fd, STDERR_FILENO);

	return e ? e
		 : posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY,
						    0);
}

static int set_signals(posix_spawnattr_t *attr)
{
	sigset_t none;
	int e;

	sigemptyset(&none);
	e = posix_spawnattr_setsigmask(attr, &none);
	return e ? e : posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK);
}

/* Its standard error is fd. */
static int spawn(const char *program, char *const argv[], int fd, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int e = posix_spawn_file_actions_init(&actions);

	if (e)
		return -e;
	e = posix_spawnattr_init(&attr);
	if (e == 0) {
		e = set_actions(&actions, fd);
		if (e == 0)
			e = set_signals(&attr);
		if (e == 0)
			e = posix_spawnp(ret, program, &actions, &attr, argv, environ);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&actions);
	return -e;
}

static void listen_to(int fd, int64_t until_ms, struct buf *ret)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char bytes[4096];
	int64_t left_ms;
	ssize_t n = 1;

	while (n > 0 && (left_ms = until_ms - clock_ms()) > 0) {
		if (poll(&p, 1, (int)left_ms) <= 0)
			continue;
		n = read(fd, bytes, sizeof(bytes));
		if (n > 0 && ret->len < SAID_BYTES_MAX)
			buf_add(ret, bytes, (size_t)n);
	}
}

int child_say(const char *program, char *const argv[], int64_t timeout_ms, struct buf *ret_said)
{
	CLEANUP(closep) int here = -1, there = -1;
	int64_t until_ms = clock_ms() + timeout_ms;
	int status, r = open_pipe(&here, &there);
	pid_t pid = 0;

	if (r < 0)
		return r;
	r = spawn(program, argv, there, &pid);
	close(steal_fd(&there));
	if (r < 0 || pid <= 0)
		return r < 0 ? r : -ECHILD;
	listen_to(here, until_ms, ret_said);
	r = child_wait(pid, until_ms, &status);
	if (r == ERR_TIMEOUT)
		child_kill(pid, clock_ms() + KILL_MS);
	if (r < 0)
		return r;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}
