/* SPDX-License-Identifier: Apache-2.0 */
/* Each message is one datagram of lines NAME=value. The address stands in each of them: a manager
 * that was started anew under the same address is heard again. */
#include "daemon/base/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "daemon/base/clock.h"

#define NAME_MAX_BYTES 255
#define PASSED_MAX 4096
#define SEND_S 1

static int address_of(const char *where, struct notify *n)
{
	size_t len = strlen(where);

	if ((where[0] != '/' && where[0] != '@') || len < 2)
		return -EINVAL;
	if (len >= sizeof(n->to.sun_path))
		return -ENAMETOOLONG;
	n->to.sun_family = AF_UNIX;
	memcpy(n->to.sun_path, where, len);
	if (where[0] == '@')
		n->to.sun_path[0] = '\0'; /* and its end is no NUL but where it ends */
	n->to_len = (unsigned)(offsetof(struct sockaddr_un, sun_path) + len + (where[0] == '/'));
	return 0;
}

int notify_open(struct notify *n, notify_env *env)
{
	const char *where = env("NOTIFY_SOCKET");
	const struct timeval patience = { .tv_sec = SEND_S };
	int r;

	*n = (struct notify){ .fd = -1 };
	if (!where || !where[0])
		return 0;
	r = address_of(where, n);
	if (r < 0)
		return r;
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (n->fd < 0)
		return -errno;
	if (setsockopt(n->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0)
		return 0;
	r = -errno;
	notify_close(n);
	return r;
}

void notify_close(struct notify *n)
{
	closep(&n->fd);
	n->fd = -1;
}

bool notify_heard(const struct notify *n)
{
	return n->fd >= 0;
}

static int send_all(const struct notify *n, const struct msghdr *msg)
{
	ssize_t sent;

	if (n->fd < 0)
		return 0;
	do
		sent = sendmsg(n->fd, msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* msg: with what goes beside the text, or NULL */
PRINTF(3, 4) static int say(const struct notify *n, struct msghdr *msg, const char *fmt, ...)
{
	struct sockaddr_un to = n->to;
	struct msghdr plain = { 0 };
	char text[NOTIFY_MESSAGE_MAX];
	struct iovec part = { .iov_base = text };
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(text))
		return -EMSGSIZE;
	part.iov_len = (size_t)len;
	if (!msg)
		msg = &plain;
	msg->msg_name = &to;
	msg->msg_namelen = n->to_len;
	msg->msg_iov = &part;
	msg->msg_iovlen = 1;
	return send_all(n, msg);
}

int notify_ready(const struct notify *n)
{
	return say(n, NULL, "READY=1");
}

int notify_status(const struct notify *n, const char *line)
{
	return say(n, NULL, "STATUS=%.*s", (int)strcspn(line, "\n"), line);
}

int notify_alive(const struct notify *n)
{
	return say(n, NULL, "WATCHDOG=1");
}

/* Since when: a manager of systemd 253 and later may wait for this, and for nothing older. */
int notify_reloading(const struct notify *n)
{
	return say(n, NULL, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_us());
}

int notify_stopping(const struct notify *n)
{
	return say(n, NULL, "STOPPING=1");
}

int notify_main_pid(const struct notify *n, int pid)
{
	return say(n, NULL, "MAINPID=%d", pid);
}

static bool is_fd_name(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] < ' ' || name[i] == 0x7f || name[i] == ':')
			return false;
	return len > 0 && len <= NAME_MAX_BYTES;
}

int notify_keep_fds(const struct notify *n, const char *name, const int *fds, size_t count,
		    bool poll)
{
	union {
		char bytes[CMSG_SPACE(NOTIFY_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} beside = { 0 };
	struct msghdr msg = { .msg_control = beside.bytes };
	struct cmsghdr *head;

	if (!is_fd_name(name) || count == 0 || count > NOTIFY_FDS_MAX)
		return -EINVAL;
	msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
	head = CMSG_FIRSTHDR(&msg);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(head), fds, count * sizeof(int));
	return say(n, &msg, "FDSTORE=1\nFDNAME=%s%s", name, poll ? "" : "\nFDPOLL=0");
}

int notify_drop_fds(const struct notify *n, const char *name)
{
	if (!is_fd_name(name))
		return -EINVAL;
	return say(n, NULL, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

/* A whole number above 0, or 0 if the text is none. */
static long long number(const char *text)
{
	char *end;
	long long v;

	if (!text || !text[0])
		return 0;
	errno = 0;
	v = strtoll(text, &end, 10);
	return errno || *end || v < 0 ? 0 : v;
}

int64_t notify_watchdog_ms(notify_env *env)
{
	const char *pid = env("WATCHDOG_PID");

	if (pid && number(pid) != getpid())
		return 0;
	return number(env("WATCHDOG_USEC")) / 1000;
}

/* The name of the one that comes first in "a:b:c" ends where? */
static size_t name_len(const char *names)
{
	return strcspn(names, ":");
}

int notify_passed(notify_env *env, const char *name, unsigned nth)
{
	long long count = number(env("LISTEN_FDS"));
	const char *names = env("LISTEN_FDNAMES");

	if (number(env("LISTEN_PID")) != getpid() || count > PASSED_MAX)
		return -ENOENT;
	names = names ? names : "";
	for (int i = 0; i < count; i++) {
		size_t len = name_len(names);
		bool wanted = !name || (strlen(name) == len && strncmp(names, name, len) == 0);

		if (wanted && nth-- == 0)
			return fcntl(NOTIFY_FIRST_PASSED + i, F_SETFD, FD_CLOEXEC) < 0
				       ? -errno
				       : NOTIFY_FIRST_PASSED + i;
		names += len + (names[len] == ':');
	}
	return -ENOENT;
}
