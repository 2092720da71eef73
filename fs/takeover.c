/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "fs/kept.h"
#include "fs/unmount.h"

#define FD_NAME "matrixfs-mount"
#define ESTATE_NAMED "matrixfs-estate"

bool takeover_is_held(notify_env *env)
{
	const char *room = env("FDSTORE"), *where = env("NOTIFY_SOCKET");

	return where && where[0] && room && strtol(room, NULL, 10) > 0;
}

/* Its socket has no name: it gives it as a descriptor. */
pid_t takeover_holder(notify_env *env)
{
	static const char unnamed[] = "/proc/self/fd/";
	const char *where = env("NOTIFY_SOCKET");

	return where && strncmp(where, unnamed, strlen(unnamed)) == 0 ? getppid() : 0;
}

/* ---- from the process before ---- */

struct session {
	uint32_t record;
	struct handshake *handshake;
	const char *asked, *mountpoint;
};

/* Two texts behind the handshake, with their NULs. */
static int read_session(void *arg, uint32_t record, void *data, size_t len)
{
	struct session *s = arg;
	const char *text = (const char *)data + sizeof(struct handshake);
	size_t left = len < sizeof(struct handshake) ? 0 : len - sizeof(struct handshake), first;

	first = strnlen(text, left) + 1;
	if (first >= left || strnlen(text + first, left - first) == left - first)
		return 0;
	*s = (struct session){ record, data, text, text + first };
	return 1;
}

static int check(const struct session *s, const char *asked)
{
	if (!s->handshake)
		return ERR_CORRUPT;
	if (strcmp(s->asked, asked) != 0)
		return -EXDEV;
	/* Readers would wait for ever for what was lost: also by a process that wanted to hand
	 * over, as the FUSE library drops what it takes while it ends. */
	return handshake_resends(s->handshake) ? 0 : -EOPNOTSUPP;
}

static const char *why_not(int r)
{
	switch (r) {
	case ERR_FORMAT:
		return "it was left by another version, which writes it in another way";
	case -EXDEV:
		return "it is on another mount point";
	case -EOPNOTSUPP:
		return "this kernel does not repeat what the process before was asked for";
	default:
		return err_text(r);
	}
}

static int inherit(struct takeover *t, int estate_fd, const char *asked, struct session *s)
{
	int r = estate_inherit(estate_fd, &t->estate);

	if (r < 0)
		return r;
	estate_each(t->estate, ESTATE_SESSION, read_session, s);
	return check(s, asked);
}

/* What cannot be taken over goes: it is mounted anew. */
static void give_up(struct takeover *t, const char *mountpoint, int r)
{
	log_err(r, "the mount that is there cannot be taken over, and goes: %s mountpoint=%s",
		why_not(r), mountpoint);
	takeover_unmount(t, t->fd, mountpoint);
	estate_free(steal(t->estate));
}

static void begin_anew(struct takeover *t, notify_env *env)
{
	int r = takeover_is_held(env) ? estate_new(&t->estate) : 0;

	if (r < 0)
		log_warn(r, "there is no room for what a next process must know: nobody holds "
			    "the mount, which ends with this one");
}

bool takeover_is_passed(notify_env *env)
{
	return notify_passed(env, FD_NAME, 0) >= 0;
}

void takeover_begin(struct takeover *t, struct notify *n, const char *asked, notify_env *env)
{
	int estate_fd = notify_passed(env, ESTATE_NAMED, 0);
	struct session s = { 0 };
	int r;

	*t = (struct takeover){ .notify = n, .fd = notify_passed(env, FD_NAME, 0) };
	if (t->fd >= 0) {
		r = estate_fd >= 0 ? inherit(t, estate_fd, asked, &s) : ERR_CORRUPT;
		if (r < 0)
			give_up(t, s.mountpoint ? s.mountpoint : asked, r);
	}
	closep(&estate_fd);
	if (t->fd < 0) {
		begin_anew(t, env);
		return;
	}
	t->held = true;
	t->handshake = s.handshake;
	t->generation = ++t->handshake->generation;
	t->mountpoint = s.mountpoint;
}

void takeover_end(struct takeover *t)
{
	closep(&t->fd);
	estate_free(t->estate);
	*t = (struct takeover){ .fd = -1 };
}

/* ---- to the next ---- */

int takeover_pass(const struct takeover *t)
{
	struct kept k = { 0 };
	int r;

	kept_put(&k, FD_NAME, fcntl(t->fd, F_DUPFD_CLOEXEC, 0));
	kept_put(&k, ESTATE_NAMED, fcntl(estate_fd(t->estate), F_DUPFD_CLOEXEC, 0));
	r = k.count == 2 ? kept_pass(&k) : -EMFILE;
	kept_drop_all(&k);
	return r;
}

static void drop(struct takeover *t)
{
	t->held = false;
	if (notify_drop_fds(t->notify, FD_NAME) < 0 || notify_drop_fds(t->notify, ESTATE_NAMED) < 0)
		log_debug("who holds the mount does not listen");
}

static int note_session(struct takeover *t, const struct handshake *h, const char *asked,
			const char *mountpoint)
{
	size_t first = strlen(asked) + 1, second = strlen(mountpoint) + 1;
	uint32_t record;
	char *text;
	int r = estate_add(t->estate, ESTATE_SESSION, NULL, sizeof(*h) + first + second, &record);

	if (r < 0)
		return r;
	t->handshake = estate_at(t->estate, record);
	*t->handshake = *h;
	text = (char *)(t->handshake + 1);
	memcpy(text, asked, first);
	memcpy(text + first, mountpoint, second);
	return 0;
}

void takeover_give(struct takeover *t, int fd, const struct handshake *h, const char *asked,
		   const char *mountpoint)
{
	int r, memory;

	if (!t->estate)
		return;
	drop(t); /* what may be there of a mount that is gone */
	memory = estate_fd(t->estate);
	r = note_session(t, h, asked, mountpoint);
	if (r == 0)
		r = notify_keep_fds(t->notify, ESTATE_NAMED, &memory, 1, false);
	if (r == 0)
		r = notify_keep_fds(t->notify, FD_NAME, &fd, 1, true);
	if (r < 0) {
		drop(t);
		log_warn(r, "the service manager does not take the mount: nobody holds it, it "
			    "ends with this process");
	}
	t->held = r == 0;
}

static bool is_gone(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

void takeover_unmount(struct takeover *t, int fd, const char *mountpoint)
{
	if (!is_gone(fd) && unmount_detach(mountpoint) < 0)
		log_warn(-EPERM, "cannot unmount mountpoint=%s", mountpoint);
	drop(t);
	closep(&t->fd);
	t->fd = -1;
}
