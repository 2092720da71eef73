/* SPDX-License-Identifier: Apache-2.0 */
/* Where a request comes from: the other end of its connection, or what a proxy that is trusted says
 * in X-Forwarded-For. Pure. */
#ifndef MATRIXFS_CLIENT_ADDRESS_H
#define MATRIXFS_CLIENT_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/base/network.h"
#include "daemon/base/own.h"

#define CLIENT_ADDRESS_MAX NETWORK_ADDRESS_MAX

/* What those are counted by who ask from an address: of IPv6 its /64, since who has one has them
 * all; any other word as it is, as far as there is room. */
void client_address_network(const char *address, char ret[static CLIENT_ADDRESS_MAX]);
/* ret: the peer, if it is none of the proxies or the field (X-Forwarded-For, or NULL) tells
 * nothing; else the last one the field names that is no proxy: what stands before it anybody may
 * have written. */
void client_address(const char *peer, const char *field, char *const proxies[], size_t count,
		    char ret[static CLIENT_ADDRESS_MAX]);

#endif
