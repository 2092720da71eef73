/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit_writer.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "admin/audit/audit_saved.h"
#include "admin/audit/audit_witness.h"
#include "admin/audit/outbox.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"

#define IDLE_MS 60000
#define RECORD_BYTES 700 /* that most of them do not reach */
#define WITNESS_MS 5000  /* between two that bear witness, or so many records */
#define WITNESS_RECORDS 1000

static const struct outbox_conf queue = {
	.max_bytes = 4 * 1024 * 1024,
	.room_ms = 10000,
	.hurry_bytes = 1024 * 1024,
	.flush_ms = AUDIT_FLUSH_MS,
};

/* What stands before each body in the queue. */
struct queued {
	int64_t time_ms;
	size_t len;
};

struct audit_writer {
	struct audit_writer_conf conf;
	struct outbox box;
	pthread_t thread;
	bool started;
	atomic_int refusing; /* why changes must be refused, or 0 */
	/* The thread's. */
	struct audit_chain *chain;
	struct buf taken;    /* from the queue */
	size_t chained;      /* bytes of it */
	uint64_t number;     /* of the last that is chained, as the outbox counts */
	bool busy;           /* another round is to come soon */
	int64_t retained_ms; /* when it looked for old segments */
	struct audit_mark witnessed;
	int64_t witnessed_ms;
	/* Of events that were lost: those before the start, those that a record tells of, and those
	 * of which it is durable. */
	uint64_t before, told, told_durable;
	int lostfd;     /* or -1 */
	uint64_t noted; /* there */
	struct lock lock;
	struct cond done; /* something was written, or could not be */
	/* Guarded by lock. */
	uint64_t durable;           /* number of the last that is */
	struct waitlist committers; /* off: the number of their record */
	uint64_t failures;          /* of writing */
	int failed;                 /* of the last time */
	struct audit_stats stats;
	struct audit_mark mark;
};

/* --- putting in */

/* A record as it lies in the queue. */
static void print(const struct audit_record *rec, struct buf *ret)
{
	struct queued head = { .time_ms = clock_wall_ms() };

	buf_reserve(ret, RECORD_BYTES);
	buf_add(ret, &head, sizeof(head));
	audit_record_body(rec, ret);
	head.len = ret->len - sizeof(head);
	if (ret->failed)
		buf_clear(ret); /* it is lost, as one without a body is */
	else
		memcpy(ret->data, &head, sizeof(head));
}

void audit_writer_put(struct audit_writer *w, const struct audit_record *rec)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	print(rec, &text);
	outbox_put(&w->box, text.data, text.len);
}

/* Its number, or 0 if it is lost. */
static uint64_t push(struct audit_writer *w, const struct audit_record *rec)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	print(rec, &text);
	return outbox_push(&w->box, text.data, text.len);
}

void audit_writer_push(struct audit_writer *w, const struct audit_record *rec)
{
	(void)push(w, rec);
}

void audit_writer_push_body(struct audit_writer *w, const char *body, size_t len)
{
	const struct queued head = { clock_wall_ms(), len };
	CLEANUP(buf_free) struct buf text = { 0 };

	buf_add(&text, &head, sizeof(head));
	buf_add(&text, body, len);
	outbox_push(&w->box, text.data, text.failed ? 0 : text.len);
}

void audit_writer_wait_for_room(struct audit_writer *w)
{
	outbox_wait_for_room(&w->box);
}

bool audit_writer_has_room(struct audit_writer *w)
{
	return outbox_has_room(&w->box);
}

void audit_writer_nudge(struct audit_writer *w)
{
	outbox_nudge(&w->box);
}

/* --- what must be durable */

static int wait_for_locked(struct audit_writer *w, uint64_t number, uint64_t failures)
{
	int64_t until_ms = clock_ms() + AUDIT_COMMIT_MS;

	while (w->durable < number && w->failures == failures && clock_ms() < until_ms)
		cond_wait(&w->done, &w->lock, until_ms);
	if (w->durable >= number)
		return 0;
	return w->failures == failures ? ERR_TIMEOUT : w->failed;
}

static uint64_t failures_of(struct audit_writer *w)
{
	uint64_t failures;

	lock_take(&w->lock);
	failures = w->failures;
	lock_drop(&w->lock);
	return failures;
}

static int park_locked(struct audit_writer *w, uint64_t number, struct waiter *waiter)
{
	if (w->durable >= number)
		return 0;
	waiter->off = number;
	waitlist_add(&w->committers, waiter);
	return PARKED;
}

int audit_writer_commit(struct audit_writer *w, const struct audit_record *rec,
			struct waiter *waiter)
{
	uint64_t failures = failures_of(w), number = push(w, rec);
	int r;

	outbox_hurry(&w->box);
	lock_take(&w->lock);
	if (!number)
		r = w->failed ? w->failed : -ENOMEM;
	else if (w->failures != failures && w->durable < number && w->failed)
		r = w->failed;
	else
		r = waiter ? park_locked(w, number, waiter) : wait_for_locked(w, number, failures);
	lock_drop(&w->lock);
	return r;
}

int audit_writer_refusing(const struct audit_writer *w)
{
	return atomic_load(&w->refusing);
}

/* --- a round */

/* Ever. */
static uint64_t lost_of(struct audit_writer *w)
{
	return w->before + outbox_lost(&w->box);
}

static void tell_lost(struct audit_writer *w)
{
	uint64_t lost = lost_of(w);
	const struct audit_record rec = {
		.kind = AUDIT_HUB,
		.act = "lost",
		.outcome = AUDIT_FAILED,
		.requests = lost - w->told,
		.note = "so many events could not be recorded",
	};

	if (lost != w->told && !w->failed && push(w, &rec))
		w->told = lost;
}

static void take(struct audit_writer *w)
{
	buf_free(&w->taken);
	w->chained = 0;
	outbox_take(&w->box, &w->taken);
}

/* Chains what was taken, as far as the segment has room. What there is no memory for stays, with
 * what follows it, for the next round. */
static int chain_taken(struct audit_writer *w)
{
	const char *at = buf_str(&w->taken);
	struct queued head;
	int r = 0;

	while (w->chained < w->taken.len) {
		memcpy(&head, at + w->chained, sizeof(head));
		r = audit_chain_add(w->chain, head.time_ms, at + w->chained + sizeof(head),
				    head.len);
		if (r != 0)
			break;
		w->chained += sizeof(head) + head.len;
		w->number++;
	}
	return r < 0 ? r : 0;
}

/* Old segments go; that may make room. */
static int retain(struct audit_writer *w)
{
	int64_t now_ms = clock_wall_ms();

	if (!w->conf.keep_s || clock_ms() < w->retained_ms + IDLE_MS)
		return 0;
	w->retained_ms = clock_ms();
	return audit_chain_retain(w->chain, now_ms - w->conf.keep_s * 1000, now_ms);
}

static int flush(struct audit_writer *w)
{
	int r = audit_chain_flush(w->chain, clock_wall_ms());

	if (r == 0)
		r = retain(w);
	/* Before changes may be begun again: a queue that is full and stuck loses their records. */
	if (r == 0)
		outbox_stick(&w->box, false);
	/* Without a reserve what there is can still be recorded, but nothing new may be begun. */
	atomic_store(&w->refusing, r < 0 ? r : audit_chain_reserve(w->chain));
	return r;
}

static void settle_locked(struct audit_writer *w, int r, struct waitlist *settled)
{
	struct waiter *waiter, *next;

	if (!audit_chain_waiting(w->chain))
		w->durable = w->number;
	for (waiter = w->committers.first; waiter; waiter = next) {
		next = waiter->next;
		if (waiter->off <= w->durable)
			waitlist_settle(waiter, 0, settled);
		else if (r < 0)
			waitlist_settle(waiter, r, settled);
	}
	if (r < 0 && !w->failed)
		log_err(r, "the audit trail cannot be written: changes are refused");
	if (r == 0 && w->failed)
		log_info("the audit trail is written again");
	w->failures += r < 0;
	w->failed = r;
	w->stats.segments = audit_chain_segments(w->chain, &w->stats.bytes);
	w->stats.records -= w->mark.seq;
	audit_chain_mark(w->chain, &w->mark);
	w->stats.records += w->mark.seq;
	cond_wake_all(&w->done);
}

/* The queue is taken when nothing is left of the one before. */
static int write_all(struct audit_writer *w)
{
	int r = w->failed ? flush(w) : 0;

	if (r == 0 && w->chained == w->taken.len)
		take(w);
	while (r == 0) {
		int chained = chain_taken(w);

		r = flush(w);
		if (r == 0 && chained < 0)
			atomic_store(&w->refusing, r = chained);
		if (w->chained == w->taken.len)
			break;
	}
	return r;
}

static void write_some(struct audit_writer *w)
{
	struct waitlist settled = { 0 };
	int r = write_all(w);

	outbox_stick(&w->box, r < 0);
	lock_take(&w->lock);
	settle_locked(w, r, &settled);
	lock_drop(&w->lock);
	waitlist_wake(&settled);
}

/* How many would be lost if it ended now. One of those that wait may be the record of others. */
static uint64_t missing_of(struct audit_writer *w)
{
	uint64_t waiting = outbox_count(&w->box) - w->durable;

	return lost_of(w) - w->told_durable + waiting - (w->told > w->told_durable && waiting);
}

/* What is not told of is counted where a full disk does not matter, for the next start. */
static void note_lost(struct audit_writer *w)
{
	uint64_t missing;

	if (!w->failed && w->durable)
		w->told_durable = w->told;
	missing = w->failed ? missing_of(w) : lost_of(w) - w->told_durable;
	if (missing != w->noted && w->lostfd >= 0 && audit_lost_put(w->lostfd, missing) == 0)
		w->noted = missing;
}

/* Somebody else is told how far it reaches: the hub's metadata now and then, the log when it counts
 * most. */
static void bear_witness(struct audit_writer *w, bool stop)
{
	bool anew = stop || w->mark.segment != w->witnessed.segment;
	int r;

	if (w->mark.seq == w->witnessed.seq ||
	    (!anew && w->mark.seq < w->witnessed.seq + WITNESS_RECORDS &&
	     clock_ms() < w->witnessed_ms + WITNESS_MS))
		return;
	r = w->conf.db ? audit_witness_put(w->conf.db, &w->mark) : 0;
	if (r < 0)
		log_warn(r, "the hub's metadata cannot bear witness of the audit trail");
	if (anew)
		log_info("the audit trail reaches seq=%ju hash=%s", (uintmax_t)w->mark.seq,
			 w->mark.hash);
	w->witnessed = w->mark;
	w->witnessed_ms = clock_ms();
}

static int64_t next_round_ms(const struct audit_writer *w)
{
	bool soon = w->busy || w->failed || audit_writer_refusing(w) ||
		    w->mark.seq != w->witnessed.seq;

	return clock_ms() + (soon ? AUDIT_FLUSH_MS : IDLE_MS);
}

static void *run(void *arg)
{
	struct audit_writer *w = arg;
	bool stop = false;

	while (!stop) {
		stop = !outbox_wait(&w->box, next_round_ms(w));
		w->busy = w->conf.before(w->conf.arg, stop);
		tell_lost(w);
		write_some(w);
		note_lost(w);
		w->conf.after(w->conf.arg, stop);
		bear_witness(w, stop);
	}
	outbox_end(&w->box);
	return NULL;
}

/* --- opening and closing */

void audit_writer_free(struct audit_writer *w)
{
	if (!w)
		return;
	audit_chain_close(w->chain);
	closep(&w->lostfd);
	buf_free(&w->taken);
	outbox_fini(&w->box);
	cond_fini(&w->done);
	lock_fini(&w->lock);
	free(w);
}

static int open_chain(struct audit_writer *w, struct audit_mended *ret_mended)
{
	struct audit_mark witness;
	int r = w->conf.db ? audit_witness_get(w->conf.db, &witness) : -ENOENT;

	if (r < 0 && r != -ENOENT)
		log_err(r, "the hub's metadata do not tell how far the audit trail reached");
	return audit_chain_open(w->conf.dirfd, w->conf.segment_bytes, r == 0 ? &witness : NULL,
				clock_wall_ms(), &w->chain, ret_mended);
}

int audit_writer_open(const struct audit_writer_conf *conf, struct audit_writer **ret,
		      struct audit_mended *ret_mended)
{
	struct audit_writer *w = calloc(1, sizeof(*w));
	int dirfd = conf->dirfd, r;

	if (!w) {
		closep(&dirfd);
		return -ENOMEM;
	}
	w->conf = *conf;
	outbox_init(&w->box, &queue);
	lock_init(&w->lock, LOCK_AUDIT_WRITER);
	cond_init(&w->done);
	w->lostfd = audit_lost_open(dirfd, &w->before);
	w->noted = w->before;
	r = open_chain(w, ret_mended);
	if (r < 0) {
		audit_writer_free(w);
		return r;
	}
	atomic_store(&w->refusing, audit_chain_reserve(w->chain));
	audit_chain_mark(w->chain, &w->mark);
	*ret = w;
	return 0;
}

int audit_writer_start(struct audit_writer *w)
{
	int r = thread_start(&w->thread, "mfs-audit", run, w);

	w->started = r == 0;
	return r;
}

static void tell_hanging(struct audit_writer *w)
{
	uint64_t durable;

	lock_take(&w->lock);
	durable = w->durable;
	lock_drop(&w->lock);
	log_err(ERR_TIMEOUT, "the audit trail does not take the last events events=%ju",
		(uintmax_t)(outbox_count(&w->box) - durable));
}

bool audit_writer_stop(struct audit_writer *w, int64_t deadline_ms)
{
	if (!w || !w->started)
		return true;
	if (!outbox_stop(&w->box, deadline_ms)) {
		tell_hanging(w);
		return false;
	}
	pthread_join(w->thread, NULL);
	w->started = false;
	if (w->failed)
		log_err(w->failed, "the last events could not be recorded events=%ju",
			(uintmax_t)missing_of(w));
	return true;
}

/* --- what it is */

void audit_writer_stats(struct audit_writer *w, struct audit_stats *ret)
{
	lock_take(&w->lock);
	*ret = w->stats;
	ret->failed = w->failed;
	lock_drop(&w->lock);
	ret->lost = outbox_lost(&w->box);
	ret->queued = outbox_bytes(&w->box);
}

void audit_writer_mark(struct audit_writer *w, struct audit_mark *ret)
{
	lock_take(&w->lock);
	*ret = w->mark;
	lock_drop(&w->lock);
}
