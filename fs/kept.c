/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define ASIDE 64 /* what stays lies from here on */

int kept_move_up(int *fd)
{
	int up = fcntl(*fd, F_DUPFD_CLOEXEC, ASIDE);

	if (up < 0)
		return -errno;
	close(*fd);
	*fd = up;
	return 0;
}

void kept_drop(struct kept *k, const char *name)
{
	unsigned left = 0;

	for (unsigned i = 0; i < k->count; i++)
		if (strcmp(k->fds[i].name, name) == 0)
			close(k->fds[i].fd);
		else
			k->fds[left++] = k->fds[i];
	k->count = left;
}

void kept_drop_all(struct kept *k)
{
	while (k->count)
		close(k->fds[--k->count].fd);
}

void kept_put(struct kept *k, const char *name, int fd)
{
	struct kept_fd *f;

	kept_drop(k, name);
	if (k->count == KEPT_MAX || strlen(name) >= KEPT_NAME_ROOM || kept_move_up(&fd) < 0) {
		close(fd);
		return;
	}
	f = &k->fds[k->count++];
	f->fd = fd;
	snprintf(f->name, sizeof(f->name), "%s", name);
}

void kept_take_passed(struct kept *k, notify_env *env)
{
	const char *names = env("LISTEN_FDNAMES");
	char name[KEPT_NAME_ROOM];
	int fd;

	for (unsigned i = 0; names && (fd = notify_passed(env, NULL, i)) >= 0; i++) {
		size_t len = strcspn(names, ":");

		snprintf(name, sizeof(name), "%.*s", (int)len, names);
		kept_put(k, name, fd);
		names += len + (names[len] == ':');
	}
}

int kept_pass(const struct kept *k)
{
	char names[KEPT_MAX * KEPT_NAME_ROOM] = "", number[16];

	for (unsigned i = 0; i < k->count; i++) {
		if (dup2(k->fds[i].fd, NOTIFY_FIRST_PASSED + (int)i) < 0)
			return -errno;
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", i ? ":" : "",
			 k->fds[i].name);
	}
	snprintf(number, sizeof(number), "%u", k->count);
	setenv("LISTEN_FDS", number, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	snprintf(number, sizeof(number), "%d", (int)getpid());
	setenv("LISTEN_PID", number, 1);
	return 0;
}

void kept_pass_undo(void)
{
	close_range(NOTIFY_FIRST_PASSED, NOTIFY_FIRST_PASSED + KEPT_MAX - 1, 0);
}
