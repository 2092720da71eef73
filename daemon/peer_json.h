/* SPDX-License-Identifier: Apache-2.0 */
/* Peers as JSON, for people: who they are and how they behaved, and where a blob lies among them.
 * Fields: docs/control.md. */
#ifndef MATRIXFS_PEER_JSON_H
#define MATRIXFS_PEER_JSON_H

#include "daemon/base/jwrite.h"
#include "daemon/node.h"
#include "daemon/peer/peers.h"

/* Writes an object: what went between this node and its peers, and each of them. */
void peer_json_members(struct peers *p, struct jwrite *w);
/* Writes one for a blob of that size: each segment with whom it belongs to, how much of it is here,
 * and who says that he has it. Opens the blob if it is in the cache. -ENOMEM: then part of it was
 * written. Blocking, see where_ask. */
MUST_USE int peer_json_segments(struct node *n, struct peers *p, const char *etag, uint64_t size,
				struct jwrite *w);

#endif
