/* SPDX-License-Identifier: Apache-2.0 */
/* What the rows of objects and uploads name, counted: a second opinion on the counts of holders
 * (holdings.h), as a part of the collector. It is made of etags that begin alike, of so many that
 * they have room: whoever wants all asks for one part after another. Not of one moment: what has
 * changed meanwhile may be missing, so nothing is decided by it alone. Threads: its owner's. */
#ifndef MATRIXFS_TALLY_H
#define MATRIXFS_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/registry/sweep.h"

struct tally {
	unsigned from, to; /* the first bytes of etags: from ... to - 1 */
	struct buf entries;
};

/* What is named but held by nobody, or by another number than the rows say. */
typedef int (*tally_fn)(void *arg, const char *namespace, const char *etag, uint64_t size);

/* Counts as many etags from t->from on as have room; t->to is where they end: 256, or where the
 * next part begins. Calls fn for what is named and not held. Negative: of db, of fn, of s->rest. */
MUST_USE int tally_fill(struct tally *t, struct sweep *s, tally_fn fn, void *arg);
/* True if anything names a blob, as far as is known: it may also be one that looks like it. */
bool tally_names(const struct tally *t, const char *etag);
/* Calls fn for what other than so many hold, by the rows. */
MUST_USE int tally_compare(const struct tally *t, struct sweep *s, tally_fn fn, void *arg);
void tally_fini(struct tally *t);

#endif
