/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/client_address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

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
	if (memchr(field + from, '.', len) && !network_address(field + from, len, &address))
		len = len < strcspn(field + from, ":") ? len : strcspn(field + from, ":");
	if (!network_address(field + from, len, &address))
		return false;
	network_print(&address, ret);
	return true;
}

void client_address(const char *peer, const char *field, char *const proxies[], size_t count,
		    char ret[static CLIENT_ADDRESS_MAX])
{
	size_t end = field ? strlen(field) : 0;
	char item[CLIENT_ADDRESS_MAX];

	snprintf(ret, CLIENT_ADDRESS_MAX, "%s", peer);
	while (end && network_has(ret, proxies, count) && last_item(field, &end, item))
		memcpy(ret, item, sizeof(item));
}
