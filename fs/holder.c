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
#define ASIDE 64       /* the holder's own descriptors lie from here on, above what is passed */
#define ROUND 16       /* messages that are taken before signals are looked at */
#define SOON_MS 50     /* until the first new start after one that failed; then twice as long */
#define PATIENCE_MS 5000
#define WELL_MS 2000     /* who has served so long has not failed */
#define TRIES 7          /* that never served, with what is kept; then one without */
#define SHORT_LIVES 60   /* in a row that served, but not for WELL_MS; then likewise */
#define HANDING_MS 30000 /* a handing over that takes longer is ended */

struct kept {
	char name[NAME_ROOM];
	int fd;
};

struct holder {
	const struct holder_conf *conf;
	char program[PATH_MAX];
	int socket, signals;
	int address;         /* of the socket, which has no name any more */
	struct notify above; /* who started the holder, and hears what the daemon says */
	pid_t child;         /* 0: none, it is started at due_ms */
	int64_t due_ms;
	struct kept kept[KEPT_MAX];
	unsigned kept_count;
	bool told;     /* conf->ready was called */
	bool stopping; /* it was told to end */
	bool ready;    /* this child is */
	bool asked;    /* to hand over, as soon as it is */
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

/* Takes the descriptor. */
static void keep(struct holder *h, const char *name, int fd)
{
	struct kept *k;

	drop(h, name);
	if (h->kept_count == KEPT_MAX || strlen(name) >= NAME_ROOM || move_up(&fd) < 0) {
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

static void ask_to_hand_over(struct holder *h)
{
	h->asked = false;
	h->kill_ms = clock_ms() + HANDING_MS;
	kill(h->child, SIGUSR2);
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
	if (h->asked)
		ask_to_hand_over(h);
}

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

/* What came beside the text: who sent it, or -1, and a descriptor. */
static pid_t take_beside(struct msghdr *msg, int *ret_fd)
{
	struct ucred who = { .pid = -1 };

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_type == SCM_RIGHTS)
			take_fds(c, ret_fd);
		else if (c->cmsg_type == SCM_CREDENTIALS)
			memcpy(&who, CMSG_DATA(c), sizeof(who));
	}
	return who.pid;
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
	pid_t from;

	if (n < 0)
		return -errno;
	text[n] = '\0';
	from = take_beside(&msg, &fd);
	if (h->child > 0 && from == h->child)
		heed(h, text, &fd);
	return 0;
}

static void take_messages(struct holder *h)
{
	for (int i = 0; i < ROUND && take_message(h) == 0; i++) {
	}
}

/* ---- starting ---- */

/* Puts what is kept where it is looked for, and tells of it. In a process that is about to be
 * another program. */
static int pass(struct holder *h)
{
	char names[KEPT_MAX * NAME_ROOM] = "", number[16];

	for (unsigned i = 0; i < h->kept_count; i++) {
		if (dup2(h->kept[i].fd, FIRST_PASSED + (int)i) < 0)
			return -errno;
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", i ? ":" : "",
			 h->kept[i].name);
	}
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
	char address[NAME_ROOM];
	sigset_t none;

	snprintf(address, sizeof(address), "/proc/self/fd/%d", h->address);
	setenv("NOTIFY_SOCKET", address, 1);
	setenv("FDSTORE", "8", 1);
	if (fcntl(h->address, F_SETFD, 0) == 0 && pass(h) == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execv(h->program, h->conf->argv);
	}
	_exit(127);
}

static int start(struct holder *h)
{
	pid_t pid;

	h->ready = false;
	h->kill_ms = 0;
	h->due_ms = 0;
	pid = fork();
	if (pid == 0)
		be_daemon(h);
	h->child = pid < 0 ? 0 : pid;
	return pid < 0 ? -errno : 0;
}

/* The new version of this program holds on. Returns only if there is none. */
static void be_new(struct holder *h)
{
	if (pass(h) == 0)
		execv(h->program, h->conf->argv);
	log_err(-errno, "there is no program to go on with: this one does program=%s", h->program);
	close_range(FIRST_PASSED, FIRST_PASSED + KEPT_MAX - 1, 0); /* copies */
}

/* ---- ends ---- */

/* Before a new start after failures. */
static int64_t patience_ms(const struct holder *h)
{
	if (h->failures <= 1)
		return 0;
	return h->failures < 8 ? (int64_t)SOON_MS << (h->failures - 1) : PATIENCE_MS;
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

/* After a failure: 0 if there is to be a new start. */
static int try_again(struct holder *h)
{
	bool last = h->vain > TRIES || h->failures > SHORT_LIVES;

	if (h->vain >= TRIES || h->failures >= SHORT_LIVES)
		let_go(h);
	h->due_ms = clock_ms() + patience_ms(h);
	return last ? -ECANCELED : 0;
}

static void count_failure(struct holder *h)
{
	if (h->ready && clock_ms() - h->ready_ms > WELL_MS)
		h->failures = 0;
	h->failures++;
	h->vain = h->ready ? 0 : h->vain + 1;
}

/* The exit status, or -1 if the daemon is to be started again. */
static int on_end(struct holder *h, int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;

	if (h->stopping || (WIFEXITED(status) && code == 0) || !h->told) {
		let_go(h); /* it has not unmounted */
		return code;
	}
	if (code == HOLDER_AGAIN && h->ready && h->kept_count) {
		be_new(h);
		h->due_ms = clock_ms();
		return -1;
	}
	log_err(0, "the daemon died and is started again %s=%d",
		WIFEXITED(status) ? "status" : "signal",
		WIFEXITED(status) ? code : WTERMSIG(status));
	count_failure(h);
	return try_again(h) == 0 ? -1 : code ? code : 1;
}

/* The exit status, or -1. That there is no process to be had passes. */
static int start_due(struct holder *h)
{
	int r = start(h);

	if (r == 0)
		return -1;
	log_warn(r, "the daemon cannot be started yet");
	h->failures++;
	return try_again(h) == 0 ? -1 : 1;
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
	h->child = 0;
	return on_end(h, status);
}

/* One that is not ready yet would die of the signal. */
static void on_upgrade(struct holder *h)
{
	if (!h->child && h->kept_count)
		be_new(h);
	else if (h->ready)
		ask_to_hand_over(h);
	else
		h->asked = true;
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
		on_upgrade(h);
		return -1;
	default:
		h->stopping = true;
		if (h->child)
			kill(h->child, (int)info.ssi_signo);
		else
			let_go(h);
		return h->child ? -1 : 0;
	}
}

/* ---- all of it ---- */

/* Binds the socket where nobody else gets in, and takes the name away again: it is reached by its
 * descriptor alone, which the daemon has. */
static int bind_unseen(struct holder *h, const char *dir)
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

static int listen_to_daemon(struct holder *h)
{
	static const char *const dirs[] = { "/run", "/dev/shm", "/tmp", "." };
	int r = -ENOENT, on = 1;

	h->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (h->socket < 0 || setsockopt(h->socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return -errno;
	for (size_t i = 0; r < 0 && h->address < 0 && i < ARRAY_LEN(dirs); i++)
		r = bind_unseen(h, dirs[i]);
	if (r == 0)
		r = move_up(&h->socket);
	return r < 0 ? r : move_up(&h->address);
}

/* Its path, where the next version comes to lie, if this one is not there any more, too. */
static int find_program(struct holder *h)
{
	static const char gone[] = " (deleted)";
	ssize_t n = readlink("/proc/self/exe", h->program, sizeof(h->program) - 1);
	size_t len = n < 0 ? 0 : (size_t)n, tail = strlen(gone);

	if (n < 0)
		return -errno;
	h->program[len] = '\0';
	if (len > tail && !strcmp(h->program + len - tail, gone) && access(h->program, F_OK) < 0)
		h->program[len - tail] = '\0';
	return 0;
}

static int begin(struct holder *h)
{
	sigset_t heeded;
	int r = find_program(h);

	if (r < 0)
		return r;
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
	if (r == 0 && notify_heard(&h->above))
		r = move_up(&h->above.fd);
	if (r == 0)
		r = listen_to_daemon(h);
	if (r < 0)
		return r;
	h->told = holder_resumes(getenv);
	take_passed(h);
	return start(h);
}

/* Something is due. The exit status, or -1. */
static int on_time(struct holder *h)
{
	if (!h->child)
		return start_due(h);
	h->kill_ms = 0;
	kill(h->child, SIGKILL);
	return -1;
}

static int hold(struct holder *h)
{
	struct pollfd p[] = {
		{ .fd = h->socket, .events = POLLIN },
		{ .fd = h->signals, .events = POLLIN },
	};
	int status = -1;

	while (status < 0) {
		int64_t now = clock_ms(), at = h->child ? h->kill_ms : h->due_ms;

		if (at && now >= at) {
			status = on_time(h);
			continue;
		}
		if (poll(p, 2, at ? (int)(at - now) : -1) < 0)
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
	struct holder h = { .conf = conf, .socket = -1, .signals = -1, .address = -1 };
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
	closep(&h.address);
	closep(&h.signals);
	return status;
}
