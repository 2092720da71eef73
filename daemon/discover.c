/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/discover.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/retry.h"

#define TRIES_MAX 3 /* of one hub */

/* One question to one hub. */
typedef int (*ask_fn)(struct hub *h, struct httpc_cancel *cancel, void *arg, int64_t *ret_wait_ms);

/* How much a failure decides: a hub that could not be asked outweighs one that refused, which
 * outweighs one that has no such thing, which outweighs one that has not even the repository. */
static int weight(int r)
{
	switch (r) {
	case 0:
		return 0;
	case ERR_NOREPO:
		return 1;
	case ERR_NOREV:
	case ERR_NOENTRY:
		return 2;
	case ERR_GATED:
	case ERR_DISABLED:
	case ERR_TOKEN:
	case -EACCES:
		return 3;
	default:
		return 4;
	}
}

struct asking {
	const struct discover *d;
	struct flight_job *job;
	struct retry retry;
	uint64_t refused; /* bit i: asking hub i again is no use */
	int refusal;      /* the weightiest of their answers, or 0 */
	int passing;      /* the last failure of this round that may pass, or 0 */
};

/* Asks the hubs in turn, but for those that have refused: 0 when one answered, else what
 * decides. */
static int ask_round(struct asking *a, ask_fn ask, void *arg)
{
	int worst = a->refusal;

	a->passing = 0;
	for (unsigned i = 0; i < a->d->hub_count; i++) {
		int64_t wait_ms = -1;
		int r;

		if (a->refused >> i & 1)
			continue;
		r = ask(a->d->hubs[i], &a->job->cancel, arg, &wait_ms);
		if (weight(r) > 1)
			log_warn(r, "hub=%s did not tell", hub_name(a->d->hubs[i]));
		if (wait_ms > a->retry.asked_ms)
			a->retry.asked_ms = wait_ms;
		if (r == 0 || r == ERR_CANCELED || r == ERR_STOPPING)
			return r;
		if (weight(r) > weight(worst))
			worst = r;
		if (retry_passes(r)) {
			a->passing = r;
			continue;
		}
		a->refused |= UINT64_C(1) << i;
		if (weight(r) > weight(a->refusal))
			a->refusal = r;
	}
	return worst;
}

/* Asks until a hub answers. When one fails the next is asked at once; only after all of them those
 * again, after a pause, whose failure may pass. So a hub that hangs costs its silence once. */
static int ask_hubs(const struct discover *d, struct flight_job *job, ask_fn ask, void *arg)
{
	struct asking a = { .d = d, .job = job };
	int r, waited;

	if (d->hub_count == 0)
		return ERR_OFFLINE;
	retry_init(&a.retry, TRIES_MAX, clock_ms() + d->give_up_ms, (uint64_t)clock_ms());
	a.retry.stop = job->stop;
	do {
		r = ask_round(&a, ask, arg);
		if (r == 0 || !a.passing)
			return r;
		waited = retry_wait(&a.retry, a.passing);
	} while (waited == 0);
	return waited == a.passing ? r : waited;
}

struct revision_question {
	const struct repo_id *id;
	const char *revision; /* NULL: the default branch */
	struct hub_revision answer;
};

static int ask_revision(struct hub *h, struct httpc_cancel *cancel, void *arg, int64_t *ret_wait_ms)
{
	struct revision_question *q = arg;

	return hub_get_revision(h, q->id, q->revision, cancel, &q->answer, ret_wait_ms);
}

struct files_question {
	const struct repo_id *id;
	const char *commit;
	struct manifest *files;
	int64_t date_s;
};

/* A commit's date comes from the commit list, or from what the hub tells about the revision; a
 * hub that knows neither costs nothing but the date. */
static int64_t ask_date(struct hub *h, struct httpc_cancel *cancel, const struct files_question *q)
{
	struct hub_revision revision;
	int64_t date_s, wait_ms;

	if (hub_get_date(h, q->id, q->commit, cancel, &date_s, &wait_ms) == 0)
		return date_s;
	if (hub_get_revision(h, q->id, q->commit, cancel, &revision, &wait_ms) == 0 &&
	    revision.date_s >= 0)
		return revision.date_s;
	return 0;
}

static int ask_files(struct hub *h, struct httpc_cancel *cancel, void *arg, int64_t *ret_wait_ms)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct files_question *q = arg;
	int r = hub_get_manifest(h, q->id, q->commit, cancel, &q->files, &why, ret_wait_ms);

	if (r == ERR_HOSTILE)
		log_err(r, "refused the file list of repo=%s commit=%s hub=%s (%s)", q->id->name,
			q->commit, hub_name(h), buf_str(&why));
	if (r == 0)
		q->date_s = ask_date(h, cancel, q);
	return r;
}

static int list_commit(const struct discover *d, struct flight_job *job, struct repo *repo,
		       const char *commit)
{
	CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;
	struct files_question q = { .id = repo_id_of(repo), .commit = commit };
	int r = known_snapshot(d->known, repo, commit, &s);

	if (r != -ENOENT)
		return r;
	r = ask_hubs(d, job, ask_files, &q);
	if (r < 0)
		return r;
	return known_add_snapshot(d->known, repo, commit, q.date_s, q.files, &s);
}

static int report(int r, const struct repo_id *id, const char *what)
{
	if (weight(r) <= weight(ERR_NOREV) || r == ERR_CANCELED || r == ERR_STOPPING ||
	    r == ERR_OFFLINE) {
		log_debug("not found repo=%s/%s %s: %s", repo_type_plural(id->type), id->name, what,
			  err_text(r));
		return r;
	}
	return log_warn(r, "cannot look up repo=%s/%s %s", repo_type_plural(id->type), id->name,
			what);
}

int discover_repo(const struct discover *d, struct flight_job *job, const struct repo_id *id)
{
	struct revision_question q = { .id = id };
	struct repo *repo;
	int r = ask_hubs(d, job, ask_revision, &q);

	if (r < 0)
		return report(r, id, "");
	r = known_add_repo(d->known, id, &q.answer.id);
	if (r < 0)
		return log_err(r, "cannot note repo=%s", id->name);
	/* The files of main are what nearly everybody asks for next. If they cannot be had, the
	 * repository is there all the same, and who asks for them is told. */
	repo = known_repo(d->known, &q.answer.id);
	r = list_commit(d, job, repo, q.answer.commit);
	if (r < 0) {
		report(r, id, q.answer.commit);
		return 0;
	}
	return known_set_ref(d->known, repo, "main", q.answer.commit);
}

static bool has_old(const struct discover *d, struct repo *repo, const char *ref)
{
	struct known_ref old;

	return known_get_ref(d->known, repo, ref, &old) && old.commit[0];
}

struct below_question {
	const struct repo_id *id;
	const char *dir;
};

static int is_below(void *arg, const char *ref)
{
	const struct below_question *q = arg;

	return revision_is_below(ref, q->dir);
}

static int ask_below(struct hub *h, struct httpc_cancel *cancel, void *arg, int64_t *ret_wait_ms)
{
	const struct below_question *q = arg;
	int r = hub_each_ref(h, q->id, cancel, is_below, arg, ret_wait_ms);

	return r == 1 ? 0 : r == 0 ? ERR_NOREV : r;
}

/* A ref the hubs do not have may be the directory of others. 0, or ERR_NOREV still. */
static int find_below(const struct discover *d, struct flight_job *job, struct repo *repo,
		      const char *ref)
{
	struct below_question q = { repo_id_of(repo), ref };
	int r = ask_hubs(d, job, ask_below, &q);

	if (r < 0)
		return retry_passes(r) ? r : ERR_NOREV; /* not every hub lists its refs */
	return known_set_ref_dir(d->known, repo, ref);
}

/* Every failure leaves an older answer standing, but the hubs' own word that the ref is gone. That
 * they have no such commit, when its files are asked for, is no word about the ref. */
int discover_ref(const struct discover *d, struct flight_job *job, struct repo *repo,
		 const char *ref)
{
	struct revision_question q = { .id = repo_id_of(repo), .revision = ref };
	int r = ask_hubs(d, job, ask_revision, &q);
	bool gone = r == ERR_NOREV;

	if (r == 0)
		r = list_commit(d, job, repo, q.answer.commit);
	if (r == 0)
		return known_set_ref(d->known, repo, ref, q.answer.commit);
	report(r, q.id, ref);
	if (!gone && !has_old(d, repo, ref))
		return r;
	if (!gone) {
		log_warn(r, "ref=%s of repo=%s stands as it was", ref, q.id->name);
		return known_fail_ref(d->known, repo, ref);
	}
	if (known_drop_ref(d->known, repo, ref) < 0)
		log_debug("cannot forget ref=%s", ref);
	return find_below(d, job, repo, ref);
}

int discover_commit(const struct discover *d, struct flight_job *job, struct repo *repo,
		    const char *commit)
{
	int r = list_commit(d, job, repo, commit);

	return r < 0 ? report(r, repo_id_of(repo), commit) : 0;
}
