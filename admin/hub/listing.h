/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of repositories that are found in the catalogue, are here, and that who asks may see. Who
 * may is asked only of what a page could show. */
#ifndef MATRIXFS_LISTING_H
#define MATRIXFS_LISTING_H

#include "admin/hub/ask.h"
#include "admin/hub/search.h"

/* One that is shown. */
struct shown {
	struct catalogue_entry e;
	struct repo *repo;
	bool is_private;
};

/* Zeroed but for the search. */
struct listing {
	struct ask *a;
	struct search search;
	struct rights_reach reach;
	struct buf seen_terms, seen; /* of the reach: terms, and struct repo_id */
	struct shown *page;
	size_t count;
	bool more;      /* there are others behind the page */
	uint64_t reads; /* rows of the catalogue */
};

/* Frees what it holds. */
void listing_fini(struct listing *l);
/* To be called first, and again when the handler is: what is found is as it is now. PARKED: what
 * upstreams told is put in first, which takes a while; ANSWERED: too many wait for that. */
MUST_USE int listing_begin(struct ask *a, struct listing *l);
/* Makes the next page, of at most `limit`, behind what the search says. */
MUST_USE int listing_turn(struct listing *l, size_t limit);

#endif
