/* SPDX-License-Identifier: Apache-2.0 */
/* One check-in: this node tells a hub that it is there, and the hub tells who else is.
 *
 *   POST /api/matrixfs/members   {"address": "...", "zone": "...", "weight": 1, "list": DIGEST}
 *
 * answered 200 with lines as member_list_parse reads them, or 204 if the node has just that list,
 * or 202 while the hub has just begun and may not know all: that is for nodes that know nobody yet.
 * Both are signed under the cluster key as what peers say is, with two words more: in the place of
 * the range stands the digest of the request's body, in the place of the others that of the
 * answer's. Signed is this path, whatever stands before it in the hub's URL. */
#ifndef MATRIXFS_MEMBER_CHECKIN_H
#define MATRIXFS_MEMBER_CHECKIN_H

#include "daemon/base/digest.h"
#include "daemon/base/httpc.h"
#include "daemon/peer/cluster_key.h"
#include "daemon/peer/member_look.h"

#define MEMBER_CHECKIN_TARGET "/api/matrixfs/members"
#define MEMBER_CHECKIN_METHOD "POST"
#define MEMBER_CHECKIN_HUB "matrixhubd" /* what hubs are called in what is signed */
#define MEMBER_CHECKIN_BODY_MAX 1024    /* bytes of a request's body */

/* What stands for a body in what is signed: its SHA-256. -ENOMEM, -EIO. */
MUST_USE int member_checkin_digest(const void *body, size_t len,
				   char ret[static DIGEST_HEX_MAX + 1]);

struct member_checkin {
	struct httpc *http; /* borrowed, like all texts */
	struct cluster_key *key;
	const char *hub_url;
	struct member_spec self;
	/* What is remembered from one to the next; zero to begin with. */
	int64_t ahead_ms;              /* how far the hub's clock is ahead, as it last told */
	char list[DIGEST_HEX_MAX + 1]; /* digest of the whole list it last gave, or "" */
	struct httpc_cancel cancel;
};

/* Checks in. MEMBER_FOUND, MEMBER_AS_IT_WAS, or a negative error. httpc_cancel ends it. */
MUST_USE int member_look_hub(struct member_checkin *c, struct member_look *ret);

#endif
