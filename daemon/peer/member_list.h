/* SPDX-License-Identifier: Apache-2.0 */
/* Where the list of members comes from: told once, a DNS name, a file that something else writes,
 * or a hub where nodes check in. All but the first are looked at again and again; a list that
 * cannot be had, or makes no sense, leaves the one before in force and is logged once. */
#ifndef MATRIXFS_MEMBER_LIST_H
#define MATRIXFS_MEMBER_LIST_H

#include "daemon/base/buf.h"
#include "daemon/base/httpc.h"
#include "daemon/peer/cluster_key.h"
#include "daemon/peer/members.h"

#define MEMBERS_MAX 10000
#define MEMBER_LIST_PERIOD_MS 5000 /* between looks, jittered */

struct member_list;

struct member_list_conf {
	/* "ADDR:PORT,ADDR:PORT", "dns:NAME:PORT" (its A and AAAA records), "file:PATH", or "hub". */
	const char *spec;
	struct members *members; /* told of each list; borrowed until member_list_stop */
	struct member_spec self; /* what is told to a hub */
	/* For "hub"; borrowed likewise, may be NULL else. */
	const char *hub_url;
	struct httpc *http;
	struct cluster_key *key;
};

/* 0 if a spec has one of the forms above, else ERR_CONF with a sentence in why. Asks nobody. */
MUST_USE int member_list_check(const char *spec, struct buf *why);
/* The lines of a file or of a hub's answer: "ADDR:PORT [weight=N] [zone=NAME]", one member a line,
 * blank lines and "# ..." between. ERR_CONF with the line in why. *ret is owned (free). */
MUST_USE int member_list_parse(const char *text, size_t len, struct member_spec **ret,
			       size_t *ret_count, struct buf *why);
/* Looks once (a failure of that is only logged, unless spec makes no sense: ERR_CONF with a
 * sentence in why), then goes on in a thread of its own. */
MUST_USE int member_list_start(const struct member_list_conf *conf, struct member_list **ret,
			       struct buf *why);
void member_list_stop(struct member_list *l);

#endif
