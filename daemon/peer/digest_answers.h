/* SPDX-License-Identifier: Apache-2.0 */
/* What this node can say of the digests of a segment: as its voucher, of what it has verified or
 * had from a hub itself, if only as a witness; as its holder, of all that it has and might give, or
 * had before all of the blob was dropped, but for what was otherwise once; as its witness, of what
 * a hub gives it now, which is digested and not kept, and paid for like what nobody waits for: each
 * chunk once, if it can remember, and none of what is sealed here. Made on threads of its own (what
 * is here does not wait for hubs), and remembered a while: who asks is told to come again. Threads:
 * any. */
#ifndef MATRIXFS_DIGEST_ANSWERS_H
#define MATRIXFS_DIGEST_ANSWERS_H

#include "daemon/hub/source.h"
#include "daemon/peer/opened.h"
#include "daemon/peer/provenance.h"
#include "daemon/peer/wire.h"

#define DIGEST_ANSWERS_MAX 4096 /* segments that are remembered, beside those being found out */

struct digest_answers;

struct digest_answers_conf {
	struct opened *opened; /* borrowed until digest_answers_stop, like all below */
	struct fetch *fetch;
	struct store *store;
	struct provenance *provenance;
	struct source *const *hubs;
	unsigned hub_count;
	struct httpc *http; /* to end what it asks at the stop */
};

/* -ENOMEM, -EAGAIN (no thread). */
MUST_USE int digest_answers_start(const struct digest_answers_conf *conf,
				  struct digest_answers **ret);
/* False if it is still at work after a while: then all stays until the process ends. NULL is
 * fine. */
MUST_USE bool digest_answers_stop(struct digest_answers *all);
/* What there is to say of the segment of an ask for digests. -EAGAIN: that is being found out, ask
 * again; -ENOENT: it has nothing to say; or why it could not be had from any hub. Does not wait. */
MUST_USE int digest_answers_get(struct digest_answers *all, const struct wire_ask *ask,
				struct wire_digests *ret);

#endif
