/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "fs/ops.h"

/* The kernel reads ahead 128 KiB of a FUSE file by default, two requests at a time; a model load
 * wants many large ones under way (measured: docs/benchmarks.md). */
#define READ_AHEAD_KB "8192"
#define WORKERS_MAX 8
#define MOUNTINFO_MAX (16 << 20)

struct mount {
	struct mount_conf conf;
	struct fuse_session *session;
	pthread_t announcer;
	bool announcing;
};

/* ---- mount points ---- */

/* Undoes the \\ooo in which mountinfo(5) writes blanks and backslashes. */
static void unescape(char *text)
{
	char *to = text;

	while (*text) {
		if (text[0] == '\\' && text[1] && text[2] && text[3]) {
			*to++ = (char)((text[1] & 7) << 6 | (text[2] & 7) << 3 | (text[3] & 7));
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

/* Finds the last mount on this path in mountinfo(5) text; copies its type. */
static bool find_mount(const char *text, const char *path, char *type, size_t cap)
{
	bool found = false;

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		char where[4096], what[64];
		const char *dash;

		line += *line == '\n';
		dash = strstr(line, " - ");
		if (sscanf(line, "%*d %*d %*s %*s %4095s", where) != 1)
			continue;
		unescape(where);
		if (strcmp(where, path) != 0)
			continue;
		if (dash && sscanf(dash, " - %63s", what) == 1) {
			snprintf(type, cap, "%s", what);
			found = true;
		}
	}
	return found;
}

static int refuse_live_mount(const char *mountpoint, struct buf *why)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	char type[64];
	int r = file_read_all(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text);

	if (r < 0 || !find_mount(buf_str(&text), mountpoint, type, sizeof(type)))
		return 0;
	if (strncmp(type, "fuse", 4) != 0)
		return 0; /* a volume prepared for us: mounting over it is fine */
	buf_printf(why,
		   "%s is in use: a %s file system is mounted there and answers; unmount it "
		   "first (umount %s)",
		   mountpoint, type, mountpoint);
	return -EBUSY;
}

/* Runs `fusermount3 -u -z`, which may unmount for users without the right to. */
static int helper_unmount(const char *mountpoint)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execlp("fusermount3", "fusermount3", "-u", "-z", "-q", "--", mountpoint,
		       (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

static int detach(const char *mountpoint)
{
	if (umount2(mountpoint, MNT_DETACH) == 0)
		return 0;
	return errno == EPERM ? helper_unmount(mountpoint) : -errno;
}

static int recover_stale(const char *mountpoint, struct buf *why)
{
	int r = detach(mountpoint);

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

int mount_check(const char *mountpoint, struct buf *why)
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

static int open_session(struct mount *m, struct buf *why)
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
	if (r == 0 && fuse_set_signal_handlers(m->session) < 0)
		r = -EINVAL;
	if (r == 0 && fuse_session_mount(m->session, m->conf.mountpoint) < 0)
		r = -EPERM;
	if (r < 0)
		buf_printf(why, "cannot mount on %s: %s", m->conf.mountpoint, advice());
	else
		m->conf.ops->session = m->session;
	return r;
}

/* Kernel settings that only take effect after the first exchange with the kernel. */
static void raise_read_ahead(dev_t dev)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(dev), minor(dev));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, READ_AHEAD_KB, strlen(READ_AHEAD_KB)) < 0)
		log_info("the kernel's readahead stays as it is: cannot write %s", path);
	closep(&fd);
}

static void *announce(void *arg)
{
	struct mount *m = arg;
	struct stat st;

	if (stat(m->conf.mountpoint, &st) < 0)
		return NULL; /* unmounted before it ever answered */
	raise_read_ahead(st.st_dev);
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

int mount_serve(struct mount *m)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int r;

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(config, 1);
	fuse_loop_cfg_set_max_threads(config, WORKERS_MAX);
	fuse_loop_cfg_set_idle_threads(config, WORKERS_MAX); /* starting one costs more than it */
	r = fuse_session_loop_mt(m->session, config);
	fuse_loop_cfg_destroy(config);
	return r < 0 ? r : 0; /* positive: the signal that ended it */
}

void mount_leave(struct mount *m)
{
	if (m)
		fuse_session_unmount(m->session);
}

void mount_close(struct mount *m)
{
	if (!m)
		return;
	if (m->session) {
		m->conf.ops->session = NULL;
		fuse_session_unmount(m->session);
		if (m->announcing)
			pthread_join(m->announcer, NULL);
		fuse_remove_signal_handlers(m->session);
		fuse_session_destroy(m->session);
	}
	free(m);
}
