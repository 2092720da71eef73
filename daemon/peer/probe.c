/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/peer/outcome.h"
#include "daemon/peer/peer_call.h"

#define SLACK_MS 1000 /* silence begins to be counted after it: a node may be busy */

struct probe {
	char address[MEMBER_ADDRESS_MAX + 1]; /* "": none */
	bool running;
	struct httpc_cancel cancel;
};

struct probes {
	const struct asker *who;
	struct members *members;
	struct lock lock;
	struct cond wake;
	/* Guarded by lock. */
	struct probe probes[PROBE_MAX];
	pthread_t threads[PROBE_THREADS];
	unsigned thread_count, idle;
	bool stopping;
};

int probes_new(const struct asker *who, struct members *members, struct probes **ret)
{
	struct probes *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->who = who;
	t->members = members;
	lock_init(&t->lock, LOCK_PROBE);
	cond_init(&t->wake);
	*ret = t;
	return 0;
}

/* ---- one probe ---- */

static void ask(struct probes *t, struct probe *probe, struct member *m)
{
	CLEANUP(buf_free) struct buf answer = { 0 };
	struct peer_call e = {
		.member = m,
		.method = "GET",
		.target = PROBE_TARGET,
		.cancel = &probe->cancel,
	};
	int r;

	e.patience_ms = SLACK_MS + member_patience_ms(m, &e.connect_ms);
	r = peer_call_run(&e, t->who, &answer);
	log_debug("tried peer=%s r=%d", member_address(m), r);
	member_note(m, r > 0 ? MEMBER_ANSWERED : outcome_of(outcome_failed(r)), 0, -1, clock_ms());
}

static void run(struct probes *t, struct probe *probe)
{
	const struct membership *members = members_now(t->members);
	int at = membership_find(members, probe->address);

	if (at >= 0)
		ask(t, probe, members->members[at]);
	membership_unref(members);
}

static struct probe *next_locked(struct probes *t)
{
	for (struct probe *probe = t->probes; probe < t->probes + PROBE_MAX; probe++)
		if (*probe->address && !probe->running)
			return probe;
	return NULL;
}

static void *probe_main(void *arg)
{
	struct probes *t = arg;

	lock_take(&t->lock);
	while (!t->stopping) {
		struct probe *probe = next_locked(t);

		if (!probe) {
			t->idle++;
			cond_wait(&t->wake, &t->lock, CLOCK_FOREVER);
			t->idle--;
			continue;
		}
		probe->running = true;
		lock_drop(&t->lock);
		run(t, probe);
		lock_take(&t->lock);
		if (!t->stopping) /* else it is being canceled */
			*probe = (struct probe){ 0 };
	}
	lock_drop(&t->lock);
	return NULL;
}

/* ---- who is to be tried ---- */

static bool is_there_locked(const struct probes *t, const char *address)
{
	for (unsigned i = 0; i < PROBE_MAX; i++)
		if (!strcmp(t->probes[i].address, address))
			return true;
	return false;
}

/* False: nobody can try it. */
static bool put_locked(struct probes *t, const char *address)
{
	if (t->stopping || is_there_locked(t, address))
		return true;
	if (!t->idle && t->thread_count < PROBE_THREADS &&
	    thread_start(&t->threads[t->thread_count], "mfs-probe", probe_main, t) == 0)
		t->thread_count++;
	for (unsigned i = 0; t->thread_count && i < PROBE_MAX; i++) {
		if (*t->probes[i].address)
			continue;
		snprintf(t->probes[i].address, sizeof(t->probes[i].address), "%s", address);
		cond_wake_one(&t->wake);
		break;
	}
	return t->thread_count;
}

bool probes_take(struct probes *t, struct member *m)
{
	bool taken;

	if (!member_is_doubted(m))
		return false;
	lock_take(&t->lock);
	taken = put_locked(t, member_address(m));
	lock_drop(&t->lock);
	return taken;
}

void probes_meet(struct probes *t, const struct member *m)
{
	lock_take(&t->lock);
	(void)put_locked(t, member_address(m));
	lock_drop(&t->lock);
}

void probes_free(struct probes *t)
{
	if (!t)
		return;
	lock_take(&t->lock);
	t->stopping = true;
	cond_wake_all(&t->wake);
	lock_drop(&t->lock);
	for (unsigned i = 0; i < PROBE_MAX; i++)
		httpc_cancel(t->who->http, &t->probes[i].cancel);
	for (unsigned i = 0; i < t->thread_count; i++)
		pthread_join(t->threads[i], NULL);
	cond_fini(&t->wake);
	lock_fini(&t->lock);
	free(t);
}
