/* SPDX-License-Identifier: Apache-2.0 */
/* SIGHUP: the configuration is looked at again, while all goes on. What is wrong with it goes to
 * the log, and no further. A thread waits for the signal, which must be blocked in all others. */
#ifndef MATRIXFS_FS_RELOAD_H
#define MATRIXFS_FS_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/own.h"
#include "fs/settings.h"

struct reload;

struct reload_conf {
	int argc;
	char *const *argv;
	const struct settings *now; /* what it runs with; borrowed */
	/* All is right: on the thread, each time. */
	void (*right)(void *arg);
	void *arg;
};

/* -EAGAIN, -ENOMEM. */
MUST_USE int reload_start(const struct reload_conf *conf, struct reload **ret);
/* Stops listening, and frees. False if it reads something still at deadline_ms (clock_ms()): then
 * what it borrowed must stay. NULL is none. */
MUST_USE bool reload_stop(struct reload *r, int64_t deadline_ms);

#endif
