/* SPDX-License-Identifier: Apache-2.0 */
/* Which chunks of a xorb somebody may use: those that lie in a blob which a repository has now that
 * they may read. That a repository once had the xorb, or another part of it, is no right: it only
 * says where to look. What came for a repository and is in no commit of it yet is for who brought
 * it, and for who may write there, if it is the one to look at first. Threads: any. */
#ifndef MATRIXFS_XORB_RIGHTS_H
#define MATRIXFS_XORB_RIGHTS_H

#include "admin/registry/intake.h"
#include "admin/registry/xorb_rows.h"
#include "daemon/model/repo_id.h"

struct xorb_rights {
	struct db *db; /* borrowed, and what follows */
	struct intake *intake;
	const char *uid;  /* of the repository to look at first, or "" */
	const char *user; /* who they are, in small letters, or "" */
	/* 1 if they may have the files of that repository, else 0; negative: that is not known. */
	int (*reads)(void *arg, const struct repo_id *repo);
	int (*writes)(void *arg, const struct repo_id *repo); /* the same of changing it */
	void *arg;
};
/* What is known of a xorb, with those pieces alone. -ENOENT if there are none; what it costs to
 * find that out does not tell whether there is such a xorb. */
MUST_USE int xorb_rights_get(const struct xorb_rights *r, const uint8_t xorb[static XET_HASH],
			     struct xorb_map *ret);

#endif
