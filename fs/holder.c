/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/own.h"
#include "fs/unmount.h"

#define KEPT_MAX 8
#define NAME_ROOM 64
#define MESSAGE_MAX 2048
#define FIRST_PASSED 3 /* SD_LISTEN_FDS_START */
#define ASIDE 64       /* above all that is passed */
#define SOON_MS 50     /* until the first new start after one that failed; then twice as long */
#define PATIENCE_MS 5000
#define WELL_MS 2000     /* who has served so long has not failed */
#define TRIES 7          /* with what is kept; then one without */
#define HANDING_MS 30000 /* a handing over that takes longer is ended */

struct kept {
	char name[NAME_ROOM];
	int fd;
};

struct holder {
	const struct holder_conf *conf;
	char program[PATH_MAX];
	char address[NAME_ROOM]; /* '@' and an abstract name */
	int socket, signals;
	struct notify above; /* who started the holder, and hears what the daemon says */
	pid_t child;
	struct kept kept[KEPT_MAX];
	unsigned kept_count;
	bool told;     /* conf->ready was called */
	bool stopping; /* it was told to end */
	bool ready;    /* this child is */
	int64_t ready_ms;
	int64_t kill_ms;   /* this child is to have ended by then; 0: no haste */
	unsigned failures; /* in a row, for the patience */
	unsigned vain;     /* of them the last ones, which never served */
};

/* ---- what is kept ---- */

static void drop(struct holder *h, const char *name)
{
	unsigned left = 0;

	for (unsigned i = 0; i < h->kept_count; i++)
		if (strcmp(h->kept[i].name, name) == 0)
			close(h->kept[i].fd);
		else
			h->kept[left++] = h->kept[i];
	h->kept_count = left;
}

static void drop_all(struct holder *h)
{
	while (h->kept_count)
		drop(h, h->kept[0].name);
}

/* Takes the descriptor. */
static void keep(struct holder *h, const char *name, int fd)
{
	struct kept *k;

	drop(h, name);
	if (h->kept_count == KEPT_MAX || strlen(name) >= NAME_ROOM) {
		close(fd);
		return;
	}
	k = &h->kept[h->kept_count++];
	k->fd = fd;
	snprintf(k->name, sizeof(k->name), "%s", name);
}

bool holder_resumes(notify_env *env)
{
	return notify_passed(env, NULL, 0) >= 0;
}

static void take_passed(struct holder *h)
{
	const char *names = getenv("LISTEN_FDNAMES");
	char name[NAME_ROOM];
	int fd;

	for (unsigned i = 0; names && (fd = notify_passed(getenv, NULL, i)) >= 0; i++) {
		size_t len = strcspn(names, ":");

		snprintf(name, sizeof(name), "%.*s", (int)len, names);
		keep(h, name, fd);
		names += len + (names[len] == ':');
	}
}

/* ---- what the daemon says ---- */

static const char *value_of(const char *text, const char *name, char *ret, size_t cap)
{
	size_t len = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) == 0 && line[len] == '=') {
			snprintf(ret, cap, "%.*s", (int)strcspn(line + len + 1, "\n"),
				 line + len + 1);
			return ret;
		}
	}
	return NULL;
}

static void pass_on(const struct holder *h, const char *text)
{
	char line[MESSAGE_MAX];

	if (value_of(text, "READY", line, sizeof(line)))
		notify_ready(&h->above);
	if (value_of(text, "STATUS", line, sizeof(line)))
		notify_status(&h->above, line);
	if (value_of(text, "WATCHDOG", line, sizeof(line)))
		notify_alive(&h->above);
}

static void heed(struct holder *h, const char *text, int *fd)
{
	char name[NAME_ROOM] = "stored", word[8];

	pass_on(h, text);

	value_of(text, "FDNAME", name, sizeof(name));
	if (value_of(text, "FDSTOREREMOVE", word, sizeof(word)))
		drop(h, name);
	else if (*fd >= 0 && value_of(text, "FDSTORE", word, sizeof(word)))
		keep(h, name, steal_fd(fd));
	if (!value_of(text, "READY", word, sizeof(word)))
		return;
	h->ready = true;
	h->ready_ms = clock_ms();
	if (!h->told)
		h->conf->ready(h->conf->arg);
	h->told = true;
}

/* One message of the daemon, with a descriptor at most. 0, or -EAGAIN when there is none. */
static int take_message(struct holder *h)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} beside;
	CLEANUP(closep) int fd = -1;
	char text[MESSAGE_MAX + 1];
	struct iovec part = { text, MESSAGE_MAX };
	struct msghdr msg = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = beside.bytes,
		.msg_controllen = sizeof(beside),
	};
	ssize_t n = recvmsg(h->socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	pid_t from = -1;

	if (n < 0)
		return -errno;
	text[n] = '\0';
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		struct ucred who;

		if (c->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		if (c->cmsg_type != SCM_CREDENTIALS)
			continue;
		memcpy(&who, CMSG_DATA(c), sizeof(who));
		from = who.pid;
	}
	if (from == h->child)
		heed(h, text, &fd);
	return 0;
}

static void take_messages(struct holder *h)
{
	while (take_message(h) == 0) {
	}
}

/* ---- starting ---- */

/* Puts what is kept where it is looked for, and tells of it. In a process that is about to be
 * another program. */
static int pass(struct holder *h)
{
	char names[KEPT_MAX * NAME_ROOM] = "", number[16];
	int aside[KEPT_MAX];

	for (unsigned i = 0; i < h->kept_count; i++) {
		aside[i] = fcntl(h->kept[i].fd, F_DUPFD_CLOEXEC, ASIDE);
		if (aside[i] < 0)
			return -errno;
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", i ? ":" : "",
			 h->kept[i].name);
	}
	for (unsigned i = 0; i < h->kept_count; i++)
		if (dup2(aside[i], FIRST_PASSED + (int)i) < 0)
			return -errno;
	snprintf(number, sizeof(number), "%u", h->kept_count);
	setenv("LISTEN_FDS", number, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	snprintf(number, sizeof(number), "%d", (int)getpid());
	setenv("LISTEN_PID", number, 1);
	if (getenv("WATCHDOG_PID"))
		setenv("WATCHDOG_PID", number, 1);
	return 0;
}

static void be_daemon(struct holder *h)
{
	sigset_t none;

	setenv("NOTIFY_SOCKET", h->address, 1);
	setenv("FDSTORE", "8", 1);
	if (pass(h) == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execv(h->program, h->conf->argv);
	}
	_exit(127);
}

static int start(struct holder *h)
{
	h->ready = false;
	h->kill_ms = 0;
	h->child = fork();
	if (h->child == 0)
		be_daemon(h);
	return h->child < 0 ? -errno : 0;
}

/* The new version of this program holds on. Returns only if there is none. */
static void be_new(struct holder *h)
{
	if (pass(h) == 0)
		execv(h->program, h->conf->argv);
	log_err(-errno, "there is no program to go on with: this one does program=%s", h->program);
}

/* ---- ends ---- */

/* Waits before a new start after a failure. */
static void wait_a_little(struct holder *h)
{
	int64_t ms = (int64_t)SOON_MS << (h->failures < 8 ? h->failures - 1 : 8);
	struct pollfd p = { .fd = h->signals, .events = POLLIN };

	poll(&p, 1, (int)(ms < PATIENCE_MS ? ms : PATIENCE_MS)); /* a signal ends it */
}

static void let_go(struct holder *h)
{
	if (!h->kept_count)
		return;
	log_err(0, "the daemon cannot go on with the mount, which is taken away mountpoint=%s",
		h->conf->mountpoint);
	unmount_detach(h->conf->mountpoint);
	drop_all(h);
}

/* After a death: 0 if it is to be started again. */
static int count_failure(struct holder *h)
{
	if (h->ready && clock_ms() - h->ready_ms > WELL_MS)
		h->failures = 0;
	h->failures++;
	h->vain = h->ready ? 0 : h->vain + 1;
	if (h->vain < TRIES)
		return 0;
	let_go(h);
	return h->vain == TRIES ? 0 : -ECANCELED;
}

/* The exit status, or -1 if the daemon was started again. */
static int on_end(struct holder *h, int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;

	if (h->stopping || (WIFEXITED(status) && code == 0) || !h->told) {
		let_go(h); /* it has not unmounted */
		return code;
	}
	if (code == HOLDER_AGAIN && h->ready && h->kept_count) {
		be_new(h);
	} else {
		log_err(0, "the daemon died and is started again %s=%d",
			WIFEXITED(status) ? "status" : "signal",
			WIFEXITED(status) ? code : WTERMSIG(status));
		if (count_failure(h) < 0)
			return code ? code : 1;
		if (h->failures > 1)
			wait_a_little(h);
	}
	return start(h) < 0 ? 1 : -1;
}

/* As the first process of a container it has everybody's orphans, too. */
static int reap(struct holder *h)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0 && pid != h->child) {
	}
	if (pid <= 0)
		return -1;
	take_messages(h); /* its last words */
	return on_end(h, status);
}

static int on_signal(struct holder *h)
{
	struct signalfd_siginfo info;

	if (read(h->signals, &info, sizeof(info)) != sizeof(info))
		return -1;
	switch (info.ssi_signo) {
	case SIGCHLD:
		return reap(h);
	case SIGUSR2:
		if (h->ready)
			h->kill_ms = clock_ms() + HANDING_MS;
		break;
	default:
		h->stopping = true;
		break;
	}
	kill(h->child, (int)info.ssi_signo);
	return -1;
}

/* ---- all of it ---- */

/* Out of the way of what is passed. */
static int move_up(int *fd)
{
	int up = fcntl(*fd, F_DUPFD_CLOEXEC, ASIDE);

	if (up < 0)
		return -errno;
	close(*fd);
	*fd = up;
	return 0;
}

static int listen_to_daemon(struct holder *h)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(name);
	int on = 1;

	h->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (h->socket < 0 || setsockopt(h->socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ||
	    bind(h->socket, (struct sockaddr *)&name, sizeof(name.sun_family)) < 0 ||
	    getsockname(h->socket, (struct sockaddr *)&name, &len) < 0)
		return -errno;
	len -= (socklen_t)offsetof(struct sockaddr_un, sun_path); /* the kernel chose a name */
	snprintf(h->address, sizeof(h->address), "@%.*s", (int)len - 1, name.sun_path + 1);
	return move_up(&h->socket);
}

static int begin(struct holder *h)
{
	sigset_t heeded;
	int r;

	if (!realpath("/proc/self/exe", h->program))
		return -errno;
	sigemptyset(&heeded);
	sigaddset(&heeded, SIGCHLD);
	sigaddset(&heeded, SIGTERM);
	sigaddset(&heeded, SIGINT);
	sigaddset(&heeded, SIGHUP);
	sigaddset(&heeded, SIGUSR2);
	sigprocmask(SIG_SETMASK, &heeded, NULL);
	h->signals = signalfd(-1, &heeded, SFD_CLOEXEC | SFD_NONBLOCK);
	if (h->signals < 0)
		return -errno;
	r = move_up(&h->signals);
	if (r == 0)
		r = listen_to_daemon(h);
	if (r < 0)
		return r;
	h->told = holder_resumes(getenv);
	take_passed(h);
	return start(h);
}

static int hold(struct holder *h)
{
	struct pollfd p[] = {
		{ .fd = h->socket, .events = POLLIN },
		{ .fd = h->signals, .events = POLLIN },
	};
	int status = -1;

	while (status < 0) {
		int64_t now = clock_ms();

		if (h->kill_ms && now >= h->kill_ms) {
			h->kill_ms = 0;
			kill(h->child, SIGKILL);
		}
		if (poll(p, 2, h->kill_ms ? (int)(h->kill_ms - now) : -1) < 0)
			continue;
		take_messages(h);
		status = on_signal(h);
		if (status < 0)
			status = reap(h); /* ends that came together are told of once */
	}
	return status;
}

int holder_run(const struct holder_conf *conf)
{
	struct holder h = { .conf = conf, .socket = -1, .signals = -1 };
	int status = 1, r = notify_open(&h.above, getenv);

	if (r == 0)
		r = begin(&h);
	if (r < 0)
		log_err(r, "the daemon cannot be started");
	else
		status = hold(&h);
	drop_all(&h);
	notify_close(&h.above);
	closep(&h.socket);
	closep(&h.signals);
	return status;
}
