/* SPDX-License-Identifier: Apache-2.0 */
/* How a client reaches us: what links in its answers begin with, and where it is itself. Fields
 * that proxies add (X-Forwarded-For, -Proto, -Host, -Prefix) are believed of proxies that are
 * trusted alone: anybody can write them. */
#ifndef MATRIXFS_ORIGIN_H
#define MATRIXFS_ORIGIN_H

#include "admin/account/client_address.h"
#include "admin/server.h"
#include "daemon/base/httpd.h"

/* What is said of it; NULL where nothing is. */
struct origin {
	const char *public_url; /* goes before all others */
	bool secure;            /* it came by TLS */
	const char *host;       /* the Host field */
	/* Of a trusted proxy; lists, of which the last item counts: the nearest proxy wrote it. */
	const char *proto, *proxied_host, *prefix;
};

/* Appends "https://hub.example:8443/prefix". What is not well-formed was not said; without a host
 * it is "localhost". Pure. -ENOMEM. */
MUST_USE int origin_print(const struct origin *o, struct buf *ret);
/* The same of a request, whose handle() has not returned; and the address of its client. Owned, or
 * NULL without memory. */
char *origin_find(const struct server *s, struct httpd_request *q,
		  char ret_address[static CLIENT_ADDRESS_MAX]);

#endif
