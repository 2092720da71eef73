/* SPDX-License-Identifier: Apache-2.0 */
/* How many requests may run at once. Begins with few, tries more while that brings more bytes per
 * second, and takes back at once when a server says that it is too much. Pure: bytes and times in,
 * a number out. Not locked. Source: additive increase, multiplicative decrease (RFC 5681), with the
 * throughput as the sign of congestion, since requests of one host share its link. */
#ifndef MATRIXFS_PACE_H
#define MATRIXFS_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_START 4
#define PACE_MAX 24
#define PACE_WINDOW_MS 250     /* throughput is measured over so long at least, */
#define PACE_WINDOW_PIECES 8   /* and over so many pieces: one more or less says nothing then */
#define PACE_HOLD_MS 5000      /* after more did not help, more is not tried for so long */
#define PACE_REFUSED_MS 2000   /* nor after a refusal, whatever the server says */
#define PACE_REFUSED_MAX 10000 /* the longest a server may hold us by one answer */
#define PACE_CAREFUL_MS 10000  /* so long after a refusal more is tried one by one */

struct pace {
	unsigned limit;  /* requests that may run now */
	unsigned before; /* the limit that the trial began from; 0: nothing is on trial */
	bool wanted;     /* the limit kept something from starting since the window began */
	uint64_t bytes;  /* of this window */
	uint64_t piece;  /* the largest that came in it at once */
	int64_t since_ms;
	int64_t hold_until_ms;   /* no trial before */
	int64_t volley_until_ms; /* refusals before that are one */
	int64_t careful_until_ms;
	double rate; /* bytes per ms before the trial */
};

/* Begins with PACE_START; nothing is on trial. */
void pace_init(struct pace *p);
/* Something could not be started because of the limit: only then is more worth a trial. */
void pace_wanted(struct pace *p);
/* Bytes have come. Returns true if the limit has grown. */
bool pace_bytes(struct pace *p, uint64_t bytes, int64_t now_ms);
/* A server refused while `running` requests ran, and asked to wait (-1: did not say). */
void pace_refused(struct pace *p, unsigned running, int64_t wait_ms, int64_t now_ms);
/* A server failed (5xx): it may be overloaded, or not. Fewer requests, but nobody has to wait. */
void pace_failed(struct pace *p, int64_t now_ms);
/* True for a while after a refusal: then even those who wait for bytes heed the limit. */
bool pace_is_careful(const struct pace *p, int64_t now_ms);

#endif
