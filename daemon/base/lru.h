/* SPDX-License-Identifier: Apache-2.0 */
/* A list in the order of use, for what is forgotten when it was used longest ago. Its links lie in
 * what is listed (lru_item). Threads: the list's owner's. */
#ifndef MATRIXFS_LRU_H
#define MATRIXFS_LRU_H

#include <stddef.h>

#include "daemon/base/own.h"

struct lru_link {
	struct lru_link *newer, *older;
};

/* Zeroed memory is an empty list. */
struct lru {
	struct lru_link *newest, *oldest;
};

/* What embeds a link as `member`; NULL for NULL. */
#define lru_item(link, type, member) \
	({ \
		struct lru_link *link_ = (link); \
		link_ ? container_of(link_, type, member) : NULL; \
	})

/* One that is in no list is the newest of this one. */
static inline void lru_add(struct lru *l, struct lru_link *x)
{
	x->newer = NULL;
	x->older = l->newest;
	*(l->newest ? &l->newest->newer : &l->oldest) = x;
	l->newest = x;
}

/* One of this list is in none. */
static inline void lru_remove(struct lru *l, struct lru_link *x)
{
	*(x->newer ? &x->newer->older : &l->newest) = x->older;
	*(x->older ? &x->older->newer : &l->oldest) = x->newer;
}

/* One of this list is used: it is the newest. */
static inline void lru_use(struct lru *l, struct lru_link *x)
{
	lru_remove(l, x);
	lru_add(l, x);
}

#endif
