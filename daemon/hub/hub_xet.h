/* SPDX-License-Identifier: Apache-2.0 */
/* A hub's bytes where it gives them by a Xet store alone: what a range is made of is asked for with
 * a token of the store, the parts of xorbs by signed links, and both are asked for anew when they
 * are too old. Inside of a hub's client. Source: research "mounts" §2.1 to 2.3. */
#ifndef MATRIXFS_HUB_XET_H
#define MATRIXFS_HUB_XET_H

#include "daemon/hub/hub_priv.h"

/* Where such an answer of a hub says that the file is, as text that location.h can remember: the
 * hash it has there, and where tokens are. Appends nothing if it offers none. -ENOMEM. */
MUST_USE int hub_xet_offer(const struct hub_answer *a, const struct httpc_response *r,
			   struct buf *ret);
/* True if a location is such a text. */
bool hub_xet_is_offer(const char *location);
/* hub_get_range from there. Also ERR_DIGEST: what came is not what was named, twice. */
MUST_USE int hub_xet_get(struct hub *h, const char *offer, const struct source_ask *ask,
			 int64_t *ret_wait_ms);

#endif
