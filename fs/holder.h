/* SPDX-License-Identifier: Apache-2.0 */
/* A small process that starts the daemon, holds for it what it is to leave to the next one
 * (takeover.h), and starts that: at once when the daemon hands over, with patience when it dies. To
 * the daemon it is what a service manager would be. No threads. */
#ifndef MATRIXFS_HOLDER_H
#define MATRIXFS_HOLDER_H

#include <stdbool.h>

#include "daemon/base/notify.h"

/* The daemon's exit status when it wants to be started again. */
#define HOLDER_AGAIN 3

struct holder_conf {
	char *const *argv;        /* of the daemon, which is this program */
	const char *mountpoint;   /* taken away when there is nobody who serves it */
	void (*ready)(void *arg); /* the daemon serves; called once */
	void *arg;
};

/* True if this process is a holder that was replaced by a new version of itself. */
bool holder_resumes(notify_env *env);
/* Holds until the daemon ends for good: SIGTERM, SIGINT and SIGHUP are given on to it, as is
 * SIGUSR2, after which the new version of both goes on. Returns the exit status. */
int holder_run(const struct holder_conf *conf);

#endif
