/* SPDX-License-Identifier: Apache-2.0 */
/* Reads again what people uploaded (admin/registry/reread.h): as a job that is asked for, and by
 * itself from time to time, at a bounded rate. Threads: any. */
#ifndef MATRIXFS_SCRUBBER_H
#define MATRIXFS_SCRUBBER_H

#include <stdint.h>

#include "admin/registry/reread.h"
#include "admin/server.h"

#define SCRUBBER_TOLD_MAX 1000 /* that are named */

struct scrubber;

struct scrubber_conf {
	struct server *server; /* borrowed, with its keeper, intake, db */
	int64_t every_s;       /* by itself, also over restarts; 0: never */
	uint64_t bytes_per_s;  /* 0: as fast as it goes */
};

/* -ENOMEM. */
MUST_USE int scrubber_new(const struct scrubber_conf *conf, struct scrubber **ret);
/* From now on it works by itself. */
void scrubber_begin(struct scrubber *s);
/* No job of it runs any more. NULL is none. */
void scrubber_free(struct scrubber *s);
/* Starts a job; if one runs, it is that one. */
MUST_USE int scrubber_start(struct scrubber *s, uint64_t *ret_job);

/* Starts a job that reads that blob alone, now: its bytes were not what they should be. Without one
 * the next look at all finds it. */
void scrubber_doubt(struct scrubber *s, const char *etag);

struct scrubber_report {
	bool done; /* the last one came to its end */
	int64_t began_s, ended_s;
	struct reread_counts counts;
};
/* Tells of the last one, and calls fn for what was missing then, and what is damaged now. */
void scrubber_tell(struct scrubber *s, struct scrubber_report *ret,
		   void (*fn)(void *arg, const char *etag, bool missing), void *arg);
/* How many blobs are damaged now, or were missing when it looked last: clients cannot have them. */
unsigned scrubber_lost(struct scrubber *s);

#endif
