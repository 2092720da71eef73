/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/reload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/err.h"
#include "daemon/base/listen.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/why.h"
#include "fs/secret.h"

struct reload {
	struct reload_conf conf;
	pthread_t thread;
	struct lock lock;
	struct cond over;
	bool stop, ended;
};

/* Where it is mounted is what readers hold on to, and what they have open lies in the cache. */
static int check_place(const struct options *now, const struct options *fresh, struct buf *why)
{
	const char *here = now->mountpoint ? now->mountpoint : "";
	const char *there = fresh->mountpoint ? fresh->mountpoint : "";

	if (strcmp(here, there) != 0)
		return complain(why, "another mount point, \"%s\", needs a restart", there);
	if (strcmp(now->cache, fresh->cache) != 0)
		return complain(why, "another cache, \"%s\", needs a restart", fresh->cache);
	return 0;
}

static const char *whole_of(const char *address)
{
	return address;
}

static const char *port_of(const char *address)
{
	return strrchr(address, ':');
}

/* Whether an address that we have is the same in that part. */
static bool is_ours(const struct options *now, const char *address,
		    const char *(*part)(const char *address))
{
	const char *const ours[] = { now->control_listen, now->nfs, now->peer.listen };

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (ours[i] && strcmp(part(ours[i]), part(address)) == 0)
			return true;
	return false;
}

/* One that is taken by ourselves, on another address, is had when we have let go of it. */
static int check_address(const struct options *now, const char *fresh, struct buf *why)
{
	CLEANUP(buf_free) struct buf said = { 0 };
	CLEANUP(closep) int fd = -1;

	if (!fresh || is_ours(now, fresh, whole_of))
		return 0;
	fd = listen_address(fresh, &said);
	if (fd >= 0 || (fd == -EADDRINUSE && is_ours(now, fresh, port_of)))
		return 0;
	buf_add_str(why, buf_str(&said));
	return fd;
}

/* What --check does not look at, as it does not know what is ours. */
static int check_addresses(const struct options *now, const struct options *fresh, struct buf *why)
{
	int r = check_address(now, fresh->control_listen, why);

	if (r == 0)
		r = check_address(now, fresh->nfs, why);
	return r < 0 ? r : check_address(now, fresh->peer.listen, why);
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
	if (rc == 0)
		rc = check_addresses(&r->conf.now->options, &fresh->options, why);
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

static bool is_stopped(struct reload *r)
{
	bool stop;

	lock_take(&r->lock);
	stop = r->stop;
	lock_drop(&r->lock);
	return stop;
}

static void *run(void *arg)
{
	struct reload *r = arg;
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	while (sigwait(&set, &sig) == 0 && !is_stopped(r))
		heed(r);
	lock_take(&r->lock);
	r->ended = true;
	cond_wake_all(&r->over);
	lock_drop(&r->lock);
	return NULL;
}

static void drop(struct reload *r)
{
	cond_fini(&r->over);
	lock_fini(&r->lock);
	free(r);
}

int reload_start(const struct reload_conf *conf, struct reload **ret)
{
	struct reload *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	r->conf = *conf;
	lock_init(&r->lock, LOCK_RELOAD);
	cond_init(&r->over);
	rc = thread_start(&r->thread, "mfs-reload", run, r);
	if (rc < 0)
		drop(r);
	else
		*ret = r;
	return rc;
}

bool reload_stop(struct reload *r, int64_t deadline_ms)
{
	bool ended;

	if (!r)
		return true;
	lock_take(&r->lock);
	r->stop = true;
	pthread_kill(r->thread, SIGHUP);
	while (!r->ended && cond_wait(&r->over, &r->lock, deadline_ms) == 0)
		continue;
	ended = r->ended;
	lock_drop(&r->lock);
	if (!ended)
		return false;
	pthread_join(r->thread, NULL);
	drop(r);
	return true;
}
