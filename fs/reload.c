/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/reload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/why.h"
#include "fs/secret.h"

struct reload {
	struct reload_conf conf;
	pthread_t thread;
	atomic_bool stop;
};

/* Where it is mounted is what readers hold on to. */
static int check_place(const struct options *now, const struct options *fresh, struct buf *why)
{
	const char *here = now->mountpoint ? now->mountpoint : "";
	const char *there = fresh->mountpoint ? fresh->mountpoint : "";

	if (strcmp(here, there) == 0)
		return 0;
	return complain(why, "another mount point, \"%s\", needs a restart", there);
}

static int look(const struct reload *r, struct buf *why)
{
	CLEANUP(freep) struct settings *fresh = calloc(1, sizeof(*fresh));
	int rc;

	if (!fresh)
		return -ENOMEM;
	rc = settings_read(fresh, r->conf.argc, r->conf.argv, why);
	if (rc == 0)
		rc = check_place(&r->conf.now->options, &fresh->options, why);
	settings_fini(fresh);
	return rc;
}

static void heed(const struct reload *r)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	int rc = look(r, &why);

	secret_hide(&why);
	if (rc < 0)
		log_line(LOG_LEVEL_ERR, NULL, "the configuration stays as it was: %s",
			 why.len ? buf_str(&why) : err_text(rc));
	else
		r->conf.right(r->conf.arg);
}

static void *run(void *arg)
{
	struct reload *r = arg;
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	while (sigwait(&set, &sig) == 0 && !r->stop)
		heed(r);
	return NULL;
}

int reload_start(const struct reload_conf *conf, struct reload **ret)
{
	struct reload *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	r->conf = *conf;
	rc = thread_start(&r->thread, "mfs-reload", run, r);
	if (rc < 0)
		free(r);
	else
		*ret = r;
	return rc;
}

bool reload_stop(struct reload *r, int64_t deadline_ms)
{
	const struct timespec until = {
		.tv_sec = deadline_ms / 1000,
		.tv_nsec = deadline_ms % 1000 * 1000000,
	};

	if (!r)
		return true;
	r->stop = true;
	pthread_kill(r->thread, SIGHUP);
	if (pthread_clockjoin_np(r->thread, NULL, CLOCK_MONOTONIC, &until) != 0)
		return false;
	free(r);
	return true;
}
