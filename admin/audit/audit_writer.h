/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that writes the audit trail: what was put is chained, written, and flushed with one
 * fdatasync for all who wait for theirs; old segments are dropped. What a full disk does not take
 * is kept, as far as there is room, and then counted; the next start tells of it. Threads: any, but
 * to open and to close. */
#ifndef MATRIXFS_AUDIT_WRITER_H
#define MATRIXFS_AUDIT_WRITER_H

#include <stdbool.h>

#include "admin/audit/audit_chain.h"
#include "admin/db.h"
#include "daemon/base/wait.h"

#define AUDIT_FLUSH_MS 1000 /* the longest an event is in memory alone */

struct audit_writer;

struct audit_writer_conf {
	int dirfd;              /* of the trail; taken */
	uint64_t segment_bytes; /* a segment ends when it has so many */
	int64_t keep_s;         /* segments whose records are all older go; 0: none does */
	struct db *db;          /* bears witness of the trail, or NULL */
	/* On the writer's thread, each round: before it takes what there is (true: there is more to
	 * come, look again soon), and when that was written. stop: this is the last round. */
	bool (*before)(void *arg, bool stop);
	void (*after)(void *arg, bool stop);
	void *arg;
};

struct audit_stats {
	uint64_t records; /* written since the start */
	uint64_t lost;    /* since the start */
	uint64_t bytes;   /* of all segments */
	uint64_t segments;
	uint64_t queued; /* bytes that wait to be written */
	uint64_t open;   /* downloads that are not over */
	int failed;      /* why records cannot be written now, or 0 */
};

/* Opens the trail and mends it. What is put from now on is written when the thread was started. */
MUST_USE int audit_writer_open(const struct audit_writer_conf *conf, struct audit_writer **ret,
			       struct audit_mended *ret_mended);
MUST_USE int audit_writer_start(struct audit_writer *w);
/* Writes what there is: what is put later is lost. False if that is not done at deadline_ms
 * (clock_ms()), as with a disk that hangs: then all must stay. NULL is none, as below. */
MUST_USE bool audit_writer_stop(struct audit_writer *w, int64_t deadline_ms);
/* It was stopped, or not started; nobody may be using it any more. */
void audit_writer_free(struct audit_writer *w);

/* Puts a record, when there is room or it waited for that in vain: then it is lost. */
void audit_writer_put(struct audit_writer *w, const struct audit_record *rec);
/* Puts a record, or the body of one, at once. */
void audit_writer_push(struct audit_writer *w, const struct audit_record *rec);
void audit_writer_push_body(struct audit_writer *w, const char *body, size_t len);
/* Puts one that is to be durable. PARKED: waiter is woken when it is, or with the failure of the
 * disk; NULL: waits, at most AUDIT_COMMIT_MS. */
#define AUDIT_COMMIT_MS 10000
MUST_USE int audit_writer_commit(struct audit_writer *w, const struct audit_record *rec,
				 struct waiter *waiter);
/* Waits for room for what is going to be pushed; true if nobody would have to. */
void audit_writer_wait_for_room(struct audit_writer *w);
bool audit_writer_has_room(struct audit_writer *w);
/* Its next round is now. */
void audit_writer_nudge(struct audit_writer *w);

/* Why nothing new may be begun that has to be recorded, or 0. */
int audit_writer_refusing(const struct audit_writer *w);
/* All but `open`. */
void audit_writer_stats(struct audit_writer *w, struct audit_stats *ret);
/* The last record that is durable. */
void audit_writer_mark(struct audit_writer *w, struct audit_mark *ret);

#endif
