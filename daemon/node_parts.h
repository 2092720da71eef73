/* SPDX-License-Identifier: Apache-2.0 */
/* What a node is made of, for those in daemon/ who look after its cache: the keeper, which hands
 * it to its jobs, and the control socket, which tells of it. Who only reads files has no use for
 * it: node.h. */
#ifndef MATRIXFS_NODE_PARTS_H
#define MATRIXFS_NODE_PARTS_H

#include "daemon/cache/catalog.h"
#include "daemon/cache/evict.h"
#include "daemon/node.h"
#include "daemon/cache/pins.h"
#include "daemon/cache/store.h"

/* Each is the node's, and may be called as its own header says. */
struct node_parts {
	struct store *store;
	struct catalog *catalog;
	struct pins *pins;
	struct evict *evict;
	void (*on_forget)(void *arg, const char *etag); /* node_conf's, never NULL */
	void *arg;
	int64_t timeout_ms;
};
/* The same from node_open to node_close; borrowed. Any thread. */
const struct node_parts *node_parts(const struct node *n);

#endif
