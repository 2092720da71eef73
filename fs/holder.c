/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/holder.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/own.h"
#include "fs/hearing.h"
#include "fs/kept.h"
#include "fs/patience.h"
#include "fs/successor.h"
#include "fs/unmount.h"

#define ROUND 16         /* messages that are taken before signals are looked at */
#define HANDING_MS 30000 /* a handing over that takes longer is ended */
#define SAID_MAX 500     /* bytes of what it says that are logged */
#define LATE_MS 1000     /* who wakes up so late was stopped, or the machine was */

struct holder {
	const struct holder_conf *conf;
	char program[PATH_MAX]; /* where this one lies, or the next version does */
	const char *image;      /* what the next daemon is: that, or SUCCESSOR_THIS_ONE */
	int signals;
	struct hearing hearing;
	struct notify above; /* who started the holder, and hears what the daemon says */
	pid_t child;         /* 0: none, it is started at due_ms */
	int64_t due_ms;
	struct kept kept;
	bool served_once; /* some child was ready */
	bool stopping;    /* it was told to end */
	bool ready;       /* this child is */
	bool asked;       /* to hand over, as soon as it is */
	bool agreed;      /* the new program can begin: this child was told to hand over */
	int64_t ready_ms;
	int64_t kill_ms;  /* this child is killed then; 0: never */
	const char *why;  /* it is */
	bool ending;      /* it was told to hand over or to end, and may be silent */
	int64_t watch_ms; /* 0: somebody else watches, or nobody */
	struct patience patience;
};

bool holder_resumes(notify_env *env)
{
	return notify_passed(env, NULL, 0) >= 0;
}

/* ---- a program that can begin ---- */

/* A mount is not given to a program that would end at once. */
static bool new_one_agrees(const struct holder *h)
{
	CLEANUP(buf_free) struct buf said = { 0 };
	int r = successor_check(h->program, h->conf->argv, &said);

	if (r == 0)
		return true;
	buf_trim_end(&said);
	log_err(r < 0 ? r : 0,
		"the new program cannot begin, the old one goes on: %.*s program=%s status=%d",
		SAID_MAX, buf_str(&said), h->program, r < 0 ? -1 : r);
	return false;
}

static void choose_image(struct holder *h, bool this_one)
{
	h->image = this_one && successor_is_other(h->program) ? SUCCESSOR_THIS_ONE : h->program;
	if (h->image != h->program)
		log_warn(0,
			 "the daemon is started from the old program, which the holder is "
			 "program=%s",
			 h->program);
}

/* ---- how long a daemon may take ---- */

static void tell_to_end(struct holder *h, int sig, int64_t within_ms, const char *why)
{
	h->ending = true;
	h->kill_ms = clock_ms() + within_ms;
	h->why = why;
	kill(h->child, sig);
}

/* It is well. */
static void feed(struct holder *h)
{
	if (!h->watch_ms || h->ending)
		return;
	h->kill_ms = clock_ms() + h->watch_ms;
	h->why = "it does not say any more that it is well";
}

/* It begins to serve, for the first time or once more. */
static void expect_it(struct holder *h)
{
	if (h->ending)
		return;
	h->kill_ms = clock_ms() + h->conf->start_ms;
	h->why = "it has not begun to serve";
}

static void tell_that_it_is_watched(const struct holder *h)
{
	char number[24];

	if (h->watch_ms) {
		snprintf(number, sizeof(number), "%lld", (long long)h->watch_ms * 1000);
		setenv("WATCHDOG_USEC", number, 1);
	}
	if (h->watch_ms || getenv("WATCHDOG_PID")) {
		snprintf(number, sizeof(number), "%d", (int)getpid());
		setenv("WATCHDOG_PID", number, 1);
	}
}

static int64_t find_watch_ms(const struct holder *h)
{
	bool heard = notify_heard(&h->above);

	if (heard && notify_watchdog_ms(getenv) > 0)
		return 0;
	if (!heard && getenv("WATCHDOG_USEC") && !getenv("WATCHDOG_PID"))
		return notify_watchdog_ms(getenv);
	return h->conf->watch_ms;
}

static void ask_to_hand_over(struct holder *h)
{
	h->asked = false;
	h->agreed = new_one_agrees(h);
	if (!h->agreed)
		return;
	tell_to_end(h, SIGUSR2, HANDING_MS, "it has not handed over");
}

/* ---- what the daemon says ---- */

static void pass_on(struct holder *h, const char *text)
{
	char line[NOTIFY_MESSAGE_MAX];

	if (hearing_value(text, "READY", line, sizeof(line)))
		notify_ready(&h->above);
	if (hearing_value(text, "STATUS", line, sizeof(line)))
		notify_status(&h->above, line);
	if (h->ready && hearing_value(text, "RELOADING", line, sizeof(line)))
		expect_it(h);
	if (!hearing_value(text, "WATCHDOG", line, sizeof(line)))
		return;
	notify_alive(&h->above);
	if (h->ready)
		feed(h);
}

static void on_serving(struct holder *h)
{
	h->ready = true;
	h->ready_ms = clock_ms();
	if (!h->served_once)
		h->conf->ready(h->conf->arg);
	h->served_once = true;
	if (!h->ending)
		h->kill_ms = 0;
	feed(h);
	if (h->asked)
		ask_to_hand_over(h);
}

static void heed(struct holder *h, struct hearing_said *said)
{
	char name[KEPT_NAME_ROOM] = "stored", word[8];

	pass_on(h, said->text);
	hearing_value(said->text, "FDNAME", name, sizeof(name));
	if (hearing_value(said->text, "FDSTOREREMOVE", word, sizeof(word)))
		kept_drop(&h->kept, name);
	else if (said->fd >= 0 && hearing_value(said->text, "FDSTORE", word, sizeof(word)))
		kept_put(&h->kept, name, steal_fd(&said->fd));
	if (hearing_value(said->text, "READY", word, sizeof(word)))
		on_serving(h);
}

static void take_messages(struct holder *h)
{
	struct hearing_said said;

	for (int i = 0; i < ROUND && hearing_take(&h->hearing, &said) == 0; i++) {
		if (h->child > 0 && said.from == h->child)
			heed(h, &said);
		closep(&said.fd);
	}
}

/* ---- starting ---- */

static void be_daemon(struct holder *h)
{
	sigset_t none;

	if (hearing_tell(&h->hearing) == 0 && kept_pass(&h->kept) == 0) {
		tell_that_it_is_watched(h);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execv(h->image, h->conf->argv);
	}
	_exit(127);
}

static int start(struct holder *h)
{
	pid_t pid;

	h->ready = false;
	h->agreed = false;
	h->ending = false;
	h->due_ms = 0;
	expect_it(h);
	pid = fork();
	if (pid == 0)
		be_daemon(h);
	h->child = pid < 0 ? 0 : pid;
	return pid < 0 ? -errno : 0;
}

/* The new version of this program holds on. Returns only if there is none. */
static void be_new(struct holder *h)
{
	if (kept_pass(&h->kept) == 0)
		execv(h->program, h->conf->argv);
	log_err(-errno, "there is no program to go on with: this one does program=%s", h->program);
	kept_pass_undo();
}

/* ---- ends ---- */

static void let_go(struct holder *h)
{
	if (!h->kept.count)
		return;
	log_err(0, "the daemon cannot go on with the mount, which is taken away mountpoint=%s",
		h->conf->mountpoint);
	unmount_detach(h->conf->mountpoint);
	kept_drop_all(&h->kept);
}

/* After a failure: 0 if there is to be a new start. Of two programs each is tried in turn. */
static int try_again(struct holder *h, enum patience_end end)
{
	int64_t now_ms = clock_ms(), wait_ms;
	enum patience_next next = patience_after(&h->patience, end, now_ms, &wait_ms);

	if (next != PATIENCE_AGAIN)
		let_go(h);
	if (end != PATIENCE_NOT_STARTED)
		choose_image(h, !h->ready && h->image == h->program);
	h->due_ms = now_ms + wait_ms;
	return next == PATIENCE_OVER ? -ECANCELED : 0;
}

/* A configuration that is wrong is for people to mend, which takes longer than a start. */
static enum patience_end end_of(const struct holder *h)
{
	CLEANUP(buf_free) struct buf said = { 0 };

	if (h->ready)
		return clock_ms() - h->ready_ms > PATIENCE_WELL_MS ? PATIENCE_WELL : PATIENCE_SHORT;
	if (successor_check(h->image, h->conf->argv, &said) == 0)
		return PATIENCE_VAIN;
	log_err(0, "the daemon cannot begin, and readers wait until that is mended seconds=%d",
		PATIENCE_REFUSED_MS / 1000);
	return PATIENCE_REFUSED;
}

/* The exit status, or -1 if the daemon is to be started again. */
static int on_end(struct holder *h, int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;

	if (h->stopping || (WIFEXITED(status) && code == 0) || !h->served_once) {
		let_go(h); /* it has not unmounted */
		return code;
	}
	if (code == HOLDER_AGAIN && h->ready && h->kept.count) {
		if (h->agreed || new_one_agrees(h))
			be_new(h);
		choose_image(h, true);
		h->due_ms = clock_ms();
		return -1;
	}
	log_err(0, "the daemon died and is started again %s=%d",
		WIFEXITED(status) ? "status" : "signal",
		WIFEXITED(status) ? code : WTERMSIG(status));
	return try_again(h, end_of(h)) == 0 ? -1 : code ? code : 1;
}

/* The exit status, or -1. That there is no process to be had passes. */
static int start_due(struct holder *h)
{
	int r = start(h);

	if (r == 0)
		return -1;
	log_warn(r, "the daemon cannot be started yet");
	return try_again(h, PATIENCE_NOT_STARTED) == 0 ? -1 : 1;
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
	if (h->child && h->ready)
		ask_to_hand_over(h);
	else if (h->child || !h->kept.count)
		h->asked = true;
	else if (new_one_agrees(h))
		be_new(h);
}

/* The exit status, or -1. */
static int on_stop(struct holder *h, int sig)
{
	bool again = h->stopping;

	h->stopping = true;
	if (!h->child) {
		let_go(h);
		return 0;
	}
	if (again)
		kill(h->child, sig);
	else
		tell_to_end(h, sig, h->conf->stop_ms, "it has not ended");
	return -1;
}

static int on_signal(struct holder *h)
{
	struct signalfd_siginfo info;

	if (read(h->signals, &info, sizeof(info)) != sizeof(info))
		return -1;
	switch (info.ssi_signo) {
	case SIGCHLD:
		return reap(h);
	case SIGHUP:
	case SIGUSR2:
		if (!h->stopping)
			on_upgrade(h);
		return -1;
	default:
		return on_stop(h, (int)info.ssi_signo);
	}
}

/* ---- all of it ---- */

static int begin(struct holder *h)
{
	sigset_t heeded;
	int r = successor_find(h->program);

	prctl(PR_SET_NAME, "mfs-holder");
	h->image = h->program;
	h->watch_ms = find_watch_ms(h);
	h->served_once = holder_resumes(getenv);
	kept_take_passed(&h->kept, getenv);
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
	r = kept_move_up(&h->signals);
	if (r == 0 && notify_heard(&h->above))
		r = kept_move_up(&h->above.fd);
	if (r == 0)
		r = hearing_open(&h->hearing);
	if (r < 0)
		return r;
	if (!h->served_once)
		return start(h);
	h->due_ms = clock_ms(); /* one that cannot be started yet is no end */
	return 0;
}

/* Something is due. The exit status, or -1. Who slept himself waits once more: the daemon may have
 * slept, too. */
static int on_time(struct holder *h)
{
	bool late = clock_ms() - h->kill_ms > LATE_MS;

	if (!h->child)
		return start_due(h);
	if (late && h->ready && h->watch_ms)
		feed(h);
	else if (late)
		expect_it(h);
	take_messages(h);
	if (clock_ms() < h->kill_ms)
		return -1;
	log_err(0, "the daemon is killed: %s", h->why);
	h->kill_ms = 0;
	kill(h->child, SIGKILL);
	return -1;
}

static int hold(struct holder *h)
{
	struct pollfd p[] = {
		{ .fd = h->hearing.socket, .events = POLLIN },
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
	struct holder h = { .conf = conf, .signals = -1, .hearing = { -1, -1 } };
	int status = 1, r = notify_open(&h.above, getenv);

	if (r == 0)
		r = begin(&h);
	if (r < 0)
		log_err(r, "the daemon cannot be started");
	else
		status = hold(&h);
	let_go(&h);
	notify_close(&h.above);
	hearing_close(&h.hearing);
	closep(&h.signals);
	return status;
}
