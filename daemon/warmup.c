/* SPDX-License-Identifier: Apache-2.0 */
/* Each node is told to begin, three times if it is silent, then asked how far it is until it has
 * ended. The job's thread has that done in rounds, on other threads, so that one who hangs does not
 * hold up the others; who wants to see it reads how far all are meanwhile. */
#include "daemon/warmup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/lock.h"
#include "daemon/base/url.h"
#include "daemon/base/workers.h"
#include "daemon/job_json.h"
#include "daemon/node.h"
#include "daemon/peer/peers.h"
#include "daemon/peer/wire.h"
#include "daemon/peer_where.h"
#include "daemon/remote_job.h"

#define KEPT_MAX 16      /* that can be asked for */
#define PATIENCE_MS 2000 /* of a silence */
#define PAUSE_MS 300     /* between rounds */
#define WAIT_MS 1000     /* for a round, again and again */
#define THREADS 16       /* of all rounds; */
#define WAITING_MAX 1024 /* of more nodes the job's thread asks itself */
#define STOP_MS 5000

struct node_job {
	struct warmup *warmup;
	struct member *member; /* borrowed from the membership */
	bool self;
	struct remote_job job; /* guarded by the warmup's lock */
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
	struct job *job; /* of a round */
	struct lock lock;
	struct cond asked;
	uint32_t asking;         /* nodes, in this round; guarded by lock */
	struct node_job nodes[]; /* one for each member */
};

struct warmups {
	struct node *node;
	struct keeper *keeper;
	struct serve_work work; /* for others */
	struct lock lock;
	/* Guarded by lock. */
	struct warmup *first;    /* the newest */
	struct workers *workers; /* from the first one on; NULL: there is no thread */
};

static void warmup_unref(struct warmup *w)
{
	if (atomic_fetch_sub(&w->refs, 1) > 1)
		return;
	membership_unref(w->members);
	cond_fini(&w->asked);
	lock_fini(&w->lock);
	free(w);
}

static void unref_job(void *arg)
{
	warmup_unref(arg);
}

/* ---- one node ---- */

/* What a member says of its job. */
static int read_answer(const struct buf *answer, struct job_progress *ret)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;

	if (jdoc_parse(buf_str(answer), answer->len, &d) < 0 || job_read(jdoc_root(d), ret) < 0)
		return ERR_PROTO;
	return 0;
}

static int write_target(const struct warmup *w, uint64_t job, struct buf *ret)
{
	char key[REPO_KEY_MAX + 1];

	if (job)
		return buf_printf(ret, WIRE_JOBS "%ju", (uintmax_t)job);
	repo_id_key(&w->repo, key);
	buf_add_str(ret, WIRE_PULL "?repo=");
	url_encode(ret, key, 0);
	buf_add_str(ret, "&revision=");
	url_encode(ret, w->revision, 0);
	return buf_add_str(ret, w->share ? "&share=1" : "");
}

/* Tells it to begin (job 0), or asks how far it is. WIRE_NOT_HERE: it has no such job. */
static int ask_member(const struct node_job *n, uint64_t job, struct job_progress *ret)
{
	CLEANUP(buf_free) struct buf target = { 0 }, answer = { 0 };
	struct peer_call e = {
		.member = n->member,
		.method = job ? "GET" : "POST",
		.patience_ms = PATIENCE_MS,
	};
	int r = write_target(n->warmup, job, &target);

	e.target = buf_str(&target);
	if (r == 0)
		r = peers_ask(node_peers(n->warmup->all->node), &e, &answer);
	if (r < 0 || (r == WIRE_NOT_HERE && job))
		return r;
	return r == WIRE_TOLD ? read_answer(&answer, ret) : ERR_SERVER;
}

static const char *words_of(int r)
{
	return r == ERR_UPSTREAM || r == ERR_TIMEOUT || r == ERR_CUT ? "it does not answer"
	       : r == ERR_TOKEN  ? "it has another cluster key, or another clock"
	       : r == ERR_SERVER ? "it cannot do this now"
	       : r == ERR_PROTO  ? "its answer makes no sense"
				 : err_text(r);
}

/* A job that is there no more ended, or its process did: it is begun again, and finds what there
 * is. */
static void note_other(struct remote_job *job, int r, const struct job_progress *p)
{
	if (r == WIRE_NOT_HERE)
		remote_job_lost(job);
	else if (r < 0)
		remote_job_silent(job, r, words_of(r));
	else
		remote_job_heard(job, p, clock_ms());
}

static int ask_self(const struct warmup *w, uint64_t job, struct job_progress *ret)
{
	struct keeper *k = w->all->keeper;
	int r = 0;

	if (!job)
		r = w->share ? keeper_share(k, &w->repo, w->revision, &job)
			     : keeper_pull(k, &w->repo, w->revision, false, &job);
	return r < 0 ? r : keeper_job(k, job, ret);
}

static void note_self(struct remote_job *job, int r, const struct job_progress *p)
{
	if (r < 0)
		remote_job_fail(job, r, err_text(r));
	else
		remote_job_heard(job, p, clock_ms());
}

/* In a round nobody else asks it. */
static void ask(struct node_job *n)
{
	struct warmup *w = n->warmup;
	struct job_progress p = { 0 };
	uint64_t job;
	int r;

	lock_take(&w->lock);
	job = n->job.job;
	lock_drop(&w->lock);
	r = n->self ? ask_self(w, job, &p) : ask_member(n, job, &p);
	lock_take(&w->lock);
	(n->self ? note_self : note_other)(&n->job, r, &p);
	lock_drop(&w->lock);
}

/* ---- a round ---- */

static void ask_in_round(void *arg, uint64_t number UNUSED)
{
	struct node_job *n = arg;
	struct warmup *w = n->warmup;

	if (!job_is_over(w->job))
		ask(n);
	lock_take(&w->lock);
	w->asking--;
	cond_wake_all(&w->asked);
	lock_drop(&w->lock);
}

/* False if it has ended. */
static bool begin_to_ask(struct node_job *n)
{
	struct warmup *w = n->warmup;
	bool runs;

	lock_take(&w->lock);
	runs = n->job.at.state == JOB_RUNNING;
	w->asking += runs;
	lock_drop(&w->lock);
	return runs;
}

static struct workers *workers_of(struct warmups *all)
{
	struct workers *w;

	lock_take(&all->lock);
	w = all->workers;
	lock_drop(&all->lock);
	return w;
}

/* Without threads this one asks all. */
static void ask_all(struct warmup *w)
{
	struct workers *others = workers_of(w->all);

	for (uint32_t i = 0; i < w->members->count; i++) {
		const struct work work = { .fn = ask_in_round, .arg = &w->nodes[i] };

		if (begin_to_ask(&w->nodes[i]) && (!others || workers_add(others, &work) < 0))
			ask_in_round(&w->nodes[i], 0);
	}
	lock_take(&w->lock);
	while (w->asking)
		(void)cond_wait(&w->asked, &w->lock, clock_ms() + WAIT_MS);
	lock_drop(&w->lock);
}

/* ---- the job ---- */

struct sum {
	struct job_progress progress;
	unsigned running, failed;
	const char *first_failed; /* address */
};

static void add_node(struct node_job *n, struct sum *sum)
{
	struct job_progress at;

	lock_take(&n->warmup->lock);
	at = n->job.at;
	lock_drop(&n->warmup->lock);
	sum->progress.files_done += at.files_done;
	sum->progress.files_total += at.files_total;
	sum->progress.bytes_done += at.bytes_done;
	sum->progress.bytes_total += at.bytes_total;
	sum->running += at.state == JOB_RUNNING;
	if (at.state == JOB_RUNNING || at.state == JOB_DONE)
		return;
	if (!sum->failed++)
		sum->first_failed = member_address(n->member);
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

	w->job = j;
	ask_all(w);
	if (job_is_over(j))
		return ERR_CANCELED;
	for (uint32_t i = 0; i < w->members->count; i++)
		add_node(&w->nodes[i], &sum);
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
	struct warmup *w = calloc(1, sizeof(*w) + ms->count * sizeof(w->nodes[0]));

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
		w->nodes[i] = (struct node_job){ w, ms->members[i], i == ms->self, { 0 } };
	lock_init(&w->lock, LOCK_WARMUP);
	cond_init(&w->asked);
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

/* Threads that ask, for all warm-ups, unless there are some. Without any each asks by itself. */
static void need_workers(struct warmups *all)
{
	const struct workers_conf conf = { "mfs-warmup", THREADS, WAITING_MAX, true };
	struct workers *more;

	if (workers_of(all) || workers_start(&conf, &more) < 0)
		return;
	lock_take(&all->lock);
	if (!all->workers)
		all->workers = steal(more);
	lock_drop(&all->lock);
	(void)!workers_stop(more, clock_ms() + STOP_MS); /* it has done nothing yet */
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
	need_workers(all);
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

static void write_node(struct node_job *n, struct jwrite *to)
{
	struct job_progress at;

	lock_take(&n->warmup->lock);
	at = n->job.at;
	lock_drop(&n->warmup->lock);
	jwrite_object(to, NULL);
	jwrite_text(to, "address", member_address(n->member));
	jwrite_bool(to, "self", n->self);
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
		write_node(&w->nodes[i], to);
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
	(void)!workers_stop(all->workers, clock_ms() + STOP_MS); /* no job runs any more */
	while ((w = all->first)) {
		all->first = w->next;
		warmup_unref(w);
	}
	lock_fini(&all->lock);
	free(all);
}
