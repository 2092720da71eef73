/* SPDX-License-Identifier: Apache-2.0 */
/* What node.c (names, start and stop) and node_file.c (bytes) share. */
#ifndef MATRIXFS_NODE_PRIV_H
#define MATRIXFS_NODE_PRIV_H

#include "daemon/names/discover.h"
#include "daemon/fetch/fetch.h"
#include "daemon/node.h"
#include "daemon/node_parts.h"
#include "daemon/fetch/prefetch.h"
#include "daemon/peer/peers.h"

struct node {
	struct store *store;
	struct catalog *catalog;
	struct known *known;
	struct httpc *http;
	struct hub *hubs[NODE_HUBS_MAX];
	struct source *of_hubs[NODE_HUBS_MAX];
	unsigned hub_count;
	struct peers *peers;                       /* NULL: it has none */
	struct source *sources[NODE_HUBS_MAX + 1]; /* in the order in which they are asked */
	unsigned source_count;
	bool left; /* somebody still works on a request of a peer: all stays */
	struct discover discover;
	struct flight *flight;
	struct docs *docs;
	struct fetch *fetch;
	struct evict *evict;
	struct metrics metrics;
	struct failures failures;
	struct pins *pins;
	struct lock renewing; /* one who does it at a time: the last one saw all */
	struct node_parts parts;
	struct prefetch *prefetch; /* NULL: no guesses */
	_Atomic int64_t ref_ttl_ms;
	_Atomic int64_t
		ref_retry_ms; /* an old ref stands so long before a failed hub is asked again */
};

/* ---- node_hosted.c ---- */

/* All that are hosted become known. */
MUST_USE int node_load_hosted(struct node *n);
/* The commit that a revision of one that is hosted names. ERR_NOREV. */
MUST_USE int node_hosted_ref(struct node *n, struct repo *r, const char *ref,
			     char ret[static COMMIT_HEX + 1]);

#endif
