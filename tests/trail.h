/* SPDX-License-Identifier: Apache-2.0 */
/* An audit trail on disk for tests that read it, follow it, or tamper with it. */
#ifndef MATRIXFS_TRAIL_H
#define MATRIXFS_TRAIL_H

#include "admin/audit/audit_chain.h"
#include "admin/audit/audit_verify.h"
#include "tests/workdir.h"

#define TRAIL_NOW_MS INT64_C(1795287634123) /* 2026-11-21T19:00:34.123Z */
#define TRAIL_LINES_MAX 512

struct trail {
	struct workdir dir;
	struct audit_chain *chain;
	int64_t now_ms;
	const struct audit_mark *witness; /* of those who open or verify it, or NULL */
};

/* As cmocka fixtures: *state is a struct trail with an open chain whose segments are small. */
int trail_setup(void **state);
int trail_teardown(void **state);
/* Opens the chain; it must go well. Closes it. */
struct audit_mended trail_open(struct trail *t, uint64_t segment_bytes);
void trail_close(struct trail *t);
/* Adds a record of that user and flushes; a second later than the one before. */
void trail_add(struct trail *t, const char *user);
/* Adds so many, of users "user1" ... */
void trail_fill(struct trail *t, unsigned count);

/* A segment's lines, without newlines. */
struct trail_lines {
	char *at[TRAIL_LINES_MAX];
	unsigned count;
};
/* Reads a segment's lines, and writes them back. Freed by trail_put. */
void trail_get(struct trail *t, uint64_t segment, struct trail_lines *ret);
void trail_put(struct trail *t, uint64_t segment, struct trail_lines *lines);
/* Takes the last record away, and changes the head: as who knows how would. The
 * segment has two. */
void trail_cut(struct trail *t);
/* Says `new` instead of `old`, as long as it, in the last segment, and chains anew what follows. */
void trail_forge(struct trail *t, const char *old, const char *new);
/* The path of a file of the trail; static. */
const char *trail_path(const struct trail *t, const char *name);
const char *trail_segment_path(const struct trail *t, uint64_t segment);

/* What segments there are; freed by audit_begins_free. */
struct audit_begins trail_begins(const struct trail *t);

/* Verifies; the problems as "what seq@segment:line" with a space behind each. Freed by the caller's
 * buf_free. */
struct audit_verdict trail_verify(const struct trail *t, struct buf *ret_problems);

#endif
