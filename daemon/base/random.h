/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that look like chance, for jitter: the same seed gives the same ones, so that tests can
 * repeat what was. Nothing for secrets. Threads: the state's owner's. */
#ifndef MATRIXFS_RANDOM_H
#define MATRIXFS_RANDOM_H

#include <stdint.h>

/* The next number. Any state is as good as any other to begin with. SplitMix64: Steele, Lea, Flood
 * (OOPSLA 2014). */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t v = *state += UINT64_C(0x9e3779b97f4a7c15);

	v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
	return v ^ v >> 31;
}

/* A time of ms, by up to so many percent shorter or longer. */
static inline int64_t random_near(uint64_t *state, int64_t ms, unsigned percent)
{
	int64_t off = ms * percent / 100;

	return ms - off + (int64_t)(random_next(state) % (uint64_t)(2 * off + 1));
}

#endif
