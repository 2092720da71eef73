/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters about peers, which both programs have; carried down to whoever goes by them.
 * Pure. */
#ifndef MATRIXFS_PEER_SETTINGS_H
#define MATRIXFS_PEER_SETTINGS_H

#include <stdbool.h>

#include "daemon/base/conf.h"
#include "daemon/peer/placement.h"

#define PEER_CONNECTIONS_MAX 100000

#define PEER_WAITING_SHARE 4 /* while somebody waits here members get 1/4 of the rate, if not told */

/* As parameters set them; texts are NULL where they are empty. */
struct peer_settings {
	char *listen;  /* ADDRESS:PORT; NULL: there are no peers */
	char *address; /* what others call this node, ADDRESS:PORT; NULL: as listen */
	char *members; /* see member_list.h */
	char *key_file, *zone;
	/* All three or none: this node's certificate and its key, and who vouches for others'. */
	char *tls_cert, *tls_key, *tls_ca;
	int64_t weight, connections; /* of others, at once */
	uint64_t rate;               /* bytes a second to all peers together; 0: no limit */
	uint64_t rate_waiting;       /* while somebody here waits for bytes; 0: a share of rate */
};

#define PEER_ROW(base, name, type, field, def, min, max, arg, doc) \
	{ \
		name, type, (base) + offsetof(struct peer_settings, field), def, min, max, arg, \
			doc \
	}

/* Rows of a parameter table; base: offset of the struct peer_settings. */
#define PEER_PARAMS(base) \
	PEER_ROW(base, "peer-listen", CONF_TEXT, listen, NULL, 0, 0, "ADDRESS:PORT", \
		 "Give peers there what is in the cache. It goes with peers " \
		 "and cluster-key-file; without the three this node has no " \
		 "peers."), \
		PEER_ROW(base, "peer-address", CONF_TEXT, address, NULL, 0, 0, "ADDRESS:PORT", \
			 "How peers call this node, as it stands in their lists; " \
			 "without it as peer-listen, which then must name one " \
			 "address."), \
		PEER_ROW(base, "peers", CONF_TEXT, members, NULL, 0, 0, "LIST", \
			 "Who the peers are: ADDRESS:PORT,ADDRESS:PORT; " \
			 "dns:NAME:PORT, all addresses of a name; file:PATH, lines " \
			 "\"ADDRESS:PORT [weight=N] [zone=NAME]\"; or hub, who checks " \
			 "in at the first hub. This node may be among them."), \
		PEER_ROW(base, "cluster-key-file", CONF_TEXT, key_file, NULL, 0, 0, "FILE", \
			 "File with the key that all peers have, of 16 bytes or more; " \
			 "of two lines the first signs and both count. Its owner is " \
			 "root or this user; its group may read it, others have no " \
			 "right to it. Lines that begin with # do not count."), \
		PEER_ROW(base, "zone", CONF_TEXT, zone, NULL, 0, 0, "NAME", \
			 "Where this node is: peers of the same zone are asked before " \
			 "others."), \
		PEER_ROW(base, "peer-weight", CONF_COUNT, weight, "1", 1, PLACEMENT_WEIGHT_MAX, \
			 "COUNT", \
			 "How many times the share of others this node fetches for " \
			 "all; what a list says of it counts more."), \
		PEER_ROW(base, "peer-rate", CONF_BYTES, rate, "0", 0, 0, "BYTES", \
			 "Most bytes a second that all peers together are given; 0 is " \
			 "no limit."), \
		PEER_ROW(base, "peer-rate-waiting", CONF_BYTES, rate_waiting, "0", 0, 0, "BYTES", \
			 "The same while somebody waits here for bytes that are not there " \
			 "yet, if that is less; 0: a quarter of peer-rate."), \
		PEER_ROW(base, "peer-tls-cert", CONF_TEXT, tls_cert, NULL, 1, 0, "FILE", \
			 "Speak TLS with peers: this node's certificate in PEM, which " \
			 "names the address or the DNS name by which they call it, " \
			 "and behind it those that vouch for it. It goes with " \
			 "peer-tls-key and peer-tls-ca, and all peers have the three."), \
		PEER_ROW(base, "peer-tls-key", CONF_TEXT, tls_key, NULL, 1, 0, "FILE", \
			 "Its key in PEM."), \
		PEER_ROW(base, "peer-tls-ca", CONF_TEXT, tls_ca, NULL, 1, 0, "FILE", \
			 "Who vouches for the certificates of peers, in PEM: these " \
			 "and nobody else."), \
		PEER_ROW(base, "peer-connections", CONF_COUNT, connections, "256", 1, \
			 PEER_CONNECTIONS_MAX, "COUNT", "Most connections of peers at once.")

/* 0 if they make sense together, else ERR_CONF with a sentence in why. key_alone: a key without
 * peers makes sense, too. Asks nobody. */
MUST_USE int peer_settings_check(const struct peer_settings *s, bool key_alone, struct buf *why);
/* True if there are to be peers. NULL are none. */
bool peer_settings_given(const struct peer_settings *s);

#endif
