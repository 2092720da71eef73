/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/mountinfo.h"
#include "fs/ops.h"
#include "fs/unmount.h"

/* The kernel reads ahead 128 KiB of a FUSE file by default, two requests at a time; a model load
 * wants many large ones under way (measured: docs/benchmarks.md). */
#define READ_AHEAD_KB "8192"
#define WORKERS_MAX 8

struct mount {
	struct mount_conf conf;
	struct fuse_session *session;
	pthread_t announcer;
	bool announcing;
	bool mounted; /* and is to be taken away at the end */
};

/* For the signal handler. */
static _Atomic(struct fuse_session *) serving;
static atomic_bool go_on_asked, hand_over_asked, others_asked, end_asked;

/* ---- mount points ---- */

static int refuse_live_mount(const char *mountpoint, struct buf *why)
{
	CLEANUP(freep) struct mountinfo *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	if (!mountinfo_find(mountpoint, l) || strncmp(l->type, "fuse", 4) != 0)
		return 0; /* none, or a volume prepared for us: mounting over it is fine */
	buf_printf(why,
		   "%s is in use: a %s file system is mounted there and answers; unmount it "
		   "first (umount %s)",
		   mountpoint, l->type, mountpoint);
	return -EBUSY;
}

static int recover_stale(const char *mountpoint, struct buf *why)
{
	int r = unmount_detach(mountpoint);

	if (r < 0) {
		buf_printf(why,
			   "%s is the mount of a process that died, and cannot be taken away: "
			   "%s; run: umount -l %s",
			   mountpoint, err_text(r), mountpoint);
		return r;
	}
	log_info("took away the stale mount of a dead process mountpoint=%s", mountpoint);
	return 0;
}

/* Asks the file system's process: attributes of its root may be the kernel's own memory. */
static bool is_stale(const char *mountpoint)
{
	struct statvfs fs;

	return statvfs(mountpoint, &fs) < 0 && errno == ENOTCONN;
}

static int check(const char *mountpoint, struct buf *why)
{
	struct stat st;
	int r;

	if (is_stale(mountpoint)) {
		r = recover_stale(mountpoint, why);
		if (r < 0)
			return r;
	}
	if (stat(mountpoint, &st) < 0) {
		r = -errno;
		buf_printf(why, "the mount point %s cannot be used: %s%s", mountpoint, err_text(r),
			   r == -ENOENT ? "; make it with mkdir" : "");
		return r;
	}
	if (!S_ISDIR(st.st_mode)) {
		buf_printf(why, "the mount point %s is not a directory", mountpoint);
		return -ENOTDIR;
	}
	return refuse_live_mount(mountpoint, why);
}

/* One that is stale cannot be resolved: it is taken as given. */
int mount_find(const char *given, char **ret, struct buf *why)
{
	char cwd[PATH_MAX];

	*ret = realpath(given, NULL);
	if (*ret)
		return check(*ret, why);
	if (given[0] == '/')
		*ret = strdup(given);
	else if (!getcwd(cwd, sizeof(cwd)) || asprintf(ret, "%s/%s", cwd, given) < 0)
		*ret = NULL;
	return *ret ? check(*ret, why) : -ENOMEM;
}

/* ---- the session ---- */

static int make_args(const struct mount_conf *conf, struct fuse_args *ret)
{
	CLEANUP(buf_free) struct buf o = { 0 };

	buf_add_str(&o, "-ofsname=matrixfs,subtype=matrixfs");
	if (conf->allow_other)
		buf_add_str(&o, ",allow_other");
	if (conf->read_only)
		buf_add_str(&o, ",ro");
	if (conf->options && conf->options[0])
		buf_printf(&o, ",%s", conf->options);
	if (o.failed || fuse_opt_add_arg(ret, "matrixfs") < 0 || fuse_opt_add_arg(ret, o.data) < 0)
		return -ENOMEM;
	return 0;
}

static const char *advice(void)
{
	if (access("/dev/fuse", F_OK) < 0)
		return "/dev/fuse is missing: load the fuse module, or give it to the container";
	if (geteuid() != 0)
		return "without root, fusermount3 must be installed, and allow-other needs "
		       "user_allow_other in /etc/fuse.conf";
	return "the message above says why";
}

static int new_session(struct mount *m)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_lowlevel_ops table;
	int r = make_args(&m->conf, &args);

	ops_table(&table);
	if (r == 0) {
		m->session = fuse_session_new(&args, &table, sizeof(table), m->conf.ops);
		if (!m->session)
			r = -EINVAL;
	}
	fuse_opt_free_args(&args);
	return r;
}

/* Mounts, and makes the first exchange here, so that it can be told to the next process. */
static int mount_anew(struct mount *m)
{
	struct handshake h;
	int r;

	if (fuse_session_mount(m->session, m->conf.mountpoint) < 0)
		return -EPERM;
	m->mounted = true;
	r = handshake_make(m->session, &h);
	if (r == 0)
		takeover_give(m->conf.takeover, fuse_session_fd(m->session), &h, m->conf.asked,
			      m->conf.mountpoint);
	return r;
}

/* Goes on with the mount of the process before. Whatever that was asked and did not answer comes
 * again. */
static int mount_taken(struct mount *m, struct buf *why)
{
	struct takeover *t = m->conf.takeover;
	char where[32];
	int r;

	m->mounted = true;
	/* A number for the session's descriptor, which the exchange puts the kernel's on. */
	snprintf(where, sizeof(where), "/dev/fd/%d", open("/dev/null", O_RDWR | O_CLOEXEC));
	if (fuse_session_mount(m->session, where) < 0)
		return -EINVAL;
	r = handshake_repeat(m->session, t->handshake, t->fd, why);
	return r < 0 ? r : handshake_resend(t->fd);
}

static int open_session(struct mount *m, struct buf *why)
{
	bool taken = m->conf.takeover->fd >= 0;
	int r = new_session(m);

	if (r == 0 && fuse_set_signal_handlers(m->session) < 0)
		r = -EINVAL;
	if (r == 0)
		r = taken ? mount_taken(m, why) : mount_anew(m);
	if (r == 0)
		m->conf.ops->session = m->session;
	else if (taken && !why->len)
		buf_printf(why, "cannot take over the mount on %s: %s", m->conf.mountpoint,
			   err_text(r));
	else if (!taken)
		buf_printf(why, "cannot mount on %s: %s", m->conf.mountpoint, advice());
	return r;
}

/* Kernel settings that only take effect after the first exchange with the kernel. */
static void raise_read_ahead(const struct statx *st)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", st->stx_dev_major,
		 st->stx_dev_minor);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, READ_AHEAD_KB, strlen(READ_AHEAD_KB)) < 0)
		log_info("the kernel's readahead stays as it is: cannot write %s", path);
	closep(&fd);
}

/* The kernel answers by itself: a thread that waits inside would outlive a kill. */
static void *announce(void *arg)
{
	struct mount *m = arg;
	struct handshake *h = m->conf.takeover->handshake; /* NULL: nobody holds it */
	struct statx st;

	if (!h || !h->set_up) {
		if (statx(AT_FDCWD, m->conf.mountpoint, AT_STATX_DONT_SYNC, 0, &st) < 0)
			return NULL; /* unmounted already */
		raise_read_ahead(&st);
	}
	if (h)
		h->set_up = 1;
	m->conf.ready(m->conf.arg);
	return NULL;
}

int mount_open(const struct mount_conf *conf, struct mount **ret, struct buf *why)
{
	struct mount *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->conf = *conf;
	r = open_session(m, why);
	if (r == 0) {
		r = thread_start(&m->announcer, "mfs-ready", announce, m);
		m->announcing = r == 0;
	}
	if (r < 0) {
		mount_close(m);
		return r;
	}
	*ret = m;
	return 0;
}

/* ---- serving, and its end ---- */

/* SIGUSR2: others wait for the end of this process. SIGUSR1 is its own: two that come together
 * would be one. */
static void on_hand_over(int sig)
{
	struct fuse_session *s = serving;

	if (sig == SIGUSR1 && !go_on_asked)
		return; /* of somebody else, and nobody has looked at the configuration */
	hand_over_asked = true;
	if (sig == SIGUSR2)
		others_asked = true;
	if (s)
		fuse_session_exit(s);
}

/* Until here the signals were blocked. */
static void heed_signals(struct mount *m)
{
	const struct sigaction action = { .sa_handler = on_hand_over };
	sigset_t set;

	serving = m->session;
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void mount_go_on(void)
{
	go_on_asked = true;
	kill(getpid(), SIGUSR1);
}

static void on_late_end(int sig UNUSED)
{
	end_asked = true;
}

/* The process is not ended by them while it leaves. */
static void heed_late_ends(void)
{
	const struct sigaction action = { .sa_handler = on_late_end };

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

bool mount_told_to_end(void)
{
	return end_asked;
}

bool mount_is_awaited(void)
{
	return others_asked;
}

/* What is still under way is for the next process: from here on nothing is told the kernel, and
 * then nothing noted. Between the two an answer may be noted that the kernel does not get, and asks
 * for again: what is counted once too often stays known for longer, that is all. The other way
 * round the kernel would know what the next process does not. */
static int hand_over(struct mount *m)
{
	CLEANUP(closep) int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct takeover *t = m->conf.takeover;
	int r = 0;

	heed_late_ends();
	m->conf.leaving(m->conf.arg);
	if (t->fd < 0)
		t->fd = fcntl(fuse_session_fd(m->session), F_DUPFD_CLOEXEC, 0);
	m->mounted = false;
	if (nowhere < 0 || dup3(nowhere, fuse_session_fd(m->session), O_CLOEXEC) < 0)
		r = -errno;
	if (r == 0)
		r = estate_leave(t->estate);
	if (r == 0)
		return others_asked ? MOUNT_HANDED_OVER : MOUNT_GOES_ON;
	log_warn(r, "the mount is left as it is, as if this process were killed");
	return MOUNT_LEFT;
}

int mount_serve(struct mount *m)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	bool held = m->conf.takeover->held;
	int r;

	if (!config)
		return -ENOMEM;
	/* What was asked through a clone would fail with the process. */
	fuse_loop_cfg_set_clone_fd(config, !held);
	fuse_loop_cfg_set_max_threads(config, WORKERS_MAX);
	fuse_loop_cfg_set_idle_threads(config, WORKERS_MAX); /* starting one costs more than it */
	heed_signals(m);
	r = fuse_session_loop_mt(m->session, config);
	serving = NULL;
	fuse_loop_cfg_destroy(config);
	if (r == 0 && hand_over_asked && held)
		return hand_over(m);
	return r < 0 ? r : 0; /* positive: the signal that ended it */
}

/* Who waits for an answer all the same has one when all have let go of the kernel's descriptor. */
static void take_away_held(struct mount *m)
{
	CLEANUP(closep) int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct takeover *t = m->conf.takeover;

	/* One that could not be taken over may not be the session's yet. */
	takeover_unmount(t, t->fd >= 0 ? t->fd : fuse_session_fd(m->session), m->conf.mountpoint);
	if (nowhere < 0 || dup3(nowhere, fuse_session_fd(m->session), O_CLOEXEC) < 0)
		log_debug("who waits inside does so until the end of the process");
}

static void take_away(struct mount *m)
{
	if (!m->mounted)
		return;
	m->mounted = false;
	if (m->conf.takeover->held)
		take_away_held(m);
	else
		fuse_session_unmount(m->session);
}

void mount_leave(struct mount *m)
{
	if (m)
		take_away(m);
}

void mount_close(struct mount *m)
{
	if (!m)
		return;
	if (m->session) {
		take_away(m);
		m->conf.ops->session = NULL;
		if (m->announcing)
			pthread_join(m->announcer, NULL);
		fuse_remove_signal_handlers(m->session);
		fuse_session_destroy(m->session);
	}
	free(m);
}
