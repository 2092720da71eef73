/* SPDX-License-Identifier: Apache-2.0 */
/* Which repositories of the catalogue are found, and in which order. All calls run inside a
 * transaction. Threads: any. */
#ifndef MATRIXFS_FINDING_H
#define MATRIXFS_FINDING_H

#include "admin/catalogue/catalogue.h"

/* Which are looked for. */
struct finding_query {
	enum repo_type type;
	const struct buf *terms; /* lines: all of them are wanted; in small letters */
	const struct buf *names; /* texts, each with its NUL, that the name holds in any case */
	double parameters_min, parameters_max;
	enum catalogue_number sort; /* CATALOGUE_NUMBERS: by name */
	bool ascending;             /* else the largest come first; those of one number by name */
	/* Behind this one they begin, if there is a name. */
	double after_number;
	const char *after_name;
	/* Of the hidden ones only those under these terms, and these; unless all are wanted. */
	bool sees_all;
	const struct buf *seen_terms; /* lines */
	const struct repo_id *seen;
	size_t seen_count;
};

/* Calls fn for each that is found, in order, until it returns non-zero, and returns that. *reads
 * grows by the rows that took. */
MUST_USE int finding_each(struct db_txn *t, const struct finding_query *q, catalogue_fn fn,
			  void *arg, uint64_t *reads);

#endif
