/* SPDX-License-Identifier: Apache-2.0 */
/* Takes away what nobody needs of what people uploaded: as a job that is asked for, and by itself
 * from time to time. What it is and why that is safe: admin/registry/sweep.h. Threads: any. */
#ifndef MATRIXFS_COLLECTOR_H
#define MATRIXFS_COLLECTOR_H

#include <stdint.h>

#include "admin/registry/sweep.h"
#include "admin/server.h"

#define COLLECTOR_ITEMS_MAX 1000 /* that are told of one by one */

struct collector;

struct collector_conf {
	struct server *server; /* borrowed, with its keeper, intake, parts, db */
	int64_t grace_s;       /* what was spoken of so lately is spared; 0: nothing is */
	int64_t every_s;       /* by itself; 0: never */
};

/* -ENOMEM. */
MUST_USE int collector_new(const struct collector_conf *conf, struct collector **ret);
/* From now on it collects by itself; parts that are left lying go every hour. */
void collector_begin(struct collector *c);
/* No job of it runs any more. NULL is none. */
void collector_free(struct collector *c);

/* Starts a job that collects, or with `dry` only finds out what would go. If one runs, it is that
 * one. */
MUST_USE int collector_start(struct collector *c, bool dry, uint64_t *ret_job);

/* What the last one did, or, with `dry`, would have done. */
struct collector_report {
	bool done; /* there was one, and it came to its end */
	int64_t began_s, ended_s;
	struct sweep_counts counts;
	uint64_t items; /* told of below, all of them */
};
typedef void (*collector_fn)(void *arg, const struct sweep_item *item);
/* And calls fn for the first COLLECTOR_ITEMS_MAX of its items. */
void collector_tell(struct collector *c, bool dry, struct collector_report *ret, collector_fn fn,
		    void *arg);

#endif
