/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes that share what they fetch, put together: members, key, the source that asks them, the
 * server that answers them. A node without peers has none of it. Threads: any. */
#ifndef MATRIXFS_PEERS_H
#define MATRIXFS_PEERS_H

#include "daemon/base/buf.h"
#include "daemon/fetch/fetch.h"
#include "daemon/hub/source.h"
#include "daemon/peer/peer_call.h"
#include "daemon/peer/members.h"
#include "daemon/peer/peer_counts.h"
#include "daemon/peer/peer_host.h"
#include "daemon/peer/peer_settings.h"
#include "daemon/peer/serve.h"

struct peers;

/* What they are given of a node; borrowed until peers_close. */
struct peers_ground {
	struct httpc *http;      /* for hubs; its httpc_cancel ends what members are asked, too */
	struct hub *const *hubs; /* in order of preference */
	struct source *const *hub_sources; /* the same as sources */
	unsigned hub_count;
	const char *hub_url;          /* the first hub's; until peers_start has returned */
	const struct peer_host *host; /* or NULL: members get what is here */
	int64_t timeout_ms;           /* any of their readers may wait so long */
	bool gives_only;              /* what it has, and brings: it asks them for no bytes */
};

/* Reads the key and knows nobody yet. The settings are those of a node that has peers; borrowed
 * until peers_close. Sentences in why. */
MUST_USE int peers_open(const struct peer_settings *settings, const struct peers_ground *ground,
			struct peers **ret, struct buf *why);
/* All of them as a source; borrowed until peers_close. */
struct source *peers_source(struct peers *p);
/* Who finds out which of their bytes were wrong; likewise. Of no peers (NULL), or who has none of
 * theirs: nobody. */
struct verifier peers_verifier(struct peers *p);
/* Answers others from then on, and learns who they are. Both are borrowed until peers_stop.
 * Sentences in why. */
MUST_USE int peers_start(struct peers *p, struct fetch *f, struct store *s, struct buf *why);
/* After fetch_stop. False: see serve_stop. */
MUST_USE bool peers_stop(struct peers *p);
/* Nothing asks the source any more. NULL is fine. */
void peers_close(struct peers *p);

/* What members may have this node do, from now on; borrowed until peers_stop. */
void peers_set_work(struct peers *p, const struct serve_work *work);
/* Asks a member for something that is not bytes: see peer_call_run. */
MUST_USE int peers_ask(struct peers *p, const struct peer_call *e, struct buf *ret);

/* For people. */
struct peers_status {
	const char *address, *zone; /* borrowed until peers_close, like counts */
	const struct peer_counts *counts;
	unsigned connections; /* of members, now */
};
void peers_status(struct peers *p, struct peers_status *ret);
/* True if TLS with this member fails, as ret tells. */
MUST_USE bool peers_trouble(struct peers *p, const char *member, char ret[static TLS_TROUBLE_TEXT]);
/* Its members, for members_each and members_forgive; borrowed until peers_close. */
struct members *peers_members(struct peers *p);

#endif
