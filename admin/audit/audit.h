/* SPDX-License-Identifier: Apache-2.0 */
/* The audit trail: who did what, when, from where. Records are lines in append-only segments below
 * DIR/audit, chained by hashes (audit_record.h); a thread of its own writes and flushes them.
 * Format, order of writes, and what a full disk does: docs/audit.md. Threads: any. */
#ifndef MATRIXFS_AUDIT_H
#define MATRIXFS_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/audit/audit_open.h"
#include "admin/audit/audit_writer.h"

struct audit;

struct audit_conf {
	const char *dir;        /* the data directory */
	uint64_t segment_bytes; /* a segment ends when it has so many */
	int64_t keep_s;         /* segments whose records are all older go; 0: none does */
	bool strict;            /* no disk, no reads: see audit_may_read */
	struct db *db;          /* bears witness of the trail, or NULL; it is there longer */
};

/* Opens the trail, mends what a crash left, and records the start. Sentences in why. */
MUST_USE int audit_open(const struct audit_conf *conf, struct audit **ret, struct buf *why);
/* Records what is still open and the stop, and makes all durable: what is recorded later is lost.
 * False if that is not done at deadline_ms (clock_ms()), as with a disk that hangs: then it must
 * stay, and so must its db. Once. NULL is none, as below. */
MUST_USE bool audit_stop(struct audit *a, int64_t deadline_ms);
/* After it was stopped; nobody may be using it any more. */
void audit_free(struct audit *a);

/* Records an event; durable within about a second. Waits while the queue is full, as long as the
 * disk takes records; if it does not, the event is counted as lost, and the count is recorded when
 * it does again. NULL is no trail: nothing happens. */
void audit_note(struct audit *a, const struct audit_record *rec);
/* The same for what must be durable before anybody hears of success: a change that was made.
 * PARKED: w is woken when it is, or with the failure of the disk. w NULL: waits, at most
 * AUDIT_COMMIT_MS. Then answer the failure, not success: the change stands, and its record is
 * still tried. 0 with no trail. */
MUST_USE int audit_commit(struct audit *a, const struct audit_record *rec, struct waiter *w);
/* To be asked before a change is made: 0, or why it must be refused (ERR_FULL, -EIO, ...), since it
 * could not be recorded. Room for many records is reserved on the disk, so that what was allowed
 * can be recorded. */
MUST_USE int audit_may_change(const struct audit *a);
/* The same of reads: refused only with `strict`. */
MUST_USE int audit_may_read(const struct audit *a);

/* The many requests of one download are one event: those of the same user, token, address, agent,
 * repository, commit and file, until none is under way and none came for AUDIT_IDLE_MS, or all
 * bytes of the file have gone out. begin: bytes will be sent; end: they were, the first `sent` of
 * the spans, one after the other; `cut`: there were to be more, and rec->why (a text that stays)
 * says why not. Each begin has its end, with the same record. */
#define AUDIT_IDLE_MS 30000
void audit_download_begin(struct audit *a, const struct audit_record *rec);
void audit_download_end(struct audit *a, const struct audit_record *rec,
			const struct audit_span *spans, unsigned count, uint64_t sent, bool cut);
/* What was refused: the first of its kind, user, token, address and file is recorded at once, those
 * that follow within AUDIT_FLOOD_MS as one event with their number. */
#define AUDIT_FLOOD_MS 60000
void audit_refusal(struct audit *a, const struct audit_record *rec);

/* Counters, for /metrics and /readyz. Zeroes with no trail. */
void audit_stats(struct audit *a, struct audit_stats *ret);

/* How far the trail is durable: verifying up to there finds what was cut off at its end. */
void audit_mark(struct audit *a, struct audit_mark *ret);

#endif
