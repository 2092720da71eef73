/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue: what lists must know of each repository, hosted here or known from an upstream,
 * and the orders and terms by which they find it. A page reads about as many rows as it shows,
 * however many repositories there are. Who may see what is not in it but for what was said here to
 * be private. All calls run inside a transaction. Threads: any. */
#ifndef MATRIXFS_CATALOGUE_H
#define MATRIXFS_CATALOGUE_H

#include "admin/catalogue/terms.h"
#include "admin/db.h"
#include "daemon/model/repo_id.h"

/* What they can be sorted by; part of the format (docs/formats.md). -1: not told. */
enum catalogue_number {
	CATALOGUE_CREATED, /* dates: seconds since 1970 */
	CATALOGUE_MODIFIED,
	CATALOGUE_DOWNLOADS, /* of 30 days */
	CATALOGUE_LIKES,
	CATALOGUE_LIKES_30D,
	CATALOGUE_TRENDING,
	CATALOGUE_PARAMETERS,
	CATALOGUE_SIZE, /* bytes */
	CATALOGUE_NUMBERS,
};

struct catalogue_entry {
	struct repo_id id;
	char commit[COMMIT_HEX + 1]; /* of main, or "" */
	bool hosted;                 /* here: else an upstream told of it */
	bool gated, manual;          /* who asks is let in; by a person */
	double numbers[CATALOGUE_NUMBERS];
};

/* What it is found by, and what is told of it. */
struct catalogue_texts {
	const char
		*tags; /* a line each, also if it is empty: the task, the library; then all tags */
	const char *words; /* of whose words it is found in full text, or NULL */
	const char *doc;   /* a JSON object, or NULL */
};

/* Puts it in, in the place of what was said of it; writes only what has changed. */
MUST_USE int catalogue_put(struct db_txn *t, const struct catalogue_entry *e,
			   const struct catalogue_texts *texts);
/* To take out what is not there is no failure. */
MUST_USE int catalogue_remove(struct db_txn *t, const struct repo_id *id);
/* One number more or less; nothing happens if it is not there. */
MUST_USE int catalogue_set(struct db_txn *t, const struct repo_id *id, enum catalogue_number which,
			   double value);
/* It was said here that it is private, or that it is not. */
MUST_USE int catalogue_hide(struct db_txn *t, const struct repo_id *id, bool hidden);

/* In whatever letters. -ENOENT. */
MUST_USE int catalogue_get(struct db_txn *t, const struct repo_id *id, struct catalogue_entry *ret);
/* Appends the JSON that is told of it. -ENOENT. */
MUST_USE int catalogue_doc(struct db_txn *t, const struct repo_id *id, struct buf *ret);
typedef int (*catalogue_fn)(void *arg, const struct catalogue_entry *e);
/* Calls fn for each, by kind and name, until it returns non-zero, and returns that. */
MUST_USE int catalogue_each(struct db_txn *t, catalogue_fn fn, void *arg);

/* "lastModified" and the like, as clients call it; and the number of that name, or
 * CATALOGUE_NUMBERS. */
const char *catalogue_number_name(enum catalogue_number which);
enum catalogue_number catalogue_number_of(const char *name);

typedef int (*catalogue_term_fn)(void *arg, const char *text, size_t len);
/* Calls fn for the text of each term of a kind that a repository of that type has, and that begins
 * so, until it returns non-zero, and returns that. fn may read. */
MUST_USE int catalogue_terms(struct db_txn *t, enum repo_type type, enum term_kind kind,
			     const char *begin, catalogue_term_fn fn, void *arg);

#endif
