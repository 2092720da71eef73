/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/node_probe.h"

#include "daemon/node_priv.h"

const char *node_hub_probe(struct node *n, unsigned i, int64_t deadline_ms, struct hub_probe *ret)
{
	hub_probe(n->hubs[i], deadline_ms, ret);
	return hub_name(n->hubs[i]);
}
