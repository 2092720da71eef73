/* SPDX-License-Identifier: Apache-2.0 */
/* From what a client of the Xet store puts a range of a file together: terms, of whose bytes the
 * first few are none of it, and the ranges of xorbs to fetch for them. Pure. */
#ifndef MATRIXFS_XET_PLAN_H
#define MATRIXFS_XET_PLAN_H

#include "admin/registry/recipes.h"

/* Chunks [from, to) of a xorb, which are its bytes from `first` to and with `last` as it travels.
 * Of the ranges of one xorb none touches another: clients look for the one that a term begins in,
 * and take the end of one for that. */
struct xet_range {
	uint8_t xorb[XET_HASH];
	uint32_t from, to;
	uint64_t first, last;
};

/* Zeroed it is empty. */
struct xet_plan {
	uint64_t skip;     /* so many bytes of the first term */
	struct buf terms;  /* struct recipe_term */
	struct buf ranges; /* struct xet_range, by their xorbs */
};

/* Frees what it holds. */
void xet_plan_fini(struct xet_plan *p);
/* What the file has of a xorb: recipes_xorb's. */
typedef int (*xet_plan_fn)(void *arg, const uint8_t xorb[static XET_HASH], struct recipe_xorb *ret);
/* For the bytes [from, to), of the terms that have some of them (recipes_terms). ERR_CORRUPT;
 * get's. */
MUST_USE int xet_plan_make(const struct buf *terms, uint64_t from, uint64_t to, xet_plan_fn get,
			   void *arg, struct xet_plan *ret);

#endif
