/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of the network and networks of them, as texts. Pure. */
#ifndef MATRIXFS_NETWORK_H
#define MATRIXFS_NETWORK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#define NETWORK_ADDRESS_MAX 46 /* INET6_ADDRSTRLEN */

/* The address that the first len bytes of the text are; one of the old kind as one of the new kind
 * (RFC 4291 §2.5.5.2). False if they are none. */
bool network_address(const char *text, size_t len, struct in6_addr *ret);
/* The address as text, in the shortest form (RFC 5952): one of the old kind as such. */
void network_print(const struct in6_addr *address, char ret[static NETWORK_ADDRESS_MAX]);
/* True if text is an address, or a network: "192.0.2.0/24", "2001:db8::/32". */
bool network_valid(const char *text);
/* The one of two networks that lies within the other; NULL if they have no address in common. */
const char *network_common(const char *a, const char *b);
/* True if the address is in one of the networks. */
bool network_has(const char *address, char *const networks[], size_t count);

#endif
