/* SPDX-License-Identifier: Apache-2.0 */
/* Links for the bytes of LFS files: what they let their bearer do stands in them, sealed (see
 * capability.h), since clients send no token with them. Pure but for the key. */
#ifndef MATRIXFS_LFS_LINK_H
#define MATRIXFS_LFS_LINK_H

#include <stdint.h>

#include "admin/hub/capability.h"
#include "admin/db.h"
#include "daemon/base/digest.h"

#define LFS_LINK_ROOT "/api/lfs/"
#define LFS_LINK_S 43200 /* how long one is good for: many large files may wait for their turn */
#define LFS_OID 64       /* hex digits */

enum lfs_act {
	LFS_PUT, /* the bytes of a file */
	LFS_GET,
	LFS_PART, /* one part of them */
	LFS_JOIN, /* all parts have come */
	LFS_ACT_COUNT
};

struct lfs_link {
	enum lfs_act act;
	char oid[LFS_OID + 1];
	uint64_t size, part_bytes; /* of a file; of a part but the last */
	uint32_t part;             /* the first is 1 */
	char *repo, *user, *token; /* whose: owned, or borrowed where it is printed; "" : nobody */
};

/* Frees the texts of one that was read. */
void lfs_link_fini(struct lfs_link *l);
/* The hub's key for links: made when it is asked for the first time. db_write's errors. */
MUST_USE int lfs_link_key(struct db *db, uint8_t ret[static CAPABILITY_KEY]);
/* Appends a link behind the origin ("https://hub.example"). -ENOMEM, -EIO. */
MUST_USE int lfs_link_print(const uint8_t key[static CAPABILITY_KEY], const char *origin,
			    const struct lfs_link *l, int64_t now_s, struct buf *ret);
/* Reads one: what stands behind LFS_LINK_ROOT, and the query. -EACCES with a sentence in why if it
 * is none of ours, or old. */
MUST_USE int lfs_link_read(const uint8_t key[static CAPABILITY_KEY], const char *oid,
			   const char *query, int64_t now_s, struct lfs_link *ret, struct buf *why);

#endif
