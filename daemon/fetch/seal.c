/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/seal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/cache/blob_lists.h"
#include "daemon/cache/chunk.h"

#define THREADS_MAX 4
#define PIECE_BYTES (256 << 10)
#define PIECES_A_TURN 64 /* digested before another pull gets its turn */
#define NICE 10          /* readers come first */
#define VERIFYING_MAX 5  /* of one blob, before all of it is dropped */

struct sealer {
	struct sealer_conf conf;
	struct doubts *doubts; /* NULL: nobody could look into any */
	pthread_t threads[THREADS_MAX];
	unsigned started;
};

enum verdict {
	DIGEST_GOES_ON,
	DIGEST_LOST, /* the chunk that came next has turned out wrong */
	DIGEST_RIGHT,
	DIGEST_WRONG,
};

/* What came of a turn. */
struct outcome {
	enum verdict verdict;
	bool doubted; /* somebody looks into it now, and has the pull */
};

/* Compares the finished digest and frees it. */
static int judge(struct pull *p, struct outcome *ret)
{
	struct chunk_list *list = NULL;
	uint8_t value[DIGEST_BYTES_MAX];
	int r = chunk_listing_end(p->digest, value, &list);

	chunk_listing_free(steal(p->digest));
	chunk_list_free(p->list);
	p->list = list;
	if (r < 0)
		return r;
	ret->verdict = memcmp(value, p->what.file.digest, digest_size(p->what.file.kind)) == 0
			       ? DIGEST_RIGHT
			       : DIGEST_WRONG;
	return 0;
}

/* Of a blob that is held: what is there is not given back before it is digested. 1 if it was. */
static int digest_held(struct pull *p, char *piece, enum verdict *ret)
{
	uint32_t i = chunk_of(p->hashed);
	uint64_t left = chunk_end(i, p->what.file.size) - p->hashed;
	size_t len = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
	bool had = blob_may_have(p->blob, i);
	int r;

	if (!blob_still_has(p->blob, i)) {
		*ret = had ? DIGEST_LOST : DIGEST_GOES_ON;
		return 0;
	}
	blob_note_digested(p->blob, i + 1); /* before: what goes meanwhile counts, too */
	r = blob_read(p->blob, piece, len, p->hashed);
	if (r == 0)
		r = chunk_listing_update(p->digest, piece, len);
	p->hashed += len;
	return r < 0 ? r : 1;
}

static int begin_digest(const struct sealer *s, struct pull *p)
{
	p->rotten_before = blob_rotten(p->blob);
	blob_note_digested(p->blob, 0);
	return chunk_listing_begin(p->what.file.kind, p->what.file.size, s->conf.lists, &p->digest);
}

/* Digests the next chunks that are there, at most one turn's worth. -EAGAIN: some that were
 * digested have gone since. */
static int digest_turn(const struct sealer *s, struct pull *p, struct outcome *ret)
{
	CLEANUP(freep) char *piece = malloc(PIECE_BYTES);
	uint64_t size = p->what.file.size;
	int r = piece ? 0 : -ENOMEM, more = 1;

	if (p->digest && !blob_digest_stands(p->blob))
		return -EAGAIN;
	if (r == 0 && !p->digest)
		r = begin_digest(s, p);
	for (int i = 0; r == 0 && more && i < PIECES_A_TURN && p->hashed < size; i++) {
		blob_hold(p->blob);
		more = digest_held(p, piece, &ret->verdict);
		blob_let_go(p->blob);
		r = more < 0 ? more : 0;
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

/* Whoever was wrong once may be asked first again when the bytes are evicted. */
static bool is_distrusted(struct sealer *s, struct pull *p)
{
	bool so;

	lock_take(&s->conf.pulls->lock);
	so = p->distrust.strikes > 0;
	lock_drop(&s->conf.pulls->lock);
	return so;
}

/* Flushes, records, seals. */
static int seal(struct sealer *s, struct pull *p)
{
	struct catalog_blob row = { .size = p->what.file.size, .sealed = true };
	int r;

	/* Chunks were given back to make room for others, or have rotted: it may come whole another
	 * time. Those that have come again are not yet what was digested. */
	if (blob_present_bytes(p->blob) != p->what.file.size || !blob_digest_stands(p->blob))
		return -EAGAIN;
	r = blob_sync(p->blob);
	snprintf(row.source, sizeof(row.source), "%s", source_of(s, p));
	row.distrusted = is_distrusted(s, p);
	if (r == 0)
		r = catalog_put_blob(s->conf.catalog, p->what.etag, &row);
	if (r < 0)
		return log_err(r, "cannot seal etag=%s path=%s", p->what.etag, p->what.path);
	r = blob_seal(p->blob);
	if (r < 0) { /* at the last moment */
		if (catalog_unseal_blob(s->conf.catalog, p->what.etag) < 0)
			log_debug("a stale row is left etag=%s", p->what.etag);
		return r;
	}
	metrics_count(s->conf.outcry.metrics, sealed, 1);
	log_debug("sealed etag=%s repo=%s path=%s", p->what.etag, p->what.repo.name, p->what.path);
	return 0;
}

/* What has rotted here is no source's fault. */
static void distrust_locked(struct sealer *s, struct pull *p, bool rot)
{
	uint64_t hearsay = p->sources_used & s->conf.hearsay;

	atomic_fetch_add(&p->drops, 1);
	if (!rot) {
		distrust_blame(&p->distrust, hearsay ? hearsay : p->sources_used,
			       s->conf.source_count, clock_ms());
		p->sources_used = 0;
	}
	p->verified_only = true;
	p->doubted = false;
	p->all_wanted = false;
	p->hashed = 0;
}

/* Compares all chunks: true if some have changed since they came. Those are absent now, or have
 * come again since they were digested. */
static bool drop_rotten(struct pull *p)
{
	for (uint32_t i = 0; i < blob_chunks(p->blob); i++) {
		blob_hold(p->blob);
		(void)blob_check(p->blob, i);
		blob_let_go(p->blob);
	}
	return blob_rotten(p->blob) != p->rotten_before;
}

/* A restart is no reason to trust the blob again. */
static void note_distrust(struct sealer *s, struct pull *p)
{
	struct catalog_blob row = { .size = p->what.file.size, .distrusted = true };

	if (catalog_put_blob(s->conf.catalog, p->what.etag, &row) < 0)
		log_debug("the next start will trust etag=%s again", p->what.etag);
}

static int drop_all(struct sealer *s, struct pull *p)
{
	int r = blob_drop(p->blob);

	note_distrust(s, p);
	return r;
}

/* Nothing that came before a seal says anything about the bytes that are there now. */
static void tell_settled(struct sealer *s, const struct pull *p)
{
	if (s->conf.verifier.settled)
		s->conf.verifier.settled(s->conf.verifier.arg, p->what.etag, p->list);
}

static void tell_dropped(struct sealer *s, const struct pull *p)
{
	if (s->conf.verifier.dropped)
		s->conf.verifier.dropped(s->conf.verifier.arg, p->what.etag, p->list);
}

/* Drops what is wrong: what has rotted is gone already, else it is all. */
static void reject(struct sealer *s, struct pull *p, bool rot)
{
	struct pulls *pulls = s->conf.pulls;
	const char *liar = source_of(s, p);
	struct waitlist settled = { 0 };
	int r;

	lock_take(&pulls->lock);
	distrust_locked(s, p, rot);
	lock_drop(&pulls->lock);
	r = rot ? 0 : drop_all(s, p);
	if (!rot)
		tell_dropped(s, p);
	lock_take(&pulls->lock);
	pull_settle_verdict_locked(p, ERR_DIGEST, &settled);
	p->all_wanted = false; /* whoever wanted meanwhile saw the bytes still there */
	if (r < 0 || p->distrust.barred_until_ms > clock_ms())
		waitlist_settle_all(&p->waiters, r < 0 ? r : ERR_DIGEST, &settled);
	else if (p->waiters.first || (rot && p->readers))
		r = pull_want_all_locked(p);
	if (r == 0)
		r = streams_kick_locked(s->conf.streams);
	if (r < 0)
		waitlist_settle_all(&p->waiters, r, &settled);
	lock_drop(&pulls->lock);
	waitlist_wake(&settled);
	if (rot)
		outcry_rot(&s->conf.outcry, &p->what);
	else
		outcry_lie(&s->conf.outcry, &p->what, liar);
}

/* Has it looked into; false if there is no use in that. */
static bool begin_doubt(struct sealer *s, struct pull *p)
{
	struct waitlist settled = { 0 };

	if (!s->doubts || p->what.own || p->verified++ >= VERIFYING_MAX)
		return false;
	note_distrust(s, p);
	lock_take(&s->conf.pulls->lock);
	atomic_fetch_add(&p->drops, 1);
	p->verified_only = p->doubted = true;
	p->moved_ms = clock_ms();
	p->hashed = 0;
	pull_settle_verdict_locked(p, ERR_DIGEST, &settled);
	lock_drop(&s->conf.pulls->lock);
	waitlist_wake(&settled);
	outcry_doubt(&s->conf.outcry, &p->what);
	doubts_add(s->doubts, p);
	return true;
}

/* What is wrong is known, and gone: the rest need not wait for the seal. */
static void fetch_dropped(struct sealer *s, struct pull *p)
{
	struct waitlist settled = { 0 };
	int r = 0;

	lock_take(&s->conf.pulls->lock);
	p->verified_only = s->conf.pulls->strict;
	p->doubted = false;
	p->all_wanted = false;
	if (p->readers)
		r = pull_want_all_locked(p);
	if (r == 0)
		r = streams_kick_locked(s->conf.streams);
	if (r < 0)
		waitlist_settle_all(&p->waiters, r, &settled);
	pull_settle_ready_locked(p, &settled);
	lock_drop(&s->conf.pulls->lock);
	waitlist_wake(&settled);
}

/* Ends this thread's work on it. What came meanwhile (after a wrong digest perhaps all of it) could
 * not queue it. */
static void let_go(struct sealer *s, struct pull *p, bool again)
{
	struct pulls *pulls = s->conf.pulls;
	struct chunk_list *list = steal(p->list);
	struct pull *idle;

	lock_take(&pulls->lock);
	p->hash_busy = false;
	p->moved_ms = clock_ms(); /* who waits for the verdict sees that it comes nearer */
	if (again)
		pull_hash_kick_locked(p);
	idle = pull_if_idle_locked(p);
	lock_drop(&pulls->lock);
	chunk_list_free(list);
	pull_free(idle);
}

static void end_doubt(void *arg, struct pull *p, int dropped)
{
	struct sealer *s = arg;

	bool stands = blob_digest_stands(p->blob);

	if (!stands)
		chunk_list_free(steal(p->list));
	/* What went while it was looked for is what the digest of all spoke of. */
	if (dropped > 0 || (dropped == 0 && !stands))
		fetch_dropped(s, p);
	else if (dropped != ERR_CANCELED)
		reject(s, p, false);
	let_go(s, p, true);
}

/* Who has read past the chunk that was lost will not ask for it again. */
static void want_lost(struct sealer *s, struct pull *p)
{
	uint64_t start = chunk_start(chunk_of(p->hashed));
	int r = 0;

	lock_take(&s->conf.pulls->lock);
	p->all_wanted = false;
	if (p->readers)
		r = fill_want(&p->fill, start, start + 1, URGENCY_AHEAD, RUN_BYTES_MAX);
	if (r == 0)
		r = streams_kick_locked(s->conf.streams);
	lock_drop(&s->conf.pulls->lock);
	if (r < 0)
		log_debug("bytes that were lost are not asked for again: %s", err_text(r));
	if (pull_has_rotted(p))
		outcry_rot(&s->conf.outcry, &p->what);
}

/* Digesting or sealing failed (r says how, and was logged): the next read begins it anew. Who
 * waits for verified bytes learns it now. */
static void digest_anew(struct sealer *s, struct pull *p, int r)
{
	struct waitlist settled = { 0 };

	chunk_listing_free(steal(p->digest));
	lock_take(&s->conf.pulls->lock);
	p->hashed = 0;
	pull_settle_verdict_locked(p, r == -EAGAIN ? 0 : r, &settled);
	p->all_wanted = false;
	if (p->verified_only) /* of what is gone again the rest is had once more */
		waitlist_settle_all(&p->waiters, r == -EAGAIN ? 0 : r, &settled);
	lock_drop(&s->conf.pulls->lock);
	waitlist_wake(&settled);
}

/* After those who waited for the seal were woken: whoever wants the list can have it made. */
static void keep_list(const struct pull *p, const struct chunk_list *l)
{
	int r = l ? blob_put_chunk_list(p->blob, l) : 0;

	if (r < 0)
		log_warn(r, "cannot keep the digest list etag=%s", p->what.etag);
}

static void judge_wrong(struct sealer *s, struct pull *p, struct outcome *o)
{
	bool rot = drop_rotten(p);

	o->doubted = !rot && begin_doubt(s, p);
	if (!o->doubted)
		reject(s, p, rot);
}

/* Errors: as seal(). */
static int conclude(struct sealer *s, struct pull *p, struct outcome *o)
{
	struct pulls *pulls = s->conf.pulls;
	struct waitlist settled = { 0 };
	bool unverified;
	int r;

	if (o->verdict == DIGEST_WRONG)
		judge_wrong(s, p, o);
	else if (o->verdict == DIGEST_LOST)
		want_lost(s, p);
	if (o->verdict != DIGEST_RIGHT)
		return 0;
	r = seal(s, p);
	if (r < 0)
		return r;
	lock_take(&pulls->lock);
	unverified = p->distrust.unverified || p->distrust.trimmed || blob_was_trimmed(p->blob);
	p->distrust.unverified = p->distrust.trimmed = false;
	p->hashed = 0; /* the seal may be broken again by what scrub finds */
	pull_settle_ready_locked(p, &settled);
	lock_drop(&pulls->lock);
	waitlist_wake(&settled);
	if (unverified) /* the kernel may have kept what we have not */
		s->conf.outcry.on_wrong(s->conf.outcry.arg, p->what.etag);
	p->verified = 0;
	tell_settled(s, p);
	keep_list(p, p->list);
	return 0;
}

/* Another digest may bring the verdict, without waiting for a read. Of an empty file nothing ever
 * comes. */
static bool goes_on(const struct pull *p, enum verdict verdict, int r)
{
	return p->what.file.size && (r == -EAGAIN || (r == 0 && verdict != DIGEST_RIGHT));
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
	struct outcome o = { .verdict = DIGEST_GOES_ON };
	int r = digest_turn(s, p, &o);

	if (r == 0)
		r = conclude(s, p, &o);
	if (r < 0)
		digest_anew(s, p, r);
	if (!o.doubted)
		let_go(s, p, goes_on(p, o.verdict, r));
}

static void *sealer_main(void *arg)
{
	struct sealer *s = arg;
	struct pulls *pulls = s->conf.pulls;

	thread_be_nice(NICE);
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

static int start_doubts(struct sealer *s)
{
	struct doubts_conf conf = {
		.pulls = s->conf.pulls,
		.http = s->conf.http,
		.verifier = s->conf.verifier,
		.end = end_doubt,
		.arg = s,
	};

	return doubts_start(&conf, &s->doubts);
}

int sealer_start(const struct sealer_conf *conf, struct sealer **ret)
{
	struct sealer *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return -ENOMEM;
	s->conf = *conf;
	if (conf->verifier.look)
		r = start_doubts(s);
	while (r == 0 && s->started < conf->threads && s->started < THREADS_MAX) {
		r = thread_start(&s->threads[s->started], "mfs-seal", sealer_main, s);
		s->started += r == 0;
	}
	if (s->started == 0) {
		doubts_stop(s->doubts);
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
	doubts_stop(s->doubts);
	free(s);
}
