/* SPDX-License-Identifier: Apache-2.0 */
/* The tags of a repository, as the public hub makes them of what its card and files say. Pure. */
#ifndef MATRIXFS_FACTS_TAGS_H
#define MATRIXFS_FACTS_TAGS_H

#include "admin/catalogue/facts.h"
#include "daemon/base/jdoc.h"

/* What it was worked out from. */
struct facts_parsed {
	const struct facts_source *source;
	const struct jval *card, *config; /* or NULL */
	const char *task, *library;       /* or NULL */
	const char *body; /* of the card, behind its head; the whole if it has none */
};

#define FACTS_TAGS_MAX 4000 /* more than the languages there are in any one data set */

/* Appends them, a line each, each once; what comes behind so many is left out, since each is a row
 * that is written. -ENOMEM. */
int facts_tags(const struct facts_parsed *p, struct buf *ret);
/* How it was made from those it names as base_model: "finetune"; NULL if it names none. */
const char *facts_relation(const struct facts_parsed *p);

#endif
