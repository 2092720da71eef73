/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/verify_givers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/lock.h"
#include "daemon/base/workers.h"

#define STOP_MS 2000

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
	const struct verify_conf *conf; /* set once, like the next, before there is a thread */
	struct httpc *http;
	struct httpc_cancel cancel;
	struct lock lock;
	/* Guarded by lock. */
	struct workers *workers; /* one thread; NULL: nobody is asked */
	struct question of[VERIFY_GIVERS_MAX];
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

static void ask(struct question *q)
{
	const struct verify_conf *conf = q->all->conf;
	const struct membership *members = members_now(conf->members);
	const struct digest_questions by = {
		.asker = conf->asker,
		.members = members,
		.what = &q->what,
		.answers = conf->answers,
		.cancel = &q->all->cancel,
		.counts = conf->counts,
	};
	int at = membership_find(members, q->member);

	if (at >= 0 && digest_questions_convict(&by, (uint32_t)at, q->chunk, q->gave) &&
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
	struct verify_givers *c = q->all;

	ask(q);
	lock_take(&c->lock);
	leave_locked(q);
	lock_drop(&c->lock);
}

/* ---- from outside ---- */

/* Where another one may be put; NULL: its member is asked already, or there is no room. */
static struct question *place_locked(struct verify_givers *c, const char *member)
{
	struct question *free_one = NULL;

	for (struct question *q = c->of; q < c->of + VERIFY_GIVERS_MAX; q++) {
		if (q->taken && strcmp(q->member, member) == 0)
			return NULL;
		if (!q->taken)
			free_one = q;
	}
	return free_one;
}

static void put_locked(struct verify_givers *c, struct question *q, const struct source_refused *r)
{
	const struct work job = { .fn = work, .arg = q };

	*q = (struct question){ .all = c, .what = *r->what, .chunk = r->chunk };
	q->what.path = q->path = strdup(r->what->path);
	snprintf(q->member, sizeof(q->member), "%s", r->member);
	memcpy(q->gave, r->gave, sizeof(q->gave));
	q->taken = q->path && workers_add(c->workers, &job) == 0;
	if (!q->taken)
		leave_locked(q);
}

void verify_givers_add(struct verify_givers *c, const struct source_refused *r)
{
	struct question *q;

	lock_take(&c->lock);
	q = c->workers ? place_locked(c, r->member) : NULL;
	if (q)
		put_locked(c, q, r);
	lock_drop(&c->lock);
}

int verify_givers_new(struct verify_givers **ret)
{
	struct verify_givers *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	lock_init(&c->lock, LOCK_VERIFY_GIVERS);
	*ret = c;
	return 0;
}

int verify_givers_start(struct verify_givers *c, const struct verify_conf *conf, struct httpc *http)
{
	const struct workers_conf workers = { "mfs-givers", 1, VERIFY_GIVERS_MAX, true };
	struct workers *w;
	int r = workers_start(&workers, &w);

	if (r < 0)
		return r;
	c->conf = conf;
	c->http = http;
	lock_take(&c->lock);
	c->workers = w;
	lock_drop(&c->lock);
	return 0;
}

bool verify_givers_stop(struct verify_givers *c)
{
	struct workers *w;

	lock_take(&c->lock);
	w = steal(c->workers);
	lock_drop(&c->lock);
	if (!w)
		return true;
	httpc_cancel(c->http, &c->cancel);
	return workers_stop(w, clock_ms() + STOP_MS);
}

void verify_givers_free(struct verify_givers *c)
{
	if (!c)
		return;
	for (struct question *q = c->of; q < c->of + VERIFY_GIVERS_MAX; q++)
		free(q->path);
	lock_fini(&c->lock);
	free(c);
}
