/* SPDX-License-Identifier: Apache-2.0 */
/* Links for the bytes of xorbs: clients of the Xet store get them with what a file is made of, and
 * send no token with them. What one lets its bearer have stands in it, sealed (capability.h): what
 * a file of a repository has of a xorb. Pure. */
#ifndef MATRIXFS_XET_LINK_H
#define MATRIXFS_XET_LINK_H

#include "admin/hub/xet_token.h"
#include "daemon/base/digest.h"
#include "daemon/xet/xet_hash.h"

#define XET_LINK_ROOT "/api/xet/1/v1/bytes/"
#define XET_LINK_S 3600 /* how long one is good for: clients ask for the next when it is refused */

struct xet_link {
	struct xet_token of; /* whose it is; expires_s is the link's */
	uint8_t xorb[XET_HASH];
	char etag[DIGEST_HEX_MAX + 1]; /* the file's: a SHA-256 */
};

/* Frees the texts of one that was read. */
void xet_link_fini(struct xet_link *l);
/* Appends a link behind the origin ("https://hub.example"). -ENOMEM, -EIO. */
MUST_USE int xet_link_print(const uint8_t key[static CAPABILITY_KEY], const char *origin,
			    const struct xet_link *l, struct buf *ret);
/* Reads one: what stands behind XET_LINK_ROOT, and the query. -EACCES with a sentence in why if it
 * is none of ours, or old. */
MUST_USE int xet_link_read(const uint8_t key[static CAPABILITY_KEY], const char *xorb,
			   const char *query, int64_t now_s, struct xet_link *ret, struct buf *why);

#endif
