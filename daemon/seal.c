/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/seal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/chunk.h"

#define THREADS_MAX 4
#define PIECE_BYTES (256 << 10)
#define PIECES_A_TURN 64 /* digested before another pull gets its turn */
#define NICE 10          /* readers come first */

struct sealer {
	struct sealer_conf conf;
	pthread_t threads[THREADS_MAX];
	unsigned started;
};

enum verdict { DIGEST_GOES_ON, DIGEST_RIGHT, DIGEST_WRONG };

/* Compares the finished digest and frees it. */
static int judge(struct pull *p, enum verdict *ret)
{
	uint8_t value[DIGEST_BYTES_MAX];
	int r = digest_final(p->digest, value);

	digest_free(steal(p->digest));
	if (r < 0)
		return r;
	*ret = memcmp(value, p->what.file.digest, digest_size(p->what.file.kind)) == 0
		       ? DIGEST_RIGHT
		       : DIGEST_WRONG;
	return 0;
}

/* Digests the next chunks that are there, at most one turn's worth. */
static int digest_turn(struct pull *p, enum verdict *ret)
{
	CLEANUP(freep) char *piece = malloc(PIECE_BYTES);
	uint64_t size = p->what.file.size;
	int r = piece ? 0 : -ENOMEM;

	if (r == 0 && !p->digest)
		r = digest_new(p->what.file.kind, size, &p->digest);
	for (int i = 0; r == 0 && i < PIECES_A_TURN && p->hashed < size; i++) {
		uint64_t left = chunk_end(chunk_of(p->hashed), size) - p->hashed;
		size_t len = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;

		if (!blob_has(p->blob, chunk_of(p->hashed)))
			return 0;
		r = blob_read(p->blob, piece, len, p->hashed);
		if (r == 0)
			r = digest_update(p->digest, piece, len);
		p->hashed += len;
	}
	if (r == 0 && p->hashed == size)
		r = judge(p, ret);
	return r < 0 ? log_err(r, "cannot digest etag=%s path=%s", p->what.etag, p->what.path) : 0;
}

static const char *source_of(struct sealer *s, struct pull *p)
{
	const char *source;

	lock_take(&s->conf.pulls->lock);
	source = p->source ? p->source : "";
	lock_drop(&s->conf.pulls->lock);
	return source;
}

/* Flushes, records, seals. */
static int seal(struct sealer *s, struct pull *p)
{
	struct catalog_blob row = { .size = p->what.file.size, .sealed = true };
	int r = blob_sync(p->blob);

	snprintf(row.source, sizeof(row.source), "%s", source_of(s, p));
	if (r == 0)
		r = catalog_put_blob(s->conf.catalog, p->what.etag, &row);
	if (r < 0)
		return log_err(r, "cannot seal etag=%s path=%s", p->what.etag, p->what.path);
	r = blob_seal(p->blob);
	if (r < 0) /* made room for others meanwhile: it may come whole another time */
		return r;
	metrics_count(s->conf.metrics, sealed, 1);
	log_debug("sealed etag=%s repo=%s path=%s", p->what.etag, p->what.repo.name, p->what.path);
	return 0;
}

static void distrust_locked(struct sealer *s, struct pull *p)
{
	distrust_blame(&p->distrust, p->sources_used, s->conf.source_count, clock_ms());
	p->sources_used = 0;
	p->verified_only = true;
	p->all_wanted = false;
	p->hashed = 0;
}

/* A restart is no reason to trust the blob again. */
static void note_distrust(struct sealer *s, struct pull *p)
{
	struct catalog_blob row = { .size = p->what.file.size, .distrusted = true };

	if (catalog_put_blob(s->conf.catalog, p->what.etag, &row) < 0)
		log_debug("the next start will trust etag=%s again", p->what.etag);
}

static void reject(struct sealer *s, struct pull *p)
{
	struct pulls *pulls = s->conf.pulls;
	const char *liar = source_of(s, p);
	struct waitlist settled = { 0 };
	int r;

	lock_take(&pulls->lock);
	distrust_locked(s, p);
	lock_drop(&pulls->lock);
	r = blob_drop(p->blob);
	note_distrust(s, p);
	lock_take(&pulls->lock);
	p->all_wanted = false; /* whoever wanted meanwhile saw the bytes still there */
	if (r < 0 || p->distrust.barred_until_ms > clock_ms())
		waitlist_settle_all(&p->waiters, r < 0 ? r : ERR_DIGEST, &settled);
	else if (p->waiters.first)
		r = pull_want_all_locked(p);
	if (r == 0)
		r = streams_kick_locked(s->conf.streams);
	if (r < 0)
		waitlist_settle_all(&p->waiters, r, &settled);
	lock_drop(&pulls->lock);
	waitlist_wake(&settled);
	s->conf.on_wrong(s->conf.arg, p->what.etag);
	metrics_count(s->conf.metrics, wrong_digests, 1);
	if (s->conf.failures)
		failures_note(s->conf.failures, p->what.etag, liar, ERR_DIGEST);
	log_err(ERR_DIGEST, "dropped etag=%s repo=%s path=%s source=%s, will fetch it again",
		p->what.etag, p->what.repo.name, p->what.path, liar);
}

/* Digesting or sealing failed (r says how, and was logged): the next read begins it anew. Who
 * waits for verified bytes learns it now. */
static void digest_anew(struct sealer *s, struct pull *p, int r)
{
	struct waitlist settled = { 0 };

	digest_free(steal(p->digest));
	lock_take(&s->conf.pulls->lock);
	p->hashed = 0;
	if (p->verified_only)
		waitlist_settle_all(&p->waiters, r, &settled);
	lock_drop(&s->conf.pulls->lock);
	waitlist_wake(&settled);
}

static void conclude(struct sealer *s, struct pull *p, enum verdict verdict)
{
	struct pulls *pulls = s->conf.pulls;
	struct waitlist settled = { 0 };
	int r;

	if (verdict == DIGEST_WRONG) {
		reject(s, p);
		return;
	}
	if (verdict != DIGEST_RIGHT)
		return;
	r = seal(s, p);
	if (r < 0) {
		digest_anew(s, p, r);
		return;
	}
	lock_take(&pulls->lock);
	p->distrust = (struct distrust){ 0 };
	p->verified_only = false;
	p->hashed = 0; /* the seal may be broken again by what scrub finds */
	pull_settle_ready_locked(p, &settled);
	lock_drop(&pulls->lock);
	waitlist_wake(&settled);
}

static struct pull *pop_locked(struct pulls *all)
{
	struct pull *p = all->hash_first;

	if (!p)
		return NULL;
	all->hash_first = p->hash_next;
	if (!all->hash_first)
		all->hash_end = &all->hash_first;
	p->hash_queued = false;
	p->hash_busy = true;
	return p;
}

static void work_on(struct sealer *s, struct pull *p)
{
	enum verdict verdict = DIGEST_GOES_ON;
	struct pulls *pulls = s->conf.pulls;
	struct pull *idle;
	int r = digest_turn(p, &verdict);

	if (r == 0)
		conclude(s, p, verdict);
	else
		digest_anew(s, p, r);
	lock_take(&pulls->lock);
	p->hash_busy = false;
	p->moved_ms = clock_ms(); /* who waits for the verdict sees that it comes nearer */
	/* What came meanwhile (after a wrong digest perhaps all of it) could not queue the pull.
	 * Of an empty file nothing ever comes. */
	if (verdict != DIGEST_RIGHT && r == 0 && p->what.file.size)
		pull_hash_kick_locked(p);
	idle = pull_if_idle_locked(p);
	lock_drop(&pulls->lock);
	pull_free(idle);
}

static void *sealer_main(void *arg)
{
	struct sealer *s = arg;
	struct pulls *pulls = s->conf.pulls;

	setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	lock_take(&pulls->lock);
	while (!pulls->stop) {
		struct pull *p = pop_locked(pulls);

		if (!p) {
			cond_wait(&pulls->hash_work, &pulls->lock, CLOCK_FOREVER);
			continue;
		}
		lock_drop(&pulls->lock);
		work_on(s, p);
		lock_take(&pulls->lock);
	}
	lock_drop(&pulls->lock);
	return NULL;
}

int sealer_start(const struct sealer_conf *conf, struct sealer **ret)
{
	struct sealer *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return -ENOMEM;
	s->conf = *conf;
	while (r == 0 && s->started < conf->threads && s->started < THREADS_MAX) {
		r = thread_start(&s->threads[s->started], "mfs-seal", sealer_main, s);
		s->started += r == 0;
	}
	if (s->started == 0) {
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void sealer_stop(struct sealer *s)
{
	if (!s)
		return;
	lock_take(&s->conf.pulls->lock);
	cond_wake_all(&s->conf.pulls->hash_work);
	lock_drop(&s->conf.pulls->lock);
	for (unsigned i = 0; i < s->started; i++)
		pthread_join(s->threads[i], NULL);
	free(s);
}
