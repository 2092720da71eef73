/* SPDX-License-Identifier: Apache-2.0 */
/* What is said to the service manager, and what it gave: the protocol of sd_notify(3), whose other
 * end need not be systemd. Where none listens all succeeds and nothing is sent. Threads: any. */
#ifndef MATRIXFS_NOTIFY_H
#define MATRIXFS_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "daemon/base/own.h"

#define NOTIFY_FDS_MAX 64       /* in one call of notify_keep_fds */
#define NOTIFY_MESSAGE_MAX 2048 /* bytes of one message */
#define NOTIFY_FIRST_PASSED 3   /* descriptors that are passed lie from here on */

struct notify {
	int fd; /* -1: nobody listens */
	struct sockaddr_un to;
	unsigned to_len;
};

/* Where a variable of the environment stands: getenv, or a test's. */
typedef char *notify_env(const char *name);

/* Begins, with what NOTIFY_SOCKET says: a path, or '@' and an abstract name. 0, also if it is not
 * set; -EINVAL if it is neither; -ENAMETOOLONG; what socket(2) says. After a failure, too, the rest
 * may be called and says nothing. notify_close ends it. */
MUST_USE int notify_open(struct notify *n, notify_env *env);
void notify_close(struct notify *n);
/* True if somebody listens. */
bool notify_heard(const struct notify *n);

/* These send one message. 0 or -errno; a manager that does not read delays them by a second at
 * most (-EAGAIN).
 * It serves now: the first time, and after notify_reloading. */
int notify_ready(const struct notify *n);
/* One line about what it is doing. */
int notify_status(const struct notify *n, const char *line);
/* It is well: to be said more often than notify_watchdog_ms. */
int notify_alive(const struct notify *n);
/* It reads its configuration again; notify_ready is to follow. */
int notify_reloading(const struct notify *n);
int notify_stopping(const struct notify *n);
/* From now on another process is the service. */
int notify_main_pid(const struct notify *n, int pid);
/* Gives the manager copies of 1 ... NOTIFY_FDS_MAX descriptors, which the next process of the
 * service gets (notify_passed): name is of at most 255 bytes, none of them ':' or a control byte.
 * -EINVAL if it is not so. With poll the manager lets go of those that end (EPOLLHUP, EPOLLERR). */
int notify_keep_fds(const struct notify *n, const char *name, const int *fds, size_t count,
		    bool poll);
/* Takes those of that name away again. */
int notify_drop_fds(const struct notify *n, const char *name);

/* Within how many milliseconds the manager wants to hear notify_alive (WATCHDOG_USEC, of this
 * process); 0: it does not. */
int64_t notify_watchdog_ms(notify_env *env);
/* The descriptor that is the nth, from 0, of those of that name (NULL: of all) that the manager
 * passed to this process (LISTEN_FDS): sockets of the service, and what was kept for it. Close on
 * exec from now on; it stays the caller's. -ENOENT: there is none. */
MUST_USE int notify_passed(notify_env *env, const char *name, unsigned nth);

#endif
