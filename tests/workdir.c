/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/workdir.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"

void workdir_init(struct workdir *p)
{
	char *made;

	strcpy(p->path, "/tmp/matrixfs-test-XXXXXX");
	made = mkdtemp(p->path);
	assert(made);
	p->dirfd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(p->dirfd >= 0);
}

static int remove_one(const char *path, UNUSED const struct stat *st, UNUSED int kind,
		      UNUSED struct FTW *ftw)
{
	return remove(path);
}

void workdir_fini(struct workdir *p)
{
	close(p->dirfd);
	nftw(p->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int workdir_setup(void **state)
{
	struct workdir *p = calloc(1, sizeof(*p));

	if (!p)
		return -1;
	workdir_init(p);
	*state = p;
	return 0;
}

int workdir_teardown(void **state)
{
	workdir_fini(*state);
	free(*state);
	return 0;
}

static void wake(struct waiter *w, int r)
{
	struct parked *p = container_of(w, struct parked, waiter);

	lock_take(&p->lock);
	p->woken++;
	p->result = r;
	cond_wake_all(&p->cond);
	lock_drop(&p->lock);
}

void parked_init(struct parked *p, int64_t timeout_ms)
{
	*p = (struct parked){ .woken = 0 };
	lock_init(&p->lock, LOCK_TEST);
	cond_init(&p->cond);
	waiter_init(&p->waiter, timeout_ms, wake);
}

void parked_fini(struct parked *p)
{
	cond_fini(&p->cond);
	lock_fini(&p->lock);
}

int parked_woken(struct parked *p)
{
	int woken;

	lock_take(&p->lock);
	woken = p->woken;
	lock_drop(&p->lock);
	return woken;
}

int parked_wait(struct parked *p)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;
	int r;

	lock_take(&p->lock);
	while (!p->woken && cond_wait(&p->cond, &p->lock, deadline) == 0)
		;
	r = p->woken ? p->result : -ETIME;
	lock_drop(&p->lock);
	return r;
}
