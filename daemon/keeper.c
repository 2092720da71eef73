/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/keeper.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/bring.h"
#include "daemon/catalog.h"
#include "daemon/evict.h"
#include "daemon/scrub.h"
#include "daemon/store.h"

#define WHAT_ALL "" /* of a scrub */

struct keeper {
	struct keeper_conf conf;
	const struct node_parts *parts; /* borrowed from the node */
	struct jobs *jobs;
};

/* ---- pulls and pins ---- */

static int start_bring(struct keeper *k, const struct bring *what_to, const char *revision,
		       uint64_t *ret_id)
{
	struct bring *b = malloc(sizeof(*b));
	char what[JOB_WHAT_MAX + 1], key[REPO_KEY_MAX + 1];

	if (!b)
		return -ENOMEM;
	*b = *what_to;
	b->node = k->conf.node;
	snprintf(b->revision, sizeof(b->revision), "%s", revision);
	repo_id_key(&b->id, key);
	snprintf(what, sizeof(what), "%s@%s", key, revision);
	return jobs_start(k->jobs, b->pin ? JOB_PIN : JOB_PULL, what, bring_turn, b, free, ret_id);
}

/* The name that pins of a repository are kept under. */
static void pin_key(struct keeper *k, const struct repo_id *id, char ret[static REPO_KEY_MAX + 1])
{
	struct repo *r = known_repo(node_known(k->conf.node), id);

	if (r)
		snprintf(ret, REPO_KEY_MAX + 1, "%s", repo_key(repo_canonical(r)));
	else
		repo_id_key(id, ret);
}

/* A pin is kept from the moment it is asked for: no restart loses it. */
static int note_pin(struct keeper *k, const struct repo_id *id, const char *revision)
{
	struct pin pin = { .since_s = clock_wall_s() }, old;

	pin_key(k, id, pin.key);
	snprintf(pin.revision, sizeof(pin.revision), "%s", revision);
	if (pins_get(k->parts->pins, pin.key, revision, &old) == 0)
		return 0;
	return pins_put(k->parts->pins, &pin);
}

int keeper_pull(struct keeper *k, const struct repo_id *id, const char *revision, bool pin,
		uint64_t *ret_id)
{
	struct bring what = { .id = *id, .pin = pin, .anew = true };
	int r;

	if (!revision_valid(revision))
		return ERR_NOREV;
	r = pin ? note_pin(k, id, revision) : 0;
	return r < 0 ? r : start_bring(k, &what, revision, ret_id);
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

static int resume_pin(void *arg, const struct pin *pin)
{
	struct keeper *k = arg;
	struct bring what = { .pin = true };
	uint64_t job;
	int r;

	if (repo_id_parse_key(pin->key, &what.id) < 0)
		return 0; /* a damaged row */
	r = start_bring(k, &what, pin->revision, &job);
	if (r != -EAGAIN)
		return r;
	/* What is there of it stays pinned all the same. */
	log_warn(r, "too many pins to bring at once: left repo=%s revision=%s", pin->key,
		 pin->revision);
	return 0;
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
		r = pins_each(s->k->parts->pins, resume_pin, s->k);
	return r;
}

int keeper_scrub(struct keeper *k, uint64_t bytes_per_s, uint64_t *ret_id)
{
	struct scrub_job *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->k = k;
	s->scrub = (struct scrub){ .node = k->conf.node, .bytes_per_s = bytes_per_s };
	return jobs_start(k->jobs, JOB_SCRUB, WHAT_ALL, run_scrub, s, free, ret_id);
}

/* ---- jobs ---- */

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

	*ret = (struct keeper_cache){
		.max_bytes = k->parts->cache_max_bytes,
		.min_free_bytes = k->parts->cache_min_free_bytes,
	};
	r = node_space(k->conf.node, &ret->disk_bytes, &ret->disk_free_bytes);
	return r < 0 ? r : store_each(k->parts->store, count_blob, &c);
}

/* ---- start and stop ---- */

int keeper_start(const struct keeper_conf *conf, struct keeper **ret)
{
	struct keeper *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->conf = *conf;
	k->parts = node_parts(conf->node);
	r = jobs_new(conf->threads, &k->jobs);
	if (r == 0)
		r = pins_each(k->parts->pins, resume_pin, k);
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
	if (k)
		jobs_stop(k->jobs);
}

void keeper_free(struct keeper *k)
{
	if (!k)
		return;
	jobs_free(k->jobs);
	free(k);
}
