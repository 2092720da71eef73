/* SPDX-License-Identifier: Apache-2.0 */
/* From where members ask this node. Two nodes that were given one --peer-address can tell nothing
 * of that themselves; who is asked by both hears the same member in turns from two places. A small
 * memory that forgets when it is full. Threads: any. */
#ifndef MATRIXFS_CALLERS_H
#define MATRIXFS_CALLERS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/httpd.h"
#include "daemon/base/lock.h"

#define CALLERS_MAX 256
#define CALLERS_TURNS 4        /* so often it has come back to where it asked from before, */
#define CALLERS_MS (60 * 1000) /* within such a time */

struct callers {
	struct lock lock;
	/* Guarded by lock: each member has one slot it may be in. */
	struct caller {
		uint64_t member; /* its key; 0: nobody */
		char last[HTTPD_ADDRESS_MAX], before[HTTPD_ADDRESS_MAX];
		unsigned turns;
		int64_t since_ms; /* the first of them */
		bool told;
	} slots[CALLERS_MAX];
};

/* Nobody has asked. */
void callers_init(struct callers *c);
void callers_fini(struct callers *c);
/* This member (its key) asks from there. True if it is to be told that it does so from another
 * place, too, which ret gets: once for each member that is remembered. */
MUST_USE bool callers_note(struct callers *c, uint64_t member, const char *from, int64_t now_ms,
			   char ret[static HTTPD_ADDRESS_MAX]);

#endif
