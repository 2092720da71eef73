/* SPDX-License-Identifier: Apache-2.0 */
/* The life of this process as the service manager sees it: when it is ready, what it is doing, and
 * that it is well, which is looked at again and again on a thread of its own. Whoever is not looked
 * after by a manager has none: NULL, with which all of this does nothing. */
#ifndef MATRIXFS_PULSE_H
#define MATRIXFS_PULSE_H

#include "daemon/base/buf.h"
#include "daemon/base/notify.h"

struct pulse;

struct pulse_conf {
	notify_env *env; /* getenv */
	/* 0 if the process does what it is for, asked as one who wants that of it. Else, and as
	 * long as it does not return, the manager hears nothing, and ends the process in the end:
	 * which it cannot while a thread waits in the kernel for this very process. From
	 * pulse_ready on. */
	int (*check)(void *arg);
	/* Appends what it is doing, one line. Both on the pulse's thread, no lock held. */
	void (*tell)(void *arg, struct buf *ret);
	void *arg;
	/* For so long at most it is said to be well before pulse_ready, too: the manager's watchdog
	 * runs on while a process begins anew. 0: it is not. */
	int64_t begin_ms;
};

/* *ret is NULL if nobody looks after this process. -EINVAL (NOTIFY_SOCKET), -ENOMEM, -EAGAIN. */
MUST_USE int pulse_start(const struct pulse_conf *conf, struct pulse **ret);
/* It serves from now on. Any thread. */
void pulse_ready(struct pulse *p);
/* It is about to end: no check is begun any more, one may be under way. */
void pulse_stopping(struct pulse *p);
/* Likewise, but the same process is to be ready again, and is well until it begins. */
void pulse_reloading(struct pulse *p);
/* Frees, after one of them. False if a check has not ended at deadline_ms (clock_ms()): then all
 * stays, and what checks use must, too. NULL is none. */
MUST_USE bool pulse_free(struct pulse *p, int64_t deadline_ms);

#endif
