/* SPDX-License-Identifier: Apache-2.0 */
/* How many rules about tags (admin/registry/tag_rules.h) have damaged rows: they hold until an
 * administrator has seen to them. It is counted when it may have changed, and now and then since a
 * disk may damage what nobody touches; whoever asks looks at no rule. Threads: any. */
#ifndef MATRIXFS_RULEWATCH_H
#define MATRIXFS_RULEWATCH_H

#include <stdint.h>

#include "admin/db.h"

#define RULEWATCH_MS 60000 /* a count older than that is made anew, when somebody asks */

struct rulewatch;
struct workers;

struct rulewatch_conf {
	struct db *db;           /* borrowed, like all of these */
	struct workers *workers; /* that count when somebody asked; stopped before it is freed */
	int64_t (*clock_ms)(void);
};

/* -ENOMEM. */
MUST_USE int rulewatch_new(const struct rulewatch_conf *conf, struct rulewatch **ret);
/* NULL is none. */
void rulewatch_free(struct rulewatch *w);
/* Counts now; who are damaged is logged, once. Not on a thread that others wait for. */
void rulewatch_look(struct rulewatch *w);
/* What the last count found: 0 and the number, or why it could not be made. It never looks
 * itself. */
MUST_USE int rulewatch_damaged(struct rulewatch *w, unsigned *ret);

#endif
