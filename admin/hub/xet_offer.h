/* SPDX-License-Identifier: Apache-2.0 */
/* Which files clients are told of that they may read by the Xet store: what is hosted here, has
 * come that way, and is larger than the configuration says. */
#ifndef MATRIXFS_XET_OFFER_H
#define MATRIXFS_XET_OFFER_H

#include "admin/hub/ask.h"
#include "daemon/model/manifest.h"

#define XET_OFFERS_NONE UINT64_MAX
#define XET_OFFER_BYTES_MIN (1 << 20) /* of smaller files nobody remembers what they are made of */

/* True if any is. */
bool xet_offered(const struct server *s);
/* Adds to the head of an answer about a file of that etag that it is, and where. */
void xet_offer(const struct ask *a, const struct manifest_file *f, const char *etag,
	       struct httpd_head *h);
/* Appends the same as JSON; nothing if it is not. */
void xet_offer_json(const struct ask *a, const struct manifest_file *f, const char *etag,
		    struct buf *ret);

#endif
