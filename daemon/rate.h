/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes a second over the last few seconds. Pure. Zeroed memory has seen nothing. Not locked. */
#ifndef MATRIXFS_RATE_H
#define MATRIXFS_RATE_H

#include <stdint.h>

#define RATE_SECONDS 5

struct rate {
	int64_t begun_ms; /* when bytes came after a silence as long as the window */
	int64_t second;   /* that slots[second % ...] is about */
	uint64_t slots[RATE_SECONDS + 1];
};

/* So many bytes came now (clock_ms()). */
void rate_add(struct rate *r, int64_t now_ms, uint64_t bytes);
/* Bytes a second of the last RATE_SECONDS, or since they began to come if that is less. */
uint64_t rate_get(const struct rate *r, int64_t now_ms);
/* How many bytes came in the last RATE_SECONDS. */
uint64_t rate_bytes(const struct rate *r, int64_t now_ms);

#endif
