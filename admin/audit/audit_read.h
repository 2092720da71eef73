/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the trail below DIR/audit while somebody writes it, or later, line by line: nothing keeps
 * more of it in memory than a line. All calls do bounded work, so that a server can make an answer
 * of many of them (struct httpd_stream). One thread at a time. */
#ifndef MATRIXFS_AUDIT_READ_H
#define MATRIXFS_AUDIT_READ_H

#include "admin/audit/audit_record.h"

#define AUDIT_CURSOR_MAX 48 /* with its NUL */

/* Which records; NULL, "" and 0 mean any. */
struct audit_query {
	int64_t from_ms, to_ms; /* from <= time < to, wall clock */
	const char *kind, *user, *repo, *address, *outcome;
	bool anonymous; /* only what had no user */
};

struct audit_reader;

/* Opens the trail of a data directory; it need not exist yet. The query's texts are copied.
 * cursor: where another reader ended (audit_reader_cursor), or NULL: at the query's beginning.
 * -EINVAL if it is no cursor. */
MUST_USE int audit_reader_open(const char *data, const struct audit_query *q, const char *cursor,
			       struct audit_reader **ret);
void audit_reader_free(struct audit_reader *r);
void audit_reader_freep(struct audit_reader **r);
/* Goes to where the last `count` records of the query (at most AUDIT_LAST_MAX, and as many as the
 * last megabytes have) are still to come: what `tail` begins with. */
#define AUDIT_LAST_MAX 1000
MUST_USE int audit_reader_last(struct audit_reader *r, unsigned count);

/* A record that was asked for; line is its text, len bytes without newline. Non-zero ends the
 * call, which returns it; the record counts as given. */
typedef int (*audit_record_fn)(void *arg, const struct audit_record *rec, const char *line,
			       size_t len);
/* Calls fn for at most `count` records that follow, and reads about `bytes` at most. 1: there is no
 * more for now (ask again to follow the trail); 0: there may be; what fn returned; negative: a
 * failure. Lines that are no records are passed over: verifying finds them. */
MUST_USE int audit_reader_next(struct audit_reader *r, unsigned count, uint64_t bytes,
			       audit_record_fn fn, void *arg);
/* Where it is now, as a word: for paging. */
void audit_reader_cursor(const struct audit_reader *r, char ret[static AUDIT_CURSOR_MAX]);

#endif
