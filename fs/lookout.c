/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/lookout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>

#include "daemon/base/child.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/num.h"

#define POLL_MS 60000 /* of one poll(2) at most */
#define END_MS 200    /* for the process to end */

struct lookout {
	int fd;     /* each message there is a mount point, each int from there an answer */
	pid_t pid;  /* or -1 */
	bool asked; /* an answer is owed */
};

/* Nothing else of the parent stays open: what holds the mount, or somebody's pipe, ends with it. */
static void close_others(int fd)
{
	int null_fd;

	if (dup2(fd, STDERR_FILENO + 1) < 0)
		_exit(1);
	close_range(STDERR_FILENO + 2, ~0U, 0);
	null_fd = open("/dev/null", O_RDWR);
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		dup2(null_fd, i);
	close(null_fd);
}

__attribute__((noreturn)) static void look_out(int fd)
{
	char mountpoint[PATH_MAX];
	ssize_t n;

	close_others(fd);
	setsid(); /* the end of somebody's terminal is not its own */
	fd = STDERR_FILENO + 1;
	prctl(PR_SET_NAME, "mfs-lookout");
	if (chdir("/") < 0)
		_exit(1);
	while ((n = recv(fd, mountpoint, sizeof(mountpoint) - 1, 0)) > 0) {
		struct statvfs st;
		int answer;

		mountpoint[n] = '\0';
		answer = statvfs(mountpoint, &st) < 0 ? -errno : 0;
		if (send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

int lookout_start(struct lookout **ret)
{
	struct lookout *l = calloc(1, sizeof(*l));
	int fds[2];

	if (!l)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
		free(l);
		return -errno;
	}
	l->pid = fork();
	if (l->pid == 0)
		look_out(fds[1]);
	close(fds[1]);
	l->fd = fds[0];
	if (l->pid < 0) {
		lookout_free(l);
		return -EAGAIN;
	}
	*ret = l;
	return 0;
}

static int wait_answer(struct lookout *l, int64_t deadline_ms)
{
	struct pollfd p = { .fd = l->fd, .events = POLLIN };
	int r;

	do {
		int64_t left_ms = max_i64(deadline_ms - clock_ms(), 0);

		r = poll(&p, 1, (int)min_i64(left_ms, POLL_MS));
	} while ((r < 0 && errno == EINTR) || (r == 0 && clock_ms() < deadline_ms));
	return r > 0 ? 0 : r == 0 ? ERR_TIMEOUT : -errno;
}

/* One that waits inside the mount ends with that, whoever reaps it then. */
static int end(struct lookout *l)
{
	if (l->pid > 0)
		child_kill(l->pid, clock_ms() + END_MS);
	l->pid = -1;
	return ERR_STOPPING;
}

int lookout_ask(struct lookout *l, const char *mountpoint, int64_t deadline_ms)
{
	int answer, r;

	if (!l->asked && send(l->fd, mountpoint, strlen(mountpoint), MSG_NOSIGNAL) < 0)
		return end(l);
	l->asked = true;
	r = wait_answer(l, deadline_ms);
	if (r < 0)
		return r;
	if (recv(l->fd, &answer, sizeof(answer), 0) != sizeof(answer))
		return end(l);
	l->asked = false;
	return answer;
}

void lookout_stop(struct lookout *l)
{
	if (l)
		shutdown(l->fd, SHUT_RDWR);
}

void lookout_free(struct lookout *l)
{
	if (!l)
		return;
	close(l->fd);
	end(l);
	free(l);
}
