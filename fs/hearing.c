/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/hearing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "fs/kept.h"

#define NAME_ROOM 64

/* ---- the socket ---- */

/* Binds the socket where nobody else gets in, and takes the name away again: it is reached by its
 * descriptor alone, which the daemon has. */
static int bind_unseen(struct hearing *h, const char *dir)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	char nook[NAME_ROOM];
	int r = 0;

	snprintf(nook, sizeof(nook), "%s/matrixfs-XXXXXX", dir);
	if (!mkdtemp(nook))
		return -errno;
	snprintf(name.sun_path, sizeof(name.sun_path), "%s/notify", nook);
	if (bind(h->socket, (struct sockaddr *)&name, sizeof(name)) < 0)
		r = -errno;
	else
		h->address = open(name.sun_path, O_PATH | O_CLOEXEC);
	if (r == 0 && h->address < 0)
		r = -errno;
	unlink(name.sun_path);
	rmdir(nook);
	return r;
}

int hearing_open(struct hearing *h)
{
	static const char *const dirs[] = { "/run", "/dev/shm", "/tmp", "." };
	int r = -ENOENT, on = 1;

	h->address = -1;
	h->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (h->socket < 0 || setsockopt(h->socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return -errno;
	for (size_t i = 0; r < 0 && h->address < 0 && i < ARRAY_LEN(dirs); i++)
		r = bind_unseen(h, dirs[i]);
	if (r == 0)
		r = kept_move_up(&h->socket);
	return r < 0 ? r : kept_move_up(&h->address);
}

void hearing_close(struct hearing *h)
{
	closep(&h->socket);
	closep(&h->address);
	*h = (struct hearing){ -1, -1 };
}

int hearing_tell(const struct hearing *h)
{
	char address[NAME_ROOM];

	if (fcntl(h->address, F_SETFD, 0) < 0)
		return -errno;
	snprintf(address, sizeof(address), "/proc/self/fd/%d", h->address);
	setenv("NOTIFY_SOCKET", address, 1);
	setenv("FDSTORE", "8", 1);
	return 0;
}

/* ---- messages ---- */

/* Takes the first descriptor; what is more than one is closed. */
static void take_fds(struct cmsghdr *c, int *ret)
{
	size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
		if (*ret < 0)
			*ret = fd;
		else
			close(fd);
	}
}

static void take_beside(struct msghdr *msg, struct hearing_said *ret)
{
	struct ucred who = { .pid = -1 };

	ret->fd = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_type == SCM_RIGHTS)
			take_fds(c, &ret->fd);
		else if (c->cmsg_type == SCM_CREDENTIALS)
			memcpy(&who, CMSG_DATA(c), sizeof(who));
	}
	ret->from = who.pid;
}

int hearing_take(const struct hearing *h, struct hearing_said *ret)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} beside;
	struct iovec part = { ret->text, NOTIFY_MESSAGE_MAX };
	struct msghdr msg = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = beside.bytes,
		.msg_controllen = sizeof(beside),
	};
	ssize_t n = recvmsg(h->socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return -errno;
	ret->text[n] = '\0';
	take_beside(&msg, ret);
	return 0;
}

bool hearing_value(const char *text, const char *name, char *ret, size_t cap)
{
	size_t len = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) == 0 && line[len] == '=') {
			snprintf(ret, cap, "%.*s", (int)strcspn(line + len + 1, "\n"),
				 line + len + 1);
			return true;
		}
	}
	return false;
}
