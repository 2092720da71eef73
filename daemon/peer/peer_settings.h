/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters about peers, which both programs have. Pure. */
#ifndef MATRIXFS_PEER_SETTINGS_H
#define MATRIXFS_PEER_SETTINGS_H

#include <stdbool.h>

#include "daemon/base/conf.h"
#include "daemon/peer/peers.h"

#define PEER_CONNECTIONS_MAX 100000

/* As parameters set them; texts are NULL where they are empty. */
struct peer_settings {
	char *listen, *address, *members, *key_file, *zone;
	int64_t weight, connections;
	uint64_t rate; /* bytes a second; 0: no limit */
};

#define PEER_FIELD(base, name) (base) + offsetof(struct peer_settings, name)

/* Rows of a parameter table; base: offset of the struct peer_settings. */
#define PEER_PARAMS(base) \
	{ "peer-listen", \
	  CONF_TEXT, \
	  PEER_FIELD(base, listen), \
	  NULL, \
	  0, \
	  0, \
	  "ADDRESS:PORT", \
	  "Give peers there what is in the cache. It goes with peers and cluster-key-file; " \
	  "without the three this node has no peers." }, \
		{ "peer-address", \
		  CONF_TEXT, \
		  PEER_FIELD(base, address), \
		  NULL, \
		  0, \
		  0, \
		  "ADDRESS:PORT", \
		  "How peers call this node, as it stands in their lists; without it as peer-listen, " \
		  "which then must name one address." }, \
		{ "peers", \
		  CONF_TEXT, \
		  PEER_FIELD(base, members), \
		  NULL, \
		  0, \
		  0, \
		  "LIST", \
		  "Who the peers are: ADDRESS:PORT,ADDRESS:PORT; dns:NAME:PORT, all addresses of a " \
		  "name; file:PATH, lines \"ADDRESS:PORT [weight=N] [zone=NAME]\"; or hub, who checks " \
		  "in at the first hub. This node may be among them." }, \
		{ "cluster-key-file", \
		  CONF_TEXT, \
		  PEER_FIELD(base, key_file), \
		  NULL, \
		  0, \
		  0, \
		  "FILE", \
		  "File with the key that all peers have, of 16 bytes or more; of two lines the first " \
		  "signs and both count. Only its owner may read it." }, \
		{ "zone", \
		  CONF_TEXT, \
		  PEER_FIELD(base, zone), \
		  NULL, \
		  0, \
		  0, \
		  "NAME", \
		  "Where this node is: peers of the same zone are asked before others." }, \
		{ "peer-weight", \
		  CONF_COUNT, \
		  PEER_FIELD(base, weight), \
		  "1", \
		  1, \
		  PLACEMENT_WEIGHT_MAX, \
		  "COUNT", \
		  "How many times the share of others this node fetches for all; what a list says of " \
		  "it counts more." }, \
		{ "peer-rate", \
		  CONF_BYTES, \
		  PEER_FIELD(base, rate), \
		  "0", \
		  0, \
		  0, \
		  "BYTES", \
		  "Most bytes a second that all peers together are given; 0 is no limit." }, \
	{ \
		"peer-connections", CONF_COUNT, PEER_FIELD(base, connections), "256", 1, \
			PEER_CONNECTIONS_MAX, "COUNT", "Most connections of peers at once." \
	}

/* 0 if they make sense together, else ERR_CONF with a sentence in why. key_alone: a key without
 * peers makes sense, too. Asks nobody. */
MUST_USE int peer_settings_check(const struct peer_settings *s, bool key_alone, struct buf *why);
/* True if there are to be peers; then *ret tells which, with texts borrowed from s. hub_url: the
 * first hub's, or NULL. */
bool peer_settings_conf(const struct peer_settings *s, const char *hub_url, struct peers_conf *ret);

#endif
