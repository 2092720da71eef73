/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes that share what they fetch, put together: members, key, the source that asks them, the
 * server that answers them. A node without peers has none of it. Threads: any. */
#ifndef MATRIXFS_PEERS_H
#define MATRIXFS_PEERS_H

#include "daemon/base/buf.h"
#include "daemon/hub/source.h"
#include "daemon/peer/members.h"

struct peers;

/* What --peer-... say. Texts are borrowed until peers_open has returned. */
struct peers_conf {
	const char *listen;  /* ADDRESS:PORT */
	const char *address; /* what others call it, ADDRESS:PORT; NULL: as listen */
	const char *members; /* see member_list.h */
	const char *key_file;
	const char *zone; /* or NULL */
	uint32_t weight;
	uint64_t rate;        /* bytes a second to all peers together; 0: no limit */
	unsigned connections; /* at once */
	const char *hub_url;  /* the first hub's */
};

/* For people: what was moved, in bytes, since the start. */
struct peers_status {
	const char *address, *zone;
	uint64_t bytes_in, bytes_out, bytes_wrong, bytes_twice; /* twice: two sources raced */
	uint64_t answers, redirects, refused;
	unsigned connections;
};
void peers_status(struct peers *p, struct peers_status *ret);
/* Its members, for members_each and members_forgive; borrowed until peers_close. */
struct members *peers_members(struct peers *p);
/* Where segment `segment` of a blob of that size belongs: its owner and who follows, as addresses;
 * borrowed until the list of members changes. How many. */
unsigned peers_owners(struct peers *p, const char *etag, uint64_t size, uint32_t segment,
		      const char *ret[static PLACEMENT_OWNERS]);

#endif
