/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of small numbers, a bit for each. Zeroed memory is the empty set. Pure. */
#ifndef MATRIXFS_NUMBERSET_H
#define MATRIXFS_NUMBERSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/own.h"

struct numberset {
	uint64_t *words;
	size_t count; /* of words */
};

/* Frees what it holds. */
void numberset_fini(struct numberset *s);
/* Adds one, or bits that begin at a multiple of 64. -ENOMEM. */
MUST_USE int numberset_add(struct numberset *s, uint32_t number);
MUST_USE int numberset_add_bits(struct numberset *s, uint32_t first, const uint64_t *words,
				size_t count);
/* What is in both; not in the other: the result is in s. */
void numberset_keep(struct numberset *s, const struct numberset *other);
void numberset_drop(struct numberset *s, const struct numberset *other);

/* Whether it is in; and how many are. */
bool numberset_has(const struct numberset *s, uint32_t number);
size_t numberset_size(const struct numberset *s);
/* The first number that is not smaller than *at, which becomes it. False: there is none. */
bool numberset_next(const struct numberset *s, uint32_t *at);

#endif
