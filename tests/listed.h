/* SPDX-License-Identifier: Apache-2.0 */
/* Models in the catalogue, and questions for them: for tests of what lists find. Threads: any. */
#ifndef MATRIXFS_LISTED_H
#define MATRIXFS_LISTED_H

#include "admin/catalogue/finding.h"
#include "tests/hub_db.h"

/* One model, as it is put in. */
struct listed_model {
	const char *name, *tags; /* a line each; NULL: none */
	double likes, parameters;
	const char *words;
	bool gated;
	const char *doc;
};

int listed_put(struct db_txn *t, const struct listed_model *m);
/* The same in a transaction of its own; and takes one out. */
void listed_add(struct hub_db *h, struct listed_model m);
void listed_remove(struct hub_db *h, const char *name);
/* Four of them: Ann/bert, ann/gpt, bob/bert-large, bob/w. */
void listed_fill(struct hub_db *h);

/* A question, and what was found: "name name ". */
struct listed_asked {
	struct finding_query q;
	struct buf terms, names, seen, got;
	size_t most, count;
	uint64_t reads;
};

/* One for all models, by name. */
struct listed_asked listed_ask(void);
void listed_asked_fini(struct listed_asked *a);
/* They must have that term. */
void listed_want(struct listed_asked *a, enum term_kind kind, const char *text);
/* Asks; what was found is borrowed until it is asked again. */
const char *listed_found(struct hub_db *h, struct listed_asked *a);

#endif
