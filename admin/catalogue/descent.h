/* SPDX-License-Identifier: Apache-2.0 */
/* What models were made from, as their cards say it (base_model): from the catalogue, step by step.
 * A circle is gone round once. All calls run inside a transaction. Threads: any. */
#ifndef MATRIXFS_DESCENT_H
#define MATRIXFS_DESCENT_H

#include "admin/catalogue/catalogue.h"

#define DESCENT_MAX 1000 /* models of one answer */

/* Texts are borrowed. */
struct descent_step {
	const char *name;     /* of the model that was reached: "ns/name" */
	const char *from;     /* from which it was */
	const char *relation; /* "finetune" and the like, "": nobody says */
	unsigned depth;       /* 1: the nearest */
	bool hosted;          /* it is hosted here */
};

typedef int (*descent_fn)(void *arg, const struct descent_step *step);
/* Calls fn for each model that this one was made from, and for those they were made from, the
 * nearest first, until it returns non-zero, and returns that. Of what is not hosted here it is not
 * known what it was made from. 1 if there are more than DESCENT_MAX. */
MUST_USE int descent_ancestors(struct db_txn *t, const struct repo_id *id, descent_fn fn,
			       void *arg);
/* The same of those that were made from it, and those made from them. */
MUST_USE int descent_descendants(struct db_txn *t, const struct repo_id *id, descent_fn fn,
				 void *arg);

#endif
