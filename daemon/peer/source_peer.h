/* SPDX-License-Identifier: Apache-2.0 */
/* The peers together as a source of bytes. Each range is asked for by the segments it lies in, of
 * whom its `trip` names in turn; where this node is the one to ask upstream, it passes. Bytes reach
 * the sink by whole chunks, each compared before with its digest if that is known: nothing of a
 * wrong one is given, and who gave it is banned, or told of. Threads: any. */
#ifndef MATRIXFS_SOURCE_PEER_H
#define MATRIXFS_SOURCE_PEER_H

#include "daemon/hub/source.h"
#include "daemon/peer/digest_lists.h"
#include "daemon/peer/members.h"
#include "daemon/peer/peer_counts.h"
#include "daemon/peer/peer_request.h"
#include "daemon/peer/placement_cache.h"
#include "daemon/peer/probe.h"
#include "daemon/peer/provenance.h"
#include "daemon/peer/segment_notes.h"

#define SOURCE_PEER_NAME "peers"

/* A chunk of several that a member gave, and that was wrong: it may have passed on what it was
 * given. All borrowed. */
struct source_refused {
	const struct source_blob *what;
	uint32_t chunk;
	const char *member;
	const uint8_t *gave; /* CHUNK_LIST_DIGEST bytes: the digest of what it gave */
	bool published;      /* a hub tells everybody what it must be */
};

/* Who looks at what members give. Called from any thread; does not wait. */
struct source_watch {
	/* Chunk i has been given on; it may be compared. */
	void (*came)(void *arg, const struct source_blob *what, uint32_t i);
	/* True if so many have contradicted the hub's list that the hub itself is to be asked. */
	bool (*refused)(void *arg, const struct source_refused *r);
	void *arg;
};

struct source_peer_conf {
	struct members *members; /* borrowed until source_peer_free, like all below */
	struct placement_cache *placement;
	struct segment_notes *notes;
	struct probes *probes;
	struct provenance *provenance;
	struct digest_lists *lists;
	struct source_watch watch;
	const struct asker *asker; /* this node */
	struct peer_counts *counts;
	int64_t give_up_ms; /* a member may have nothing but hope to give for so long */
	bool gives_only;    /* this node has its bytes from hubs alone: nobody is asked */
};

/* -ENOMEM. */
MUST_USE int source_peer_new(const struct source_peer_conf *conf, struct source **ret);
void source_peer_free(struct source *s);

#endif
