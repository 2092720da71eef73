/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue: what lists must know of each repository, hosted here or known from an upstream,
 * and the orders and terms by which they find it. A page reads about as many rows as it shows,
 * however many repositories there are. Who may see what is not in it but for what was said here to
 * be private. All calls run inside a transaction. Threads: any. */
#ifndef MATRIXFS_CATALOGUE_H
#define MATRIXFS_CATALOGUE_H

#include "admin/catalogue/numberset.h"
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

/* Which are looked for. */
struct catalogue_query {
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
MUST_USE int catalogue_find(struct db_txn *t, const struct catalogue_query *q, catalogue_fn fn,
			    void *arg, uint64_t *reads);
/* "lastModified" and the like, as clients call it; and the number of that name, or
 * CATALOGUE_NUMBERS. */
const char *catalogue_number_name(enum catalogue_number which);
enum catalogue_number catalogue_number_of(const char *name);

/* Calls fn for each model that names this one as its base, by name; and the text of each model's
 * name that this one names as its base. Until it returns non-zero, which is returned. Who may see
 * them is to be asked. */
typedef int (*catalogue_name_fn)(void *arg, const char *name);
MUST_USE int catalogue_children(struct db_txn *t, const char *name, catalogue_fn fn, void *arg);
MUST_USE int catalogue_bases(struct db_txn *t, const struct repo_id *id, catalogue_name_fn fn,
			     void *arg);

typedef int (*catalogue_term_fn)(void *arg, const char *text, size_t len);
/* Calls fn for the text of each term of a kind that a repository of that type has, and that begins
 * so, until it returns non-zero, and returns that. fn may read. */
MUST_USE int catalogue_terms(struct db_txn *t, enum repo_type type, enum term_kind kind,
			     const char *begin, catalogue_term_fn fn, void *arg);

#endif
