/* SPDX-License-Identifier: Apache-2.0 */
/* Where the list of members comes from: told once, a DNS name, a file that something else writes,
 * or a hub where nodes check in. All but the first are looked at again and again; a list that
 * cannot be had, names nobody or makes no sense leaves the one before in force and is logged once.
 * Threads: any. */
#ifndef MATRIXFS_MEMBER_LIST_H
#define MATRIXFS_MEMBER_LIST_H

#include "daemon/base/buf.h"
#include "daemon/base/httpc.h"
#include "daemon/peer/cluster_key.h"
#include "daemon/peer/members.h"

#define MEMBER_LIST_PERIOD_MS 5000
#define MEMBER_LIST_FIRST_MS 2000 /* so long the first look may hold up who starts */

struct member_list;

struct member_list_conf {
	/* "ADDR:PORT,ADDR:PORT", "dns:NAME:PORT" (its addresses of IPv4, or if there are none of
	 * IPv6), "file:PATH" (lines as member_list_parse reads them), or "hub". */
	const char *spec;
	struct members *members; /* told of each list; borrowed until member_list_stop */
	int64_t period_ms;       /* between looks, jittered; 0: MEMBER_LIST_PERIOD_MS */
	struct member_spec self; /* what is told to a hub */
	/* For "hub"; borrowed likewise, may be NULL else. */
	const char *hub_url;
	struct httpc *http;
	struct cluster_key *key;
};

/* 0 if a spec has one of the forms above, else ERR_CONF with a sentence in why. Asks nobody. */
MUST_USE int member_list_check(const char *spec, struct buf *why);
/* Looks once (a failure of that is only logged, unless spec makes no sense: ERR_CONF with a
 * sentence in why), then goes on in a thread of its own. */
MUST_USE int member_list_start(const struct member_list_conf *conf, struct member_list **ret,
			       struct buf *why);
/* At once: a look at a name or a file that hangs is left to itself, with nothing of the caller's.
 * NULL is none. */
void member_list_stop(struct member_list *l);

#endif
