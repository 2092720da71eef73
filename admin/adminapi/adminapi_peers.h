/* SPDX-License-Identifier: Apache-2.0 */
/* Admin API: the peers of this hub, and the nodes that check in here. Handlers as api_fn says. */
#ifndef MATRIXFS_ADMINAPI_PEERS_H
#define MATRIXFS_ADMINAPI_PEERS_H

#include "admin/adminapi/adminapi_call.h"

extern const struct api_shape api_peers_shape, api_forgive_shape, api_forgiven_shape,
	api_checkin_shape;

/* GET /peers: who they are, and what went to and fro. */
int api_peers(struct api_call *c);
/* POST /peers/forgive: bans are taken back. */
int api_peers_forgive(struct api_call *c);
/* GET /members: nodes that have checked in lately. */
int api_checkins(struct api_call *c);

#endif
