/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/keeper.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/bring.h"
#include "daemon/cache/catalog.h"
#include "daemon/cache/evict.h"
#include "daemon/scrub.h"
#include "daemon/cache/store.h"

#define WHAT_ALL ""                        /* of a scrub */
#define RESUMED_MAX (JOBS_RUNNING_MAX / 2) /* at once: others may ask for jobs, too */
#define RESUME_MS 1000                     /* without a place among all jobs it looks again then */

/* A pin that goes on being fetched when there is a place for it among the jobs. */
struct resumed {
	struct resumed *next;
	struct pin pin;
	int64_t due_ms; /* not before */
	unsigned failures;
};

struct keeper {
	struct keeper_conf conf;
	const struct node_parts *parts; /* borrowed from the node */
	struct jobs *jobs;
	struct lock lock;
	/* All below is guarded by lock. */
	struct cond changed; /* a place is free, or a pin waits for one, or stop */
	struct resumed *first, **end;
	unsigned places; /* taken by resumed pins */
	bool stop, has_thread;
	pthread_t thread; /* set while has_thread */
};

struct pull_job {
	struct bring bring;
	struct keeper *k;
	bool has_place; /* of a resumed pin */
};

static void give_place_back(const struct pull_job *p)
{
	struct keeper *k = p->k;

	if (!p->has_place)
		return;
	lock_take(&k->lock);
	k->places--;
	cond_wake_all(&k->changed);
	lock_drop(&k->lock);
}

static void free_pull(void *arg)
{
	give_place_back(arg);
	free(arg);
}

/* ---- pins that wait for a place ---- */

/* The name that pins of a repository are kept under. */
static void pin_key(struct keeper *k, const struct repo_id *id, char ret[static REPO_KEY_MAX + 1])
{
	struct repo *r = known_repo(node_known(k->conf.node), id);

	if (r)
		snprintf(ret, REPO_KEY_MAX + 1, "%s", repo_key(repo_canonical(r)));
	else
		repo_id_key(id, ret);
}

static int wait_for_place(struct keeper *k, const struct resumed *what)
{
	struct resumed *w = malloc(sizeof(*w));

	if (!w)
		return -ENOMEM;
	*w = *what;
	w->next = NULL;
	lock_take(&k->lock);
	*k->end = w;
	k->end = &w->next;
	cond_wake_all(&k->changed);
	lock_drop(&k->lock);
	return 0;
}

static int add_resumed(void *arg, const struct pin *pin)
{
	return wait_for_place(arg, &(struct resumed){ .pin = *pin });
}

/* The place in the list of the first that is due, or NULL. */
static struct resumed **next_due_locked(struct keeper *k)
{
	int64_t now = clock_ms();

	for (struct resumed **at = &k->first; *at; at = &(*at)->next)
		if ((*at)->due_ms <= now)
			return at;
	return NULL;
}

static bool others_wait(struct keeper *k)
{
	bool so;

	lock_take(&k->lock);
	so = next_due_locked(k) != NULL;
	lock_drop(&k->lock);
	return so;
}

/* ---- pulls and pins ---- */

/* A pin that has to wait for pause_ms leaves its place to those who wait for one: its job ends, and
 * another takes it up. */
static int make_way(struct job *j, const struct pull_job *p, int pause_ms)
{
	struct resumed later = { .due_ms = clock_ms() + pause_ms, .failures = p->bring.failures };
	struct pins *pins = p->k->parts->pins;
	char key[REPO_KEY_MAX + 1];

	pin_key(p->k, &p->bring.id, key);
	if (pins_get(pins, key, p->bring.revision, &later.pin) < 0) {
		repo_id_key(&p->bring.id, key);
		if (pins_get(pins, key, p->bring.revision, &later.pin) < 0)
			return p->bring.error; /* unpinned meanwhile */
	}
	if (wait_for_place(p->k, &later) < 0)
		return pause_ms;
	job_vanish(j);
	return p->bring.error;
}

static int run_pull(struct job *j, void *arg)
{
	struct pull_job *p = arg;
	int r = bring_turn(j, &p->bring);

	return r > 0 && p->has_place && others_wait(p->k) ? make_way(j, p, r) : r;
}

static int start_pull(const struct pull_job *job, const char *revision, uint64_t *ret_id)
{
	struct pull_job *p = malloc(sizeof(*p));
	char what[JOB_WHAT_MAX + 1], key[REPO_KEY_MAX + 1];

	if (!p) {
		give_place_back(job);
		return -ENOMEM;
	}
	*p = *job;
	p->bring.node = p->k->conf.node;
	p->bring.parts = p->k->parts;
	p->bring.wants = p->k->conf.wants;
	p->bring.arg = p->k->conf.arg;
	snprintf(p->bring.revision, sizeof(p->bring.revision), "%s", revision);
	repo_id_key(&p->bring.id, key);
	snprintf(what, sizeof(what), "%s@%s", key, revision);
	return jobs_start(p->k->jobs,
			  p->bring.pin     ? JOB_PIN
			  : p->bring.share ? JOB_SHARE
					   : JOB_PULL,
			  what, run_pull, p, free_pull, ret_id);
}

/* A pin is kept from the moment it is asked for: no restart loses it. */
static int note_pin(struct keeper *k, const struct repo_id *id, const char *revision)
{
	struct pin pin = { .since_s = clock_wall_s() }, old;

	pin_key(k, id, pin.key);
	snprintf(pin.revision, sizeof(pin.revision), "%s", revision);
	if (pins_get(k->parts->pins, pin.key, revision, &old) == 0)
		return 0;
	return pins_put(k->parts->pins, &pin, UINT64_MAX);
}

int keeper_pull(struct keeper *k, const struct repo_id *id, const char *revision, bool pin,
		uint64_t *ret_id)
{
	const struct pull_job job = {
		.bring = { .id = *id, .pin = pin, .anew = true },
		.k = k,
	};
	int r;

	if (!revision_valid(revision))
		return ERR_NOREV;
	r = pin ? note_pin(k, id, revision) : 0;
	return r < 0 ? r : start_pull(&job, revision, ret_id);
}

int keeper_share(struct keeper *k, const struct repo_id *id, const char *revision, uint64_t *ret_id)
{
	const struct pull_job job = {
		.bring = { .id = *id, .share = true, .anew = true },
		.k = k,
	};

	return revision_valid(revision) ? start_pull(&job, revision, ret_id) : ERR_NOREV;
}

int keeper_unpin(struct keeper *k, const struct repo_id *id, const char *revision)
{
	char key[REPO_KEY_MAX + 1], asked[REPO_KEY_MAX + 1], what[JOB_WHAT_MAX + 1];
	int r;

	pin_key(k, id, key);
	repo_id_key(id, asked);
	snprintf(what, sizeof(what), "%s@%s", asked, revision);
	jobs_cancel_named(k->jobs, JOB_PIN, what);
	r = pins_del(k->parts->pins, key, revision);
	return r == -ENOENT && strcmp(key, asked) != 0 ? pins_del(k->parts->pins, asked, revision)
						       : r;
}

int keeper_each_pin(struct keeper *k, int (*fn)(void *arg, const struct pin *p), void *arg)
{
	return pins_each(k->parts->pins, fn, arg);
}

/* ---- pins that are resumed ---- */

/* The first that waits and is due, if there is a place for it, which it takes. */
static struct resumed *take_resumed(struct keeper *k)
{
	struct resumed **at = NULL, *w = NULL;

	lock_take(&k->lock);
	if (!k->stop && k->places < RESUMED_MAX)
		at = next_due_locked(k);
	if (at) {
		k->places++;
		w = *at;
		*at = w->next;
		if (!w->next)
			k->end = at;
	}
	lock_drop(&k->lock);
	return w;
}

/* -EAGAIN: now there is no place among all jobs. */
static int resume_pin(struct keeper *k, const struct resumed *w)
{
	struct pull_job job = {
		.bring = { .pin = true, .failures = w->failures },
		.k = k,
		.has_place = true,
	};
	const struct pin *pin = &w->pin;
	struct pin still;
	uint64_t id;

	if (pins_get(k->parts->pins, pin->key, pin->revision, &still) == 0 &&
	    repo_id_parse_key(pin->key, &job.bring.id) == 0)
		return start_pull(&job, pin->revision, &id);
	give_place_back(&job); /* unpinned meanwhile, or a damaged row */
	return 0;
}

/* Starts those for which there are places. */
static int resume(struct keeper *k)
{
	struct resumed *w;
	int r = 0;

	while (r == 0 && (w = take_resumed(k))) {
		r = resume_pin(k, w);
		if (r < 0 && wait_for_place(k, w) < 0)
			log_warn(r, "left until the next start repo=%s revision=%s", w->pin.key,
				 w->pin.revision);
		free(w);
	}
	return r == -EAGAIN || r == ERR_STOPPING ? 0 : r;
}

static void *resumer(void *arg)
{
	struct keeper *k = arg;

	lock_take(&k->lock);
	while (!k->stop) {
		int64_t until_ms = k->first ? clock_ms() + RESUME_MS : CLOCK_FOREVER;

		cond_wait(&k->changed, &k->lock, until_ms);
		lock_drop(&k->lock);
		if (resume(k) < 0)
			log_debug("no memory to resume pins now");
		lock_take(&k->lock);
	}
	lock_drop(&k->lock);
	return NULL;
}

/* Resumes what waits, and sees to it that what finds no place now finds one later. */
static int resume_all(struct keeper *k)
{
	int r = resume(k);

	lock_take(&k->lock);
	if (r == 0 && k->first && !k->has_thread && !k->stop) {
		r = thread_start(&k->thread, "mfs-pins", resumer, k);
		k->has_thread = r == 0;
	}
	lock_drop(&k->lock);
	return r;
}

/* A scrub, and whose pins it is. */
struct scrub_job {
	struct keeper *k;
	struct scrub scrub;
};

/* What could not be mended now is brought when its hub can be asked again, if it is pinned. */
static int run_scrub(struct job *j, void *arg)
{
	struct scrub_job *s = arg;
	int r = scrub_turn(j, &s->scrub);

	if (r == 0 && s->scrub.bad)
		r = pins_each(s->k->parts->pins, add_resumed, s->k);
	return r == 0 && s->scrub.bad ? resume_all(s->k) : r;
}

int keeper_scrub(struct keeper *k, uint64_t bytes_per_s, uint64_t *ret_id)
{
	struct scrub_job *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->k = k;
	s->scrub = (struct scrub){
		.node = k->conf.node,
		.parts = k->parts,
		.bytes_per_s = bytes_per_s,
	};
	return jobs_start(k->jobs, JOB_SCRUB, WHAT_ALL, run_scrub, s, free, ret_id);
}

/* ---- jobs ---- */

int keeper_start_job(struct keeper *k, enum job_kind kind, const char *what, job_fn work, void *arg,
		     void (*free_arg)(void *), uint64_t *ret_id)
{
	return jobs_start(k->jobs, kind, what, work, arg, free_arg, ret_id);
}

int keeper_job(struct keeper *k, uint64_t id, struct job_progress *ret)
{
	return jobs_get(k->jobs, id, ret);
}

int keeper_each_job(struct keeper *k, int (*fn)(void *arg, const struct job_progress *p), void *arg)
{
	return jobs_each(k->jobs, fn, arg);
}

int keeper_cancel_job(struct keeper *k, uint64_t id)
{
	return jobs_cancel(k->jobs, id);
}

/* ---- what is kept ---- */

/* The snapshot of a revision, as far as it is known; owned. */
static int known_revision(struct keeper *k, const struct repo_id *id, const char *revision,
			  struct snapshot **ret)
{
	struct known *known = node_known(k->conf.node);
	struct repo *repo = known_repo(known, id);
	struct known_ref ref = { .commit = "" };
	const char *commit = revision;

	if (!repo)
		return ERR_NOREPO;
	repo = repo_canonical(repo);
	if (!commit_valid(revision)) {
		known_get_ref(known, repo, revision, &ref);
		commit = ref.commit;
	}
	return commit[0] && known_snapshot(known, repo, commit, ret) == 0 ? 0 : ERR_NOREV;
}

int keeper_evict(struct keeper *k, const struct repo_id *id, const char *revision,
		 uint64_t *ret_freed)
{
	CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;
	int r = known_revision(k, id, revision, &s);

	*ret_freed = 0;
	for (uint32_t i = 0; r == 0 && i < manifest_count(s->files); i++) {
		const struct manifest_file *f = manifest_file(s->files, i);
		char etag[DIGEST_HEX_MAX + 1];

		if (!f)
			continue;
		manifest_etag(f, etag);
		*ret_freed += evict_blob(k->parts->evict, etag);
	}
	return r;
}

struct counting {
	struct keeper *k;
	struct keeper_cache *ret;
};

static void count(uint64_t *bytes, uint64_t *blobs, uint64_t more)
{
	*bytes += more;
	(*blobs)++;
}

static int count_blob(void *arg, const char *etag, uint64_t bytes, int64_t used_s UNUSED)
{
	const struct node_parts *parts = ((struct counting *)arg)->k->parts;
	struct keeper_cache *ret = ((struct counting *)arg)->ret;
	struct catalog_blob row = { 0 };
	bool pinned = pins_have(parts->pins, etag);

	count(&ret->used_bytes, &ret->used_blobs, bytes);
	if (pinned)
		count(&ret->pinned_bytes, &ret->pinned_blobs, bytes);
	else if (!store_is_open(parts->store, etag))
		count(&ret->evictable_bytes, &ret->evictable_blobs, bytes);
	if (catalog_get_blob(parts->catalog, etag, &row) == 0 && row.sealed)
		count(&ret->sealed_bytes, &ret->sealed_blobs, bytes);
	else
		count(&ret->incomplete_bytes, &ret->incomplete_blobs, bytes);
	return 0;
}

int keeper_cache(struct keeper *k, struct keeper_cache *ret)
{
	struct counting c = { k, ret };
	int r;

	*ret = (struct keeper_cache){ .limits = store_limits(k->parts->store) };
	r = node_space(k->conf.node, &ret->disk_bytes, &ret->disk_free_bytes);
	return r < 0 ? r : store_each(k->parts->store, count_blob, &c);
}

/* ---- start and stop ---- */

int keeper_start(const struct keeper_conf *conf, struct keeper **ret)
{
	struct keeper *k = calloc(1, sizeof(*k));
	int r;

	*ret = NULL;
	if (!k)
		return -ENOMEM;
	k->conf = *conf;
	k->parts = node_parts(conf->node);
	k->end = &k->first;
	lock_init(&k->lock, LOCK_KEEPER);
	cond_init(&k->changed);
	r = jobs_new(conf->threads, &k->jobs);
	if (r == 0)
		r = pins_each(k->parts->pins, add_resumed, k);
	if (r == 0)
		r = resume_all(k);
	if (r < 0) {
		keeper_stop(k);
		keeper_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

void keeper_stop(struct keeper *k)
{
	bool has_thread;

	if (!k)
		return;
	lock_take(&k->lock);
	k->stop = true;
	has_thread = k->has_thread;
	k->has_thread = false;
	cond_wake_all(&k->changed);
	lock_drop(&k->lock);
	if (has_thread)
		pthread_join(k->thread, NULL);
	jobs_stop(k->jobs);
}

void keeper_free(struct keeper *k)
{
	struct resumed *w;

	if (!k)
		return;
	jobs_free(k->jobs);
	while ((w = k->first)) {
		k->first = w->next;
		free(w);
	}
	cond_fini(&k->changed);
	lock_fini(&k->lock);
	free(k);
}
