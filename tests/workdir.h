/* SPDX-License-Identifier: Apache-2.0 */
/* An empty directory for one test, and a request that can be waited for: what most tests of the
 * core need beside the module they are about. */
#ifndef MATRIXFS_WORKDIR_H
#define MATRIXFS_WORKDIR_H

#include "daemon/base/lock.h"
#include "daemon/base/wait.h"

#define PARKED_WAIT_MS 10000 /* no test waits longer for anything */
#define WORKDIR_PATH_MAX 64

struct workdir {
	char path[WORKDIR_PATH_MAX];
	int dirfd;
};

void workdir_init(struct workdir *p);
/* Removes the directory with all that is in it. */
void workdir_fini(struct workdir *p);
/* The same as cmocka fixtures: *state is a struct workdir. */
int workdir_setup(void **state);
int workdir_teardown(void **state);

/* A parked request; its thread sleeps until it is woken. */
struct parked {
	struct waiter waiter;
	struct lock lock;
	struct cond cond;
	/* Guarded by lock. */
	int woken; /* how often */
	int result;
};

void parked_init(struct parked *p, int64_t timeout_ms);
void parked_fini(struct parked *p);
/* How often it was woken until now. */
int parked_woken(struct parked *p);
/* Waits until it is woken and returns its result; -ETIME if that does not happen. */
int parked_wait(struct parked *p);

#endif
