/* SPDX-License-Identifier: Apache-2.0 */
/* An empty directory for one test, and a request that can be waited for: what most tests of the core
 * need beside the module they are about. */
#ifndef MATRIXFS_TESTS_PLACE_H
#define MATRIXFS_TESTS_PLACE_H

#include "daemon/base/lock.h"
#include "daemon/base/wait.h"

#define PLACE_WAIT_MS 10000 /* no test waits longer for anything */
#define PLACE_PATH_MAX 64

struct place {
	char path[PLACE_PATH_MAX];
	int dirfd;
};

void place_init(struct place *p);
/* Removes the directory with all that is in it. */
void place_fini(struct place *p);
/* The same as cmocka fixtures: *state is a struct place. */
int place_setup(void **state);
int place_teardown(void **state);

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
