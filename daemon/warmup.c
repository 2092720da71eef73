/* SPDX-License-Identifier: Apache-2.0 */
/* Each node has a seat: it is told to begin, three times if it is silent, then asked how far it is
 * until it has ended. The job's thread does so, one after the other; who wants to see it reads the
 * seats meanwhile. */
#include "daemon/warmup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/lock.h"
#include "daemon/base/url.h"
#include "daemon/job_json.h"
#include "daemon/node.h"
#include "daemon/peer/peers.h"
#include "daemon/peer/wire.h"

#define KEPT_MAX 16      /* of which the seats can be asked for */
#define TRIES 3          /* silences in a row */
#define PATIENCE_MS 2000 /* of one */
#define PAUSE_MS 300     /* between rounds */

struct seat {
	struct member *member; /* borrowed from the membership */
	bool self;
	unsigned silences; /* in a row */
	uint64_t job;      /* there; 0: it was not told yet */
	/* Guarded by the warmup's lock. */
	struct job_progress at;
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
	struct seat seats[]; /* one for each of them */
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

static void set_seat(struct warmup *w, struct seat *s, const struct job_progress *p)
{
	lock_take(&w->lock);
	s->at = *p;
	lock_drop(&w->lock);
}

static void fail_seat(struct warmup *w, struct seat *s, int r, const char *why)
{
	struct job_progress p = s->at;

	p.state = JOB_FAILED;
	p.error = r;
	snprintf(p.why, sizeof(p.why), "%s", why);
	set_seat(w, s, &p);
}

/* What a member says of its job. */
static int take_answer(struct warmup *w, struct seat *s, const struct buf *answer)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct job_progress p = { 0 };

	if (jdoc_parse(buf_str(answer), answer->len, &d) < 0 || job_read(jdoc_root(d), &p) < 0)
		return ERR_PROTO;
	s->job = p.id;
	set_seat(w, s, &p);
	return 0;
}

static int write_target(const struct warmup *w, const struct seat *s, struct buf *ret)
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
static int ask_member(struct warmup *w, struct seat *s)
{
	CLEANUP(buf_free) struct buf target = { 0 }, answer = { 0 };
	struct peer_call e = {
		.member = s->member,
		.method = s->job ? "GET" : "POST",
		.patience_ms = PATIENCE_MS,
	};
	int r = write_target(w, s, &target);

	e.target = buf_str(&target);
	if (r == 0)
		r = peers_ask(node_peers(w->all->node), &e, &answer);
	if (r == WIRE_NOT_HERE && s->job) {
		s->job = 0;
		return ERR_CUT;
	}
	if (r >= 0)
		r = r == WIRE_TOLD ? take_answer(w, s, &answer) : ERR_SERVER;
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

static void ask_other(struct warmup *w, struct seat *s)
{
	int r = ask_member(w, s);

	if (r == 0)
		s->silences = 0;
	else if (++s->silences == TRIES)
		fail_seat(w, s, r, words_of(r));
}

static void ask_self(struct warmup *w, struct seat *s)
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
		fail_seat(w, s, r, err_text(r));
	else
		set_seat(w, s, &p);
}

/* ---- the job ---- */

struct sum {
	struct job_progress progress;
	unsigned running, failed;
	const char *first_failed; /* address */
};

static void add_seat(const struct seat *s, struct sum *sum)
{
	sum->progress.files_done += s->at.files_done;
	sum->progress.files_total += s->at.files_total;
	sum->progress.bytes_done += s->at.bytes_done;
	sum->progress.bytes_total += s->at.bytes_total;
	sum->running += s->at.state == JOB_RUNNING;
	if (s->at.state == JOB_RUNNING || s->at.state == JOB_DONE)
		return;
	if (!sum->failed++)
		sum->first_failed = member_address(s->member);
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

	for (uint32_t i = 0; i < w->members->count; i++) {
		struct seat *s = &w->seats[i];

		if (job_is_over(j))
			return ERR_CANCELED;
		if (s->at.state == JOB_RUNNING && s->self)
			ask_self(w, s);
		else if (s->at.state == JOB_RUNNING)
			ask_other(w, s);
		add_seat(s, &sum);
	}
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
	struct warmup *w = calloc(1, sizeof(*w) + ms->count * sizeof(w->seats[0]));

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
		w->seats[i] = (struct seat){ .member = ms->members[i], .self = i == ms->self };
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

static void write_seat(struct warmup *w, const struct seat *s, struct jwrite *to)
{
	struct job_progress at;

	lock_take(&w->lock);
	at = s->at;
	lock_drop(&w->lock);
	jwrite_object(to, NULL);
	jwrite_text(to, "address", member_address(s->member));
	jwrite_bool(to, "self", s->self);
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
		write_seat(w, &w->seats[i], to);
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

int warmups_new(struct node *n, struct keeper *k, struct warmups **ret)
{
	struct warmups *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->node = n;
	all->keeper = k;
	all->work = (struct serve_work){ pull_for_others, job_for_others, all };
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
