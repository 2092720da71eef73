/* SPDX-License-Identifier: Apache-2.0 */
/* Puts a range of a file together from chunks of xorbs, whichever part comes first: what is next in
 * the file is given on at once, what comes later in it waits here. Each part has to come once, and
 * no more waits than the range is long, and a few MiB, what keeping costs included. Pure. Threads:
 * one at a time. */
#ifndef MATRIXFS_GATHER_H
#define MATRIXFS_GATHER_H

#include <stdbool.h>

#include "daemon/xet/rebuild.h"

struct gather;

/* Bytes of the range, in order; borrowed. Non-zero: no more, and whoever caused it gets that. */
typedef int (*gather_fn)(void *arg, const void *data, size_t len);

/* For a range of so many bytes; the plan is borrowed until gather_free. -ENOMEM. */
MUST_USE int gather_new(const struct rebuild *plan, uint64_t len, gather_fn fn, void *arg,
			struct gather **ret);
/* NULL is none. */
void gather_free(struct gather *a);
/* True if all was given; else *ret_part is the part that has what is next. */
bool gather_done(const struct gather *a, uint32_t *ret_part);
/* A chunk came. Held back, it waits in any case. -EBADMSG: a term has another length than was said;
 * -E2BIG: more would wait than may; -ENOMEM; fn's. */
MUST_USE int gather_add(struct gather *a, uint32_t part, uint32_t chunk, const void *data,
			size_t len, bool hold);
/* Gives on what waits and is next. As gather_add. */
MUST_USE int gather_go(struct gather *a);

#endif
