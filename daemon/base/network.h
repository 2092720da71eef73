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
/* NULL if text is an address, or a network: "192.0.2.0/24", "2001:db8::/32". Else what is wrong
 * with it, to follow "it is not valid: ". No bit is set behind those of a network. */
const char *network_problem(const char *text);
/* The one of two networks that lies within the other; NULL if they have no address in common: as
 * below, those that say "::/0" mean none of the old kind. */
const char *network_common(const char *a, const char *b);
/* True if the address is in one of the networks. One of the old kind is in none that is larger than
 * all of those, as "::/0": it is in networks that are written as the old ones are. */
bool network_has(const char *address, char *const networks[], size_t count);

#endif
