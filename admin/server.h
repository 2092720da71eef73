/* SPDX-License-Identifier: Apache-2.0 */
/* What all requests to the hub share; made by main. */
#ifndef MATRIXFS_SERVER_H
#define MATRIXFS_SERVER_H

#include <stdatomic.h>
#include <stdint.h>

#include "admin/hub/access.h"
#include "admin/audit/audit.h"
#include "admin/audit/audit_debt.h"
#include "admin/account/auth.h"
#include "admin/hub/capability.h"
#include "admin/catalogue/downloads.h"
#include "admin/hub/filter.h"
#include "admin/meter.h"
#include "admin/hub/ready.h"
#include "admin/account/rights.h"
#include "daemon/base/conf.h"
#include "daemon/node.h"

struct server {
	const char *data; /* the directory of it all */
	struct node *node;
	struct warmups *warmups;
	struct keeper *keeper;
	struct workers *workers;    /* of the admin API, and for what nobody waits for */
	struct workers *receivers;  /* that take bodies: see ask_body */
	struct workers *assemblers; /* that make files of what came: as long as it takes */
	struct intake *intake;
	struct parts *parts;
	struct xorbs *xorbs;
	struct xet_room *xet_room; /* for shards */
	struct collector *collector;
	struct scrubber *scrubber;
	struct chunker *chunker;
	struct rulewatch *rulewatch;
	struct checkins *checkins; /* or NULL: no node may check in */
	uint64_t part_bytes;       /* larger files come in parts of that size; 0: none does */
	uint8_t link_key[CAPABILITY_KEY]; /* of what bears its right: lfs_link.h, xet_token.h */
	struct auth *auth;
	struct ready *ready;
	struct roster *roster;
	struct downloads *downloads;
	struct rights rights;       /* with the db of it all */
	unsigned names_kept;        /* given up, but damage keeps what is said of them */
	struct filter_now filter;   /* what of the upstreams may be read */
	bool keeps_gone;            /* what upstreams say is gone is served */
	bool takes_xet;             /* uploads by the way of a Xet store ... */
	uint64_t xet_above;         /* ... and reads of larger files, or XET_OFFERS_NONE */
	const char *public_url;     /* how clients reach us, or NULL: as each of them says */
	_Atomic int64_t ref_ttl_ms; /* what a hub says of what can change is believed so long */
	int64_t timeout_ms;         /* the longest a request waits for an answer of others */
	int64_t since_s;            /* wall clock */
	struct meter meter;
	_Atomic(struct httpd *) http; /* NULL until it has begun */
	struct audit *audit;          /* or NULL */
	struct audit_debts *debts;    /* changes whose record is not durable yet */
	struct access *access;        /* or NULL */
	struct conf_list proxies; /* networks whose X-Forwarded- fields are believed; borrowed */
};

#endif
