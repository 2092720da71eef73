/* SPDX-License-Identifier: Apache-2.0 */
/* A limit in bytes a second, as the time by which the bytes let through so far are paid for. Zeroed
 * memory owes nothing. Times are clock_us(), or what the caller has in its place. Threads: its
 * owner's. Source: ITU-T I.371, the virtual scheduling algorithm. */
#ifndef MATRIXFS_BUCKET_H
#define MATRIXFS_BUCKET_H

#include <stdint.h>

#include "daemon/base/num.h"

struct bucket {
	int64_t paid_us;
};

/* For how long nothing more would go through, in us, if what goes through were paid for before;
 * negative: so much time was not used. */
static inline int64_t bucket_owed_us(const struct bucket *b, int64_t now_us)
{
	return b->paid_us - now_us;
}

/* Lets bytes through. Of the time that was not used save_us counts: an idle hour buys no flood. */
static inline void bucket_book(struct bucket *b, uint64_t bytes, uint64_t bytes_per_s,
			       int64_t save_us, int64_t now_us)
{
	b->paid_us = max_i64(b->paid_us, now_us - save_us) +
		     (int64_t)((double)bytes * 1e6 / (double)bytes_per_s);
}

#endif
