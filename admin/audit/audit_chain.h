/* SPDX-License-Identifier: Apache-2.0 */
/* The writing end of the trail: appends records, begins new segments, drops old ones. What was
 * flushed is durable; what was added and could not be flushed is kept and tried again. One thread
 * at a time. */
#ifndef MATRIXFS_AUDIT_CHAIN_H
#define MATRIXFS_AUDIT_CHAIN_H

#include "admin/audit/audit_files.h"

struct audit_chain;

/* What was found at opening, and mended. */
struct audit_mended {
	uint64_t cut;     /* bytes of unfinished writes that were cut off */
	uint64_t missing; /* records that were durable and are gone */
	uint64_t changed; /* the record that is not the one that was witnessed, or 0 */
	bool no_head;     /* there are records, but nothing tells how many there were */
};

/* Opens the trail in dirfd, which is taken, and has it alone: ERR_LOCKED if somebody has. witness:
 * up to where it reached as somebody else tells, or NULL. now_ms: wall clock. */
MUST_USE int audit_chain_open(int dirfd, uint64_t segment_bytes, const struct audit_mark *witness,
			      int64_t now_ms, struct audit_chain **ret,
			      struct audit_mended *ret_mended);
/* Frees; what was not flushed is lost. NULL is none. */
void audit_chain_close(struct audit_chain *c);

/* Adds a record to what the next flush writes. 1: not yet, the segment is full: flush first, which
 * begins another. 0, -ENOMEM, -EIO. */
MUST_USE int audit_chain_add(struct audit_chain *c, int64_t time_ms, const char *body, size_t len);
/* Bytes that were added and are not flushed. */
size_t audit_chain_waiting(const struct audit_chain *c);
/* Writes what was added, and makes it durable; then begins a new segment if this one is full or
 * began a day ago (now_ms: wall clock). Without room for that it goes on in this one, as far as
 * AUDIT_RESERVE_BYTES go. Negative: nothing is lost, call again. */
MUST_USE int audit_chain_flush(struct audit_chain *c, int64_t now_ms);
/* Drops the segments all of whose records are older than before_ms (wall clock), having recorded
 * it. Nothing may be waiting. */
MUST_USE int audit_chain_retain(struct audit_chain *c, int64_t before_ms, int64_t now_ms);
/* Sees that the disk has room for AUDIT_RESERVE_BYTES more in this segment, whatever else is
 * written there, and that there was room for this segment. */
#define AUDIT_RESERVE_BYTES (128 * 1024)
MUST_USE int audit_chain_reserve(struct audit_chain *c);

/* The last durable record; how many segments there are, and their bytes. */
void audit_chain_mark(const struct audit_chain *c, struct audit_mark *ret);
uint64_t audit_chain_segments(const struct audit_chain *c, uint64_t *ret_bytes);

#endif
