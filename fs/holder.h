/* SPDX-License-Identifier: Apache-2.0 */
/* A small process that starts the daemon, holds for it what it is to leave to the next one
 * (takeover.h), and starts that: at once when the daemon hands over, with patience when it dies. To
 * the daemon it is what a service manager would be. No threads. */
#ifndef MATRIXFS_HOLDER_H
#define MATRIXFS_HOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/notify.h"

/* The daemon's exit status when it wants to be started again. */
#define HOLDER_AGAIN 3

/* What is right for a daemon that people use. Who runs the holder waits longer for its end: Docker
 * 30 seconds, as we tell it, Kubernetes 60. */
#define HOLDER_STOP_MS 20000
#define HOLDER_WATCH_MS 60000
#define HOLDER_START_MS 300000 /* as TimeoutStartSec in the unit */

struct holder_conf {
	char *const *argv;        /* of the daemon, which is this program */
	const char *mountpoint;   /* taken away when there is nobody who serves it */
	void (*ready)(void *arg); /* the daemon serves; called once */
	void *arg;
	int64_t stop_ms;  /* one that does not end so long after it was told to is killed */
	int64_t watch_ms; /* so is one that serves and does not say for so long that it is well */
	int64_t start_ms; /* and one that does not come to serve within it */
};

/* True if this process is a holder that was replaced by a new version of itself. */
bool holder_resumes(notify_env *env);
/* Holds until the daemon ends for good: SIGTERM and SIGINT are given on to it. At SIGUSR2 or SIGHUP
 * it hands over, and the new version of both goes on, if that can begin. Where a manager watches
 * this process (WATCHDOG_USEC), it hears of the daemon's health, and no other watch is kept; where
 * there is none, WATCHDOG_USEC, if set, is the time in place of watch_ms. Returns the exit
 * status. */
int holder_run(const struct holder_conf *conf);

#endif
