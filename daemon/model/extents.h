/* SPDX-License-Identifier: Apache-2.0 */
/* Where the tensors of a file lie: what a header says of it, in the order of their offsets. Whoever
 * knows it can tell a reader that skips tensors from one that reads the whole file. Immutable once
 * made; reading it needs no lock. */
#ifndef MATRIXFS_EXTENTS_H
#define MATRIXFS_EXTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/own.h"

struct extent {
	uint64_t start, end; /* bytes of the file, start < end */
};

struct extents {
	size_t count, cap;
	struct extent *at;   /* sorted by start; none overlaps another */
	uint64_t data_start; /* one past the header */
};

/* What a parser of a header answers when it needs more of the file. */
#define EXTENTS_MORE 1

/* Adds one while the table is being made, in any order; empty ones are left out. -ENOMEM. */
MUST_USE int extents_add(struct extents *e, uint64_t start, uint64_t end);
/* Ends the making: sorts. False if two overlap or one ends behind `size`: the header lies. */
MUST_USE bool extents_finish(struct extents *e, uint64_t size);
/* The extent that `off` lies in, or NULL (header, padding, end). */
const struct extent *extents_find(const struct extents *e, uint64_t off);
/* Frees what it owns; the struct itself is the caller's. */
void extents_fini(struct extents *e);

#endif
