/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/names/discover.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/fetch/retry.h"

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
	ask_fn ask;
	void *arg;
	struct retry retry;
	uint64_t refused; /* bit i: asking hub i again is no use */
	int refusal;      /* the weightiest of their answers, or 0 */
	int passing;      /* the last failure of this round that may pass, or 0 */
	int worst;        /* what decides this round */
};

/* Asks one hub; true if that ends it all: `worst` is the result. */
static bool ask_one(struct asking *a, unsigned i)
{
	int64_t wait_ms = -1;
	int r = a->ask(a->d->hubs[i], &a->job->cancel, a->arg, &wait_ms);

	if (weight(r) > 1)
		log_warn(r, "hub=%s did not tell", hub_name(a->d->hubs[i]));
	if (wait_ms > a->retry.asked_ms)
		a->retry.asked_ms = wait_ms;
	if (r == 0 || r == ERR_CANCELED || r == ERR_STOPPING) {
		a->worst = r;
		return true;
	}
	if (weight(r) > weight(a->worst))
		a->worst = r;
	if (retry_passes(r)) {
		a->passing = r;
		return false;
	}
	a->refused |= UINT64_C(1) << i;
	if (weight(r) > weight(a->refusal))
		a->refusal = r;
	return false;
}

/* Asks the hubs in turn, but for those that have refused, and waits a while for each; then those
 * that were silent, as long as it takes. 0 when one answered, else what decides. */
static int ask_round(struct asking *a, int64_t patience_ms)
{
	uint64_t silent = 0;

	a->passing = 0;
	a->worst = a->refusal;
	a->job->cancel.patience_ms = patience_ms;
	for (unsigned i = 0; i < a->d->hub_count; i++) {
		int passing = a->passing, worst = a->worst;

		if (a->refused >> i & 1)
			continue;
		if (!hub_was_silent(a->d->hubs[i])) {
			if (ask_one(a, i))
				return a->worst;
			if (!patience_ms || !hub_was_silent(a->d->hubs[i]))
				continue;
		}
		silent |= UINT64_C(1) << i; /* its word is yet to come */
		a->passing = passing;
		a->worst = worst;
	}
	a->job->cancel.patience_ms = 0;
	for (unsigned i = 0; i < a->d->hub_count; i++)
		if ((silent >> i & 1) && ask_one(a, i))
			break;
	return a->worst;
}

/* Asks until a hub answers. When one fails or is silent the next is asked; only after all of them
 * those again, after a pause, whose failure may pass. So a hub that hangs costs little as long as
 * another knows the answer. */
static int ask_hubs(const struct discover *d, struct flight_job *job, ask_fn ask, void *arg)
{
	struct asking a = { .d = d, .job = job, .ask = ask, .arg = arg };
	int64_t patience_ms = d->hub_count > 1 ? d->patience_ms : 0;
	int r, waited;

	if (d->hub_count == 0)
		return ERR_OFFLINE;
	retry_init(&a.retry, TRIES_MAX, clock_ms() + d->give_up_ms, (uint64_t)clock_ms());
	a.retry.stop = job->stop;
	do {
		r = ask_round(&a, patience_ms);
		if (r == 0 || !a.passing)
			return r;
		patience_ms = 0;
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
	uint32_t left_out = 0;
	int r = hub_get_manifest(h, q->id, q->commit, cancel, &q->files, &why, &left_out,
				 ret_wait_ms);

	if (r == ERR_HOSTILE)
		log_err(r, "refused the file list of repo=%s commit=%s hub=%s (%s)", q->id->name,
			q->commit, hub_name(h), buf_str(&why));
	if (r == 0 && left_out)
		log_warn(ERR_HOSTILE, "left out %u of the files of repo=%s commit=%s hub=%s (%s)",
			 left_out, q->id->name, q->commit, hub_name(h), buf_str(&why));
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
	if (repo_is_hosted(repo))
		r = d->hosted->files(d->hosted->arg, q.id, commit, &q.date_s, &q.files);
	else
		r = ask_hubs(d, job, ask_files, &q);
	if (r < 0)
		return r;
	return known_add_snapshot(d->known, repo, commit, q.date_s, q.files, &s);
}

bool discover_is_gone(int r)
{
	return r == ERR_NOREPO || r == ERR_NOREV || r == ERR_NOENTRY || r == ERR_GATED ||
	       r == ERR_DISABLED;
}

/* Of what is known: whether the hubs say that all of it is gone. */
static bool note_gone(struct repo *repo, int r)
{
	bool gone = r == ERR_NOREPO || r == ERR_GATED || r == ERR_DISABLED;

	if (gone || r == 0 || discover_is_gone(r))
		known_set_gone(repo, gone ? r : 0);
	return gone;
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

struct nothing_question {
	const struct repo_id *id;
	bool open_counts; /* still: no hub has said that it is not for everybody */
};

static int ask_nothing(struct hub *h, struct httpc_cancel *cancel, void *arg, int64_t *ret_wait_ms)
{
	struct nothing_question *q = arg;
	struct hub_revision found;
	int r = hub_get_revision(h, q->id, NULL, cancel, &found, ret_wait_ms);

	if (q->open_counts && (r < 0 || found.is_open))
		return r;
	q->open_counts = false;
	return r == 0 || discover_is_gone(r) ? ERR_NOREPO : r;
}

int discover_nothing(const struct discover *d, struct flight_job *job, const struct repo_id *id,
		     bool open_counts)
{
	struct nothing_question q = { id, open_counts };
	int r = ask_hubs(d, job, ask_nothing, &q);

	return r < 0 ? report(r, id, "") : r;
}

int discover_repo_like(const struct discover *d, const struct repo_id *id)
{
	struct repo *like = known_repo_like(d->known, id);

	return like ? known_add_repo(d->known, id, repo_id_of(like)) : ERR_OFFLINE;
}

/* True if the hubs did not tell: what was known before stands. */
static bool is_untold(int r)
{
	return r < 0 && weight(r) > weight(-EACCES) && r != ERR_CANCELED && r != ERR_STOPPING;
}

/* Before a repository is known by the name that a hub gives it: one that has its commit may be it,
 * under the name it had. What holds for that one must never not hold. */
static void find_former(const struct discover *d, struct flight_job *job,
			const struct hub_revision *now)
{
	struct repo *other = d->renames ? known_repo_of_commit(d->known, &now->id, now->commit)
					: NULL;
	struct revision_question q = { .id = other ? repo_id_of(other) : NULL };

	if (!other || known_repo(d->known, &now->id) || ask_hubs(d, job, ask_revision, &q) < 0)
		return;
	if (q.answer.id.type == now->id.type && strcasecmp(q.answer.id.name, now->id.name) == 0 &&
	    known_add_repo(d->known, q.id, &now->id) < 0)
		log_debug("cannot note the name that repo=%s had", now->id.name);
}

int discover_repo(const struct discover *d, struct flight_job *job, const struct repo_id *id)
{
	struct revision_question q = { .id = id };
	struct repo *repo;
	int r = ask_hubs(d, job, ask_revision, &q);

	repo = known_repo(d->known, id);
	if (repo && r < 0)
		note_gone(repo_canonical(repo), r);
	if (!repo && is_untold(r) && discover_repo_like(d, id) == 0)
		return 0;
	if (r < 0)
		return report(r, id, "");
	find_former(d, job, &q.answer);
	r = known_add_repo(d->known, id, &q.answer.id);
	if (r < 0)
		return log_err(r, "cannot note repo=%s", id->name);
	/* The files of main are what nearly everybody asks for next. If they cannot be had, the
	 * repository is there all the same, and who asks for them is told. */
	repo = known_repo(d->known, &q.answer.id);
	note_gone(repo, 0);
	known_set_restricted(repo, !q.answer.is_open);
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

/* True if an older answer stands. */
static bool stands(const struct discover *d, bool gone, bool all_gone)
{
	switch (d->gone) {
	case DISCOVER_GONE_GOES:
		return !gone;
	case DISCOVER_GONE_STAYS:
		return true;
	default:
		return !gone || all_gone;
	}
}

/* The hub has another name for it now. At once, since what holds for it holds for that one; and
 * with what it has, which is asked for there from now on. */
static void note_name(const struct discover *d, struct flight_job *job, struct repo *repo,
		      const char *ref, const struct hub_revision *now)
{
	struct repo *real;
	int r;

	if (!d->renames || strcasecmp(now->id.name, repo_id_of(repo)->name) == 0)
		return;
	r = known_add_repo(d->known, repo_id_of(repo), &now->id);
	real = known_repo(d->known, &now->id);
	if (r == 0 && real)
		r = list_commit(d, job, real, now->commit);
	if (r == 0 && real)
		r = known_set_ref(d->known, real, ref, now->commit);
	log_info("repo=%s is called %s now", repo_id_of(repo)->name, now->id.name);
	if (r < 0)
		log_warn(r, "cannot note what repo=%s has", now->id.name);
}

/* Every failure leaves an older answer standing, but the hubs' own word that it is gone. That they
 * have no such commit, when its files are asked for, is no word about the ref. */
int discover_ref(const struct discover *d, struct flight_job *job, struct repo *repo,
		 const char *ref)
{
	struct revision_question q = { .id = repo_id_of(repo), .revision = ref };
	int r = ask_hubs(d, job, ask_revision, &q);
	bool all_gone = note_gone(repo, r), gone = all_gone || r == ERR_NOREV;

	if (r == 0) {
		known_set_restricted(repo, !q.answer.is_open);
		note_name(d, job, repo, ref, &q.answer);
	}
	if (r == 0)
		r = list_commit(d, job, repo, q.answer.commit);
	if (r == 0)
		return known_set_ref(d->known, repo, ref, q.answer.commit);
	report(r, q.id, ref);
	if (stands(d, gone, all_gone) && has_old(d, repo, ref)) {
		log_warn(r, "ref=%s of repo=%s stands as it was", ref, q.id->name);
		return gone ? known_keep_ref(d->known, repo, ref)
			    : known_fail_ref(d->known, repo, ref);
	}
	if (gone && known_drop_ref(d->known, repo, ref) < 0)
		log_debug("cannot forget ref=%s", ref);
	return r == ERR_NOREV && gone ? find_below(d, job, repo, ref) : r;
}

int discover_commit(const struct discover *d, struct flight_job *job, struct repo *repo,
		    const char *commit)
{
	int r = list_commit(d, job, repo, commit);

	if (r < 0 && !repo_is_hosted(repo))
		note_gone(repo, r);
	return r < 0 ? report(r, repo_id_of(repo), commit) : 0;
}

struct doc_question {
	const struct repo_id *id;
	const char *tail;
	struct jdoc *doc;
	struct buf *next;
};

static int ask_doc(struct hub *h, struct httpc_cancel *cancel, void *arg, int64_t *ret_wait_ms)
{
	struct doc_question *q = arg;

	return hub_get_doc(h, q->id, q->tail, cancel, &q->doc, q->next, ret_wait_ms);
}

int discover_doc(const struct discover *d, struct flight_job *job, struct repo *repo,
		 const char *tail, struct jdoc **ret, struct buf *ret_next)
{
	struct doc_question q = { .id = repo_id_of(repo), .tail = tail, .next = ret_next };
	int r = ask_hubs(d, job, ask_doc, &q);

	if (r != ERR_GATED) /* hubs tell of repositories whose files are gated */
		note_gone(repo, r);
	if (r < 0)
		return report(r, q.id, tail);
	*ret = q.doc;
	return 0;
}
