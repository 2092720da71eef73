/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/network.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define BITS 128
#define OLD_BITS 32 /* of an address of the old kind */

bool network_address(const char *text, size_t len, struct in6_addr *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char copy[NETWORK_ADDRESS_MAX];

	if (len >= sizeof(copy))
		return false;
	snprintf(copy, sizeof(copy), "%.*s", (int)len, text);
	if (inet_pton(AF_INET6, copy, ret) == 1)
		return true;
	memcpy(ret, mapped, sizeof(mapped));
	return inet_pton(AF_INET, copy, &ret->s6_addr[sizeof(mapped)]) == 1;
}

void network_print(const struct in6_addr *address, char ret[static NETWORK_ADDRESS_MAX])
{
	if (IN6_IS_ADDR_V4MAPPED(address))
		inet_ntop(AF_INET, &address->s6_addr[12], ret, NETWORK_ADDRESS_MAX);
	else
		inet_ntop(AF_INET6, address, ret, NETWORK_ADDRESS_MAX);
}

static bool parse(const char *text, struct in6_addr *ret, unsigned *ret_bits)
{
	size_t len = strcspn(text, "/");
	bool old = !memchr(text, ':', len);
	unsigned most = old ? OLD_BITS : BITS, bits = most;
	char after;

	if (!network_address(text, len, ret))
		return false;
	if (text[len] && (sscanf(text + len, "/%3u%c", &bits, &after) != 1 || bits > most))
		return false;
	*ret_bits = old ? bits + BITS - OLD_BITS : bits;
	return true;
}

static bool same_bits(const struct in6_addr *a, const struct in6_addr *b, unsigned bits)
{
	unsigned rest = bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	return memcmp(a, b, bits / 8) == 0 &&
	       (!rest || ((a->s6_addr[bits / 8] ^ b->s6_addr[bits / 8]) & mask) == 0);
}

/* Is the address in the network of these bits? */
static bool is_in(const struct in6_addr *address, const struct in6_addr *network, unsigned bits)
{
	return same_bits(address, network, bits) &&
	       (bits >= BITS - OLD_BITS || !IN6_IS_ADDR_V4MAPPED(address));
}

const char *network_problem(const char *text)
{
	struct in6_addr address;
	unsigned bits;

	if (!parse(text, &address, &bits))
		return "allowed is an address or a network, as 10.0.0.0/8";
	for (unsigned i = bits; i < BITS; i++)
		if (address.s6_addr[i / 8] & 0x80 >> i % 8)
			return "the bits behind a network's are zeros, as in 10.0.0.0/8; and one "
			       "address has no \"/BITS\"";
	return NULL;
}

const char *network_common(const char *a, const char *b)
{
	struct in6_addr of_a, of_b;
	unsigned bits_a, bits_b;

	if (!parse(a, &of_a, &bits_a) || !parse(b, &of_b, &bits_b) ||
	    !(bits_a < bits_b ? is_in(&of_b, &of_a, bits_a) : is_in(&of_a, &of_b, bits_b)))
		return NULL;
	return bits_a < bits_b ? b : a;
}

bool network_has(const char *address, char *const networks[], size_t count)
{
	struct in6_addr of, network;
	unsigned bits;

	if (!network_address(address, strlen(address), &of))
		return false;
	for (size_t i = 0; i < count; i++)
		if (parse(networks[i], &network, &bits) && is_in(&of, &network, bits))
			return true;
	return false;
}
