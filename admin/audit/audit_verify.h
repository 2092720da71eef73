/* SPDX-License-Identifier: Apache-2.0 */
/* Follows the chain of the trail from its first segment, or from what retention left as its anchor,
 * to its end, and tells each place where a record was removed, changed, added or put elsewhere.
 * Bounded work a call; memory for one line. One thread at a time. */
#ifndef MATRIXFS_AUDIT_VERIFY_H
#define MATRIXFS_AUDIT_VERIFY_H

#include "admin/audit/audit_record.h"

struct audit_verify;

struct audit_problem {
	uint64_t segment,
		line;     /* where: number of the segment, of the line from 1; 0: at the end */
	uint64_t seq;     /* of the record that is there, or missing; 0: unknown */
	const char *what; /* "changed", "missing", "misplaced", "garbage", "cut", "anchor" */
	const char *text; /* a sentence; borrowed until the callback returns */
};
typedef void (*audit_problem_fn)(void *arg, const struct audit_problem *p);

struct audit_verdict {
	uint64_t segments, records, bytes; /* read */
	uint64_t first_seq, last_seq;      /* of the records that are there */
	uint64_t dropped_seq;              /* records up to this one went by retention; 0: none */
	uint64_t witness_seq;              /* the one the witness tells of; 0: there is none */
	uint64_t problems;
	char hash[AUDIT_HASH_HEX + 1]; /* of the last record: to be kept elsewhere */
};

/* Opens the trail of a data directory. mark: how far it must reach (audit_mark); NULL: as far as
 * DIR/audit/head says. witness: what it must hold too (audit_witness_get), or NULL. */
MUST_USE int audit_verify_open(const char *data, const struct audit_mark *mark,
			       const struct audit_mark *witness, struct audit_verify **ret);
void audit_verify_free(struct audit_verify *v);
void audit_verify_freep(struct audit_verify **v);
/* Reads about `bytes`. 0: call again; 1: that was all, and *ret is what came out; negative: it
 * cannot be read. */
MUST_USE int audit_verify_step(struct audit_verify *v, uint64_t bytes, audit_problem_fn fn,
			       void *arg, struct audit_verdict *ret);

#endif
