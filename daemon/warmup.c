/* SPDX-License-Identifier: Apache-2.0 */
/* Each node has a seat: it is told to begin, three times if it is silent, then asked how far it is
 * until it has ended. The job's thread does so in rounds, with some more for each, so that one who
 * hangs does not hold up the others; who wants to see it reads the seats meanwhile. */
#include "daemon/warmup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/lock.h"
#include "daemon/base/url.h"
#include "daemon/job_json.h"
#include "daemon/node.h"
#include "daemon/peer/peers.h"
#include "daemon/peer/wire.h"
#include "daemon/peer_where.h"
#include "daemon/remote_job.h"

#define KEPT_MAX 16      /* of which the chairs can be asked for */
#define PATIENCE_MS 2000 /* of a silence */
#define PAUSE_MS 300     /* between rounds */
#define ASKERS_MAX 16    /* threads of a round */

struct chair {
	struct member *member; /* borrowed from the membership */
	bool self;
	struct remote_job seat; /* of the thread that asks it in this round */
	struct job_progress at; /* as the seat's; guarded by the warmup's lock */
};

struct warmup {
	struct warmup *next; /* guarded by all's lock */
	struct warmups *all;
	uint64_t id; /* guarded by all's lock */
	atomic_uint refs;
	struct repo_id repo;
	char revision[REVISION_MAX + 1];
	bool share;
	const struct membership *members;
	struct lock lock;
	struct chair chairs[]; /* one for each of them */
};

struct warmups {
	struct node *node;
	struct keeper *keeper;
	struct serve_work work; /* for others */
	struct lock lock;
	struct warmup *first; /* guarded by lock; the newest */
};

static void warmup_unref(struct warmup *w)
{
	if (atomic_fetch_sub(&w->refs, 1) > 1)
		return;
	membership_unref(w->members);
	lock_fini(&w->lock);
	free(w);
}

static void unref_job(void *arg)
{
	warmup_unref(arg);
}

/* ---- one node ---- */

static void show(struct warmup *w, struct chair *c)
{
	lock_take(&w->lock);
	c->at = c->seat.at;
	lock_drop(&w->lock);
}

/* What a member says of its job. */
static int take_answer(struct remote_job *s, const struct buf *answer)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct job_progress p = { 0 };

	if (jdoc_parse(buf_str(answer), answer->len, &d) < 0 || job_read(jdoc_root(d), &p) < 0)
		return ERR_PROTO;
	remote_job_heard(s, &p, clock_ms());
	return 0;
}

static int write_target(const struct warmup *w, const struct remote_job *s, struct buf *ret)
{
	char key[REPO_KEY_MAX + 1];

	if (s->job)
		return buf_printf(ret, WIRE_JOBS "%ju", (uintmax_t)s->job);
	repo_id_key(&w->repo, key);
	buf_add_str(ret, WIRE_PULL "?repo=");
	url_encode(ret, key, 0);
	buf_add_str(ret, "&revision=");
	url_encode(ret, w->revision, 0);
	return buf_add_str(ret, w->share ? "&share=1" : "");
}

/* A job that is there no more ended, or its process did: it is begun again, and finds what there
 * is. */
static int ask_member(struct warmup *w, struct chair *c)
{
	struct remote_job *s = &c->seat;
	CLEANUP(buf_free) struct buf target = { 0 }, answer = { 0 };
	struct peer_call e = {
		.member = c->member,
		.method = s->job ? "GET" : "POST",
		.patience_ms = PATIENCE_MS,
	};
	int r = write_target(w, s, &target);

	e.target = buf_str(&target);
	if (r == 0)
		r = peers_ask(node_peers(w->all->node), &e, &answer);
	if (r == WIRE_NOT_HERE && s->job) {
		remote_job_lost(s);
		return 0;
	}
	if (r >= 0)
		r = r == WIRE_TOLD ? take_answer(s, &answer) : ERR_SERVER;
	return r;
}

static const char *words_of(int r)
{
	return r == ERR_UPSTREAM || r == ERR_TIMEOUT || r == ERR_CUT ? "it does not answer"
	       : r == ERR_TOKEN  ? "it has another cluster key, or another clock"
	       : r == ERR_SERVER ? "it cannot do this now"
	       : r == ERR_PROTO  ? "its answer makes no sense"
				 : err_text(r);
}

static void ask_other(struct warmup *w, struct chair *c)
{
	int r = ask_member(w, c);

	if (r < 0)
		remote_job_silent(&c->seat, r, words_of(r));
}

static void ask_self(struct warmup *w, struct remote_job *s)
{
	struct keeper *k = w->all->keeper;
	struct job_progress p;
	int r = 0;

	if (!s->job)
		r = w->share ? keeper_share(k, &w->repo, w->revision, &s->job)
			     : keeper_pull(k, &w->repo, w->revision, false, &s->job);
	if (r == 0)
		r = keeper_job(k, s->job, &p);
	if (r < 0)
		remote_job_fail(s, r, err_text(r));
	else
		remote_job_heard(s, &p, clock_ms());
}

/* ---- a round ---- */

struct round {
	struct warmup *w;
	struct job *job;
	atomic_uint next; /* of the chairs */
};

static void *ask_some(void *arg)
{
	struct round *r = arg;
	uint32_t i;

	while ((i = atomic_fetch_add(&r->next, 1)) < r->w->members->count && !job_is_over(r->job)) {
		struct chair *c = &r->w->chairs[i];

		if (c->seat.at.state != JOB_RUNNING)
			continue;
		if (c->self)
			ask_self(r->w, &c->seat);
		else
			ask_other(r->w, c);
		show(r->w, c);
	}
	return NULL;
}

/* Without threads this one asks all. */
static void ask_all(struct warmup *w, struct job *j)
{
	struct round r = { .w = w, .job = j };
	pthread_t askers[ASKERS_MAX];
	unsigned count = 0;

	while (count < ASKERS_MAX && count + 1 < w->members->count &&
	       thread_start(&askers[count], "mfs-warmup", ask_some, &r) == 0)
		count++;
	ask_some(&r);
	while (count > 0)
		pthread_join(askers[--count], NULL);
}

/* ---- the job ---- */

struct sum {
	struct job_progress progress;
	unsigned running, failed;
	const char *first_failed; /* address */
};

static void add_chair(const struct chair *c, struct sum *sum)
{
	const struct remote_job *s = &c->seat;

	sum->progress.files_done += s->at.files_done;
	sum->progress.files_total += s->at.files_total;
	sum->progress.bytes_done += s->at.bytes_done;
	sum->progress.bytes_total += s->at.bytes_total;
	sum->running += s->at.state == JOB_RUNNING;
	if (s->at.state == JOB_RUNNING || s->at.state == JOB_DONE)
		return;
	if (!sum->failed++)
		sum->first_failed = member_address(c->member);
}

static int end(const struct warmup *w, const struct sum *sum)
{
	if (sum->running)
		return PAUSE_MS;
	if (!sum->failed)
		return 0;
	err_note(ERR_NODES, "%u of %u, %s is one", sum->failed, w->members->count,
		 sum->first_failed);
	return ERR_NODES;
}

static int run(struct job *j, void *arg)
{
	struct warmup *w = arg;
	struct sum sum = { 0 };
	int r;

	ask_all(w, j);
	if (job_is_over(j))
		return ERR_CANCELED;
	for (uint32_t i = 0; i < w->members->count; i++)
		add_chair(&w->chairs[i], &sum);
	r = end(w, &sum);
	sum.progress.error = r < 0 ? r : 0;
	job_tell(j, &sum.progress);
	return r;
}

/* ---- all of them ---- */

static int warmup_new(struct warmups *all, const struct repo_id *id, const char *revision,
		      bool share, struct warmup **ret)
{
	const struct membership *ms = members_now(peers_members(node_peers(all->node)));
	struct warmup *w = calloc(1, sizeof(*w) + ms->count * sizeof(w->chairs[0]));

	if (!w) {
		membership_unref(ms);
		return -ENOMEM;
	}
	w->all = all;
	w->repo = *id;
	snprintf(w->revision, sizeof(w->revision), "%s", revision);
	w->share = share;
	w->members = ms;
	for (uint32_t i = 0; i < ms->count; i++)
		w->chairs[i] = (struct chair){ .member = ms->members[i], .self = i == ms->self };
	lock_init(&w->lock, LOCK_WARMUP);
	atomic_init(&w->refs, 1);
	*ret = w;
	return 0;
}

static struct warmup *find_locked(const struct warmups *all, uint64_t id)
{
	struct warmup *w = all->first;

	while (w && w->id != id)
		w = w->next;
	return w;
}

/* Keeps one for who wants to see it, unless it is there; the oldest goes. Takes w. */
static void keep(struct warmups *all, struct warmup *w, uint64_t id)
{
	struct warmup **at = &all->first, *old = w;

	lock_take(&all->lock);
	if (!find_locked(all, id)) {
		w->id = id;
		w->next = all->first;
		all->first = w;
		for (unsigned n = 0; n < KEPT_MAX && *at; n++)
			at = &(*at)->next;
		old = *at;
		*at = NULL;
	}
	lock_drop(&all->lock);
	if (old)
		warmup_unref(old);
}

int warmup_start(struct warmups *all, const struct repo_id *id, const char *revision, bool share,
		 uint64_t *ret_id)
{
	char what[JOB_WHAT_MAX + 1], key[REPO_KEY_MAX + 1];
	struct warmup *w = NULL;
	int r;

	if (!node_peers(all->node))
		return -ENOENT;
	if (!revision_valid(revision))
		return ERR_NOREV;
	r = warmup_new(all, id, revision, share, &w);
	if (r < 0)
		return r;
	repo_id_key(id, key);
	snprintf(what, sizeof(what), "%s%s@%s", share ? "shares of " : "", key, revision);
	atomic_fetch_add(&w->refs, 1);
	r = keeper_start_job(all->keeper, JOB_WARMUP, what, run, w, unref_job, ret_id);
	if (r < 0)
		warmup_unref(w);
	else
		keep(all, w, *ret_id);
	return r;
}

static void write_chair(struct warmup *w, const struct chair *c, struct jwrite *to)
{
	struct job_progress at;

	lock_take(&w->lock);
	at = c->at;
	lock_drop(&w->lock);
	jwrite_object(to, NULL);
	jwrite_text(to, "address", member_address(c->member));
	jwrite_bool(to, "self", c->self);
	job_write_state(&at, to);
	jwrite_object_end(to);
}

int warmup_write(struct warmups *all, uint64_t id, struct jwrite *to)
{
	struct warmup *w;

	lock_take(&all->lock);
	w = find_locked(all, id);
	if (w)
		atomic_fetch_add(&w->refs, 1);
	lock_drop(&all->lock);
	if (!w)
		return -ENOENT;
	jwrite_object(to, NULL);
	jwrite_array(to, "nodes");
	for (uint32_t i = 0; i < w->members->count; i++)
		write_chair(w, &w->chairs[i], to);
	jwrite_array_end(to);
	jwrite_object_end(to);
	warmup_unref(w);
	return 0;
}

/* ---- what others ask for ---- */

static int pull_for_others(void *arg, const struct repo_id *id, const char *revision, bool share,
			   uint64_t *ret_id)
{
	struct warmups *all = arg;

	return share ? keeper_share(all->keeper, id, revision, ret_id)
		     : keeper_pull(all->keeper, id, revision, false, ret_id);
}

static int job_for_others(void *arg, uint64_t id, struct job_progress *ret)
{
	struct warmups *all = arg;

	return keeper_job(all->keeper, id, ret);
}

static int held_for_others(void *arg, const char *etag, uint64_t size, struct buf *ret)
{
	struct warmups *all = arg;

	return where_here(all->node, etag, size, ret);
}

int warmups_new(struct node *n, struct keeper *k, struct warmups **ret)
{
	struct warmups *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->node = n;
	all->keeper = k;
	all->work = (struct serve_work){ pull_for_others, job_for_others, held_for_others, all };
	lock_init(&all->lock, LOCK_WARMUPS);
	if (node_peers(n))
		peers_set_work(node_peers(n), &all->work);
	*ret = all;
	return 0;
}

void warmups_free(struct warmups *all)
{
	struct warmup *w;

	if (!all)
		return;
	while ((w = all->first)) {
		all->first = w->next;
		warmup_unref(w);
	}
	lock_fini(&all->lock);
	free(all);
}
