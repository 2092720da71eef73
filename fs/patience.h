/* SPDX-License-Identifier: Apache-2.0 */
/* How long a daemon that ends is started again: the counting alone, no clock and no process (pure).
 * Zeroed: nothing has failed yet. */
#ifndef MATRIXFS_PATIENCE_H
#define MATRIXFS_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_WELL_MS 2000   /* who has served so long has not failed */
#define PATIENCE_TRIES 18       /* that never served, nearly a minute; then one with nothing kept */
#define PATIENCE_SHORT_LIVES 60 /* in a row that served, but not so long; then likewise */
#define PATIENCE_REFUSED_MS \
	600000 /* for whoever mends what keeps it from beginning; then likewise */

struct patience {
	unsigned failures;  /* in a row */
	unsigned counted;   /* of them those that were no refusals */
	unsigned vain;      /* of those the last ones, which never served */
	int64_t refused_ms; /* when it was first seen that it could not begin; 0: it could */
	bool anew;          /* it began with nothing since it last served */
};

/* How it ended. */
enum patience_end {
	PATIENCE_NOT_STARTED, /* there was no process to be had */
	PATIENCE_REFUSED,     /* it cannot begin as it is installed and configured */
	PATIENCE_VAIN,        /* it never served */
	PATIENCE_SHORT,       /* it served for less than PATIENCE_WELL_MS */
	PATIENCE_WELL,        /* it served */
};

enum patience_next {
	PATIENCE_AGAIN, /* it is started again */
	PATIENCE_ANEW,  /* with nothing that was kept */
	PATIENCE_OVER,  /* no more */
};

/* Counts an end at now_ms (above 0). *ret_wait_ms: so long until the next start. */
enum patience_next patience_after(struct patience *p, enum patience_end end, int64_t now_ms,
				  int64_t *ret_wait_ms);

#endif
