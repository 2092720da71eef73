/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are told of as one event when it is over: the ranges of a download, refusals that
 * come in floods. Two tables of the same kind; each is bounded, and what has been quiet for longest
 * is over first. Pure but for its memory: the caller tells the time (clock_ms()) and guards it. */
#ifndef MATRIXFS_AUDIT_OPEN_H
#define MATRIXFS_AUDIT_OPEN_H

#include "admin/audit/audit_record.h"
#include "daemon/base/map.h"

#define AUDIT_OPEN_MAX 4096 /* that nobody is being sent */

struct audit_span {
	uint64_t from, to; /* bytes of a file */
};

struct audit_open;

struct audit_table {
	struct map by_key;
	struct audit_open *first, *last; /* with no request under way, quiet for longest first */
	size_t quiet;                    /* how many these are */
	int64_t idle_ms;                 /* one is over when it was quiet for so long */
	int64_t firsts_ms;               /* since when these came */
	unsigned firsts;                 /* refusals of nobody known that were told of at once */
};

/* Frees all that nobody was told of. */
void audit_table_fini(struct audit_table *t);
/* How many are open. */
size_t audit_table_count(const struct audit_table *t);

/* Bytes of a file are going to be sent: opens an event for those of the same kind, user, token,
 * address, agent, repository, commit and file, or joins it. 0 or -ENOMEM. */
MUST_USE int audit_table_begin(struct audit_table *t, const struct audit_record *rec);
/* The first `sent` bytes of the spans were, one after the other; `cut`: there were to be more, and
 * rec->why (which stays) says why not. -ENOENT: it did not begin. */
MUST_USE int audit_table_end(struct audit_table *t, const struct audit_record *rec,
			     const struct audit_span *spans, unsigned count, uint64_t sent,
			     bool cut, int64_t now_ms);
/* Something was refused. 1: it is the first of its kind, user, token, network, repository and file,
 * and to be told of now; 0: it is counted; -ENOMEM. Of those who have not said who they are, so
 * many in idle_ms are told of; all others of a kind are counted as one, wherever they come from. */
#define AUDIT_FIRSTS_MAX 300
MUST_USE int audit_table_refused(struct audit_table *t, const struct audit_record *rec,
				 int64_t now_ms);
/* Calls fn with the record of each that would be told of if all were over now. */
void audit_table_each(const struct audit_table *t,
		      void (*fn)(void *arg, const struct audit_record *rec), void *arg);
/* Takes one that is over, or any with `all`: its record, to be given to free(); NULL if there is
 * none. A refusal that came once was told of, and is none. */
struct audit_record *audit_table_over(struct audit_table *t, int64_t now_ms, bool all);

#endif
