/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/client_address.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define BITS 128

/* An address of the old kind is one of the new kind (RFC 4291 §2.5.5.2). */
static bool parse(const char *text, size_t len, struct in6_addr *ret)
{
	char copy[CLIENT_ADDRESS_MAX], mapped[CLIENT_ADDRESS_MAX + 8];

	if (len >= sizeof(copy))
		return false;
	snprintf(copy, sizeof(copy), "%.*s", (int)len, text);
	if (inet_pton(AF_INET6, copy, ret) == 1)
		return true;
	snprintf(mapped, sizeof(mapped), "::ffff:%s", copy);
	return !strchr(copy, ':') && inet_pton(AF_INET6, mapped, ret) == 1;
}

static bool parse_network(const char *text, struct in6_addr *ret, unsigned *ret_bits)
{
	size_t len = strcspn(text, "/");
	bool old = !memchr(text, ':', len);
	unsigned most = old ? 32 : BITS, bits = most;
	char after;

	if (!parse(text, len, ret))
		return false;
	if (text[len] && (sscanf(text + len, "/%3u%c", &bits, &after) != 1 || bits > most))
		return false;
	*ret_bits = old ? bits + BITS - 32 : bits;
	return true;
}

bool client_network_valid(const char *text)
{
	struct in6_addr address;
	unsigned bits;

	return parse_network(text, &address, &bits);
}

static bool same_bits(const struct in6_addr *a, const struct in6_addr *b, unsigned bits)
{
	unsigned rest = bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	return memcmp(a, b, bits / 8) == 0 &&
	       (!rest || ((a->s6_addr[bits / 8] ^ b->s6_addr[bits / 8]) & mask) == 0);
}

bool client_address_in(const char *address, char *const networks[], size_t count)
{
	struct in6_addr of, network;
	unsigned bits;

	if (!parse(address, strlen(address), &of))
		return false;
	for (size_t i = 0; i < count; i++)
		if (parse_network(networks[i], &network, &bits) && same_bits(&of, &network, bits))
			return true;
	return false;
}

void client_address_network(const char *address, char ret[static CLIENT_ADDRESS_MAX])
{
	struct in6_addr six;

	snprintf(ret, CLIENT_ADDRESS_MAX, "%s", address);
	if (inet_pton(AF_INET6, address, &six) != 1 || IN6_IS_ADDR_V4MAPPED(&six))
		return;
	memset(&six.s6_addr[8], 0, 8);
	inet_ntop(AF_INET6, &six, ret, CLIENT_ADDRESS_MAX);
}

/* The last item of the list before `end`, printed as one prints addresses; false if it is none.
 * *end goes to where it begins. A port may follow it. */
static bool last_item(const char *field, size_t *end, char ret[static CLIENT_ADDRESS_MAX])
{
	struct in6_addr address;
	size_t from = *end, len;

	while (from && field[from - 1] != ',')
		from--;
	len = *end - from;
	*end = from ? from - 1 : 0;
	for (; len && strchr(" \t[", field[from]); len--)
		from++;
	len = len < strcspn(field + from, ", \t]") ? len : strcspn(field + from, ", \t]");
	if (memchr(field + from, '.', len) && !parse(field + from, len, &address))
		len = len < strcspn(field + from, ":") ? len : strcspn(field + from, ":");
	if (!parse(field + from, len, &address))
		return false;
	if (IN6_IS_ADDR_V4MAPPED(&address))
		return inet_ntop(AF_INET, &address.s6_addr[12], ret, CLIENT_ADDRESS_MAX);
	return inet_ntop(AF_INET6, &address, ret, CLIENT_ADDRESS_MAX);
}

void client_address(const char *peer, const char *field, char *const proxies[], size_t count,
		    char ret[static CLIENT_ADDRESS_MAX])
{
	size_t end = field ? strlen(field) : 0;
	char item[CLIENT_ADDRESS_MAX];

	snprintf(ret, CLIENT_ADDRESS_MAX, "%s", peer);
	while (end && client_address_in(ret, proxies, count) && last_item(field, &end, item))
		memcpy(ret, item, sizeof(item));
}
