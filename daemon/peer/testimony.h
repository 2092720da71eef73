/* SPDX-License-Identifier: Apache-2.0 */
/* What this node can say of the digests of a segment: as its voucher, of what it has verified or
 * had from a hub itself, if only as a witness; as its holder, of all that it has and might give, or
 * had before all of the blob was dropped, but for what was otherwise once; as its witness, of what
 * a hub gives it now, which is digested and not kept, and paid for like what nobody waits for: each
 * chunk once, if it can remember, and none of what is sealed here. Made on threads of its own (what
 * is here does not wait for hubs), and remembered a while: who asks is told to come again. Threads:
 * any. */
#ifndef MATRIXFS_TESTIMONY_H
#define MATRIXFS_TESTIMONY_H

#include "daemon/hub/source.h"
#include "daemon/peer/evidence.h"
#include "daemon/peer/opened.h"
#include "daemon/peer/wire.h"

#define TESTIMONY_MAX 4096 /* segments that are remembered */

struct testimony;

struct testimony_conf {
	struct opened *opened; /* borrowed until testimony_stop, like all below */
	struct fetch *fetch;
	struct store *store;
	struct evidence *evidence;
	struct source *const *hubs;
	unsigned hub_count;
	struct httpc *http; /* to end what it asks at the stop */
};

/* -ENOMEM, -EAGAIN (no thread). */
MUST_USE int testimony_start(const struct testimony_conf *conf, struct testimony **ret);
/* False if it is still at work after a while: then all stays until the process ends. NULL is
 * fine. */
MUST_USE bool testimony_stop(struct testimony *t);
/* What there is to say of the segment of an ask for digests. -EAGAIN: that is being found out, ask
 * again; -ENOENT: it has nothing to say; or why it could not be had from any hub. Does not wait. */
MUST_USE int testimony_ask(struct testimony *t, const struct wire_ask *ask,
			   struct wire_digests *ret);
/* The SHA-256 of chunk i of a blob, as it is here. -ENOENT: it is not; -EIO, -ENOMEM. */
MUST_USE int testimony_digest(struct blob *b, uint32_t i, uint8_t ret[static CHUNK_LIST_DIGEST]);

#endif
