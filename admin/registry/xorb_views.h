/* SPDX-License-Identifier: Apache-2.0 */
/* Xorbs that are open while files are made of them: those that wait, and those whose chunks lie in
 * blobs, which stay for the collector's grace from then on. Threads: one at a time; they wait for
 * the disk. */
#ifndef MATRIXFS_XORB_VIEWS_H
#define MATRIXFS_XORB_VIEWS_H

#include "admin/registry/xorbs.h"

#define XORB_VIEWS_MAX 24 /* that are open at once */

struct xorb_views;

struct xorb_views_conf {
	struct db *db; /* borrowed, and what follows */
	struct intake *intake;
	struct xorbs *xorbs;
	struct xorb_owner owner; /* who brings them */
	/* A xorb that does not wait for them, but that they may use, as far as they may: -ENOENT.
	 */
	int (*find)(void *arg, const uint8_t xorb[static XET_HASH], struct xorb_view *ret);
	void *arg;
};

/* -ENOMEM. */
MUST_USE int xorb_views_new(const struct xorb_views_conf *conf, struct xorb_views **ret);
/* NULL is none. */
void xorb_views_free(struct xorb_views *v);
/* One that is open, or is opened now; borrowed until XORB_VIEWS_MAX others were. -ENOENT. */
MUST_USE int xorb_views_find(struct xorb_views *v, const uint8_t xorb[static XET_HASH],
			     struct xorb_view **ret);

#endif
