/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/verify_givers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/peer/verify_thread.h"

/* A chunk that a member gave. */
struct question {
	struct verify_givers *all;
	bool taken; /* guarded by the lock of all; while it is, the rest is the thread's */
	struct source_blob what; /* its path is owned */
	char *path;
	char member[MEMBER_ADDRESS_MAX + 1];
	uint32_t chunk;
	uint8_t gave[CHUNK_LIST_DIGEST];
};

struct verify_givers {
	const struct verify_conf *conf; /* set before the thread starts */
	struct verify_thread thread;
	struct question of[VERIFY_GIVERS_MAX]; /* guarded by the thread's lock */
};

/* ---- asking ---- */

static void ban(const struct question *q, struct member *m)
{
	struct blame one = { 0 };

	blame_add(&one, q->member, "wrong bytes", true, q->chunk);
	blame_tell(&one.of[0], true, &q->what);
	member_note(m, MEMBER_LIED, 0, -1, clock_ms());
}

/* Who contradicts a list that turns out to be wrong may well vouch for that. */
static bool is_list_wrong(const struct question *q)
{
	return digest_lists_is_refuted(q->all->conf->lists, q->what.etag);
}

static void ask(struct question *q, struct httpc_cancel *cancel)
{
	const struct verify_conf *conf = q->all->conf;
	const struct membership *members = members_now(conf->members);
	const struct digest_questions by = {
		.asker = conf->asker,
		.members = members,
		.what = &q->what,
		.answers = conf->answers,
		.cancel = cancel,
		.counts = conf->counts,
	};
	int at = membership_find(members, q->member);

	if (at >= 0 && digest_questions_is_to_blame(&by, (uint32_t)at, q->chunk, q->gave) &&
	    !is_list_wrong(q)) {
		ban(q, members->members[at]);
		if (is_list_wrong(q)) /* who was blamed by it has just been forgiven */
			(void)members_forgive(conf->members, q->member);
	}
	membership_unref(members);
}

static void leave_locked(struct question *q)
{
	free(steal(q->path));
	q->taken = false;
}

static void work(void *arg, uint64_t number UNUSED)
{
	struct question *q = arg;
	struct verify_givers *g = q->all;
	struct httpc_cancel *cancel = verify_thread_take_cancel(&g->thread);

	ask(q, cancel);
	verify_thread_give_cancel(&g->thread, cancel);
	lock_take(&g->thread.lock);
	leave_locked(q);
	lock_drop(&g->thread.lock);
}

/* ---- from outside ---- */

/* Where another one may be put; NULL: its member is asked already, or there is no room. */
static struct question *place_locked(struct verify_givers *g, const char *member)
{
	struct question *free_one = NULL;

	for (struct question *q = g->of; q < g->of + VERIFY_GIVERS_MAX; q++) {
		if (q->taken && strcmp(q->member, member) == 0)
			return NULL;
		if (!q->taken)
			free_one = q;
	}
	return free_one;
}

static void put_locked(struct verify_givers *g, struct question *q, const struct source_refused *r)
{
	const struct work job = { .fn = work, .arg = q };

	*q = (struct question){ .all = g, .what = *r->what, .chunk = r->chunk };
	q->what.path = q->path = strdup(r->what->path);
	snprintf(q->member, sizeof(q->member), "%s", r->member);
	memcpy(q->gave, r->gave, sizeof(q->gave));
	q->taken = q->path && verify_thread_add_locked(&g->thread, &job);
	if (!q->taken)
		leave_locked(q);
}

void verify_givers_add(struct verify_givers *g, const struct source_refused *r)
{
	struct question *q;

	lock_take(&g->thread.lock);
	q = g->thread.workers ? place_locked(g, r->member) : NULL;
	if (q)
		put_locked(g, q, r);
	lock_drop(&g->thread.lock);
}

int verify_givers_new(struct verify_givers **ret)
{
	struct verify_givers *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	verify_thread_init(&g->thread, LOCK_VERIFY_GIVERS);
	*ret = g;
	return 0;
}

int verify_givers_start(struct verify_givers *g, const struct verify_conf *conf, struct httpc *http)
{
	g->conf = conf;
	return verify_thread_start(&g->thread, "mfs-givers", VERIFY_THREADS, VERIFY_GIVERS_MAX,
				   http);
}

bool verify_givers_stop(struct verify_givers *g)
{
	return verify_thread_stop(&g->thread);
}

void verify_givers_free(struct verify_givers *g)
{
	if (!g)
		return;
	for (struct question *q = g->of; q < g->of + VERIFY_GIVERS_MAX; q++)
		free(q->path);
	verify_thread_fini(&g->thread);
	free(g);
}
