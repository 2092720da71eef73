/* SPDX-License-Identifier: Apache-2.0 */
/* The child holds the writing end of a pipe: the other end says when it has ended, with a
 * deadline. */
#include "daemon/base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define LOOK_US 1000    /* from one look for an end to the next */
#define STATUS_FIRST 64 /* exit statuses below are those of libraries and sanitizers */

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

int child_run(int (*fn)(void *arg), void *arg, int64_t timeout_ms, uint64_t file_bytes_max)
{
	CLEANUP(closep) int there = -1;
	CLEANUP(closep) int here = -1;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	here = fds[0];
	there = fds[1];
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
