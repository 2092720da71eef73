/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes that check in at this hub (daemon/peer/member_checkin.h), so that it can tell each who
 * the others are. In memory alone: who has not been heard of for a while is not told any more, and
 * a hub that has just begun says that it does not know all yet. Times are clock_ms() values.
 * Threads: any. */
#ifndef MATRIXFS_CHECKINS_H
#define MATRIXFS_CHECKINS_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/account/client_address.h"
#include "daemon/base/digest.h"
#include "daemon/peer/cluster_key.h"
#include "daemon/peer/member_spec.h"

#define CHECKINS_TTL_MS (30 * 1000)    /* so long a check-in counts: nodes come every 5 s or so */
#define CHECKINS_GATHER_MS (12 * 1000) /* after its begin all have come, twice as a rule */
/* Nodes of one address, and of one /64 of IPv6, of which a host may have all: who has the key
 * invents no more. */
#define CHECKINS_SOURCE_MAX 64
#define CHECKINS_NETWORK_MAX 1024

struct checkins;

/* Nobody has checked in. The file is the cluster key's; a sentence in why. */
MUST_USE int checkins_open(const char *key_file, int64_t now_ms, struct checkins **ret,
			   struct buf *why);
/* NULL is none. */
void checkins_free(struct checkins *c);
/* The key by which check-ins are taken. Borrowed. */
struct cluster_key *checkins_key(struct checkins *c);

/* A node has checked in from an address ("": not known); what it says counts in the place of what
 * it said before. -ENOSPC if it would be one more than MEMBERS_MAX, -EDQUOT than
 * CHECKINS_SOURCE_MAX or CHECKINS_NETWORK_MAX from there, -ENOMEM. */
MUST_USE int checkins_note(struct checkins *c, const struct member_spec *s, const char *source,
			   int64_t now_ms);
/* Appends the lines of all, by address, and their digest (member_checkin_digest). Nothing is
 * appended if `known` is that digest. -ENOMEM. */
MUST_USE int checkins_tell(struct checkins *c, const char *known, int64_t now_ms, struct buf *ret,
			   char ret_digest[static DIGEST_HEX_MAX + 1]);
/* True while who was there before may not have come yet. */
bool checkins_gathers(const struct checkins *c, int64_t now_ms);
/* The first behind that address (NULL: of all), and how long ago it came; false if there is none.
 */
bool checkins_next(struct checkins *c, const char *after, int64_t now_ms, struct member_spec *ret,
		   int64_t *ret_age_ms);
/* How many there are. */
size_t checkins_count(struct checkins *c, int64_t now_ms);

#endif
