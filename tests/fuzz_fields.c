/* SPDX-License-Identifier: Apache-2.0 */
/* Input: a field of a request's head, or a network that a configuration trusts, and another. Each
 * is read as every field that has a grammar here: what is taken from it keeps to that, and what
 * one field allows no other one denies. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "admin/account/client_address.h"
#include "admin/hub/condition.h"
#include "admin/hub/range.h"
#include "admin/hub/ready.h"
#include "daemon/base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define ETAG "0123456789abcdef"
#define PEER "192.0.2.1"

static void check_ranges(const char *text, uint64_t size)
{
	struct ranges all;
	int r = ranges_parse(text, size, &all);

	assert(r == 0 || (r == -ERANGE && all.count == 0));
	assert(all.count <= RANGES_MAX);
	for (unsigned i = 0; i < all.count; i++) {
		const struct range *one = &all.at[i];

		assert(one->from < one->to && one->to <= size);
		for (unsigned j = 0; j < i; j++)
			assert(one->from >= all.at[j].to || all.at[j].from >= one->to);
	}
}

/* A tag that is right for a part is right for the whole; what matches strongly does weakly. */
static void check_conditions(const char *text)
{
	int match = condition_check(text, NULL, ETAG), none = condition_check(NULL, text, ETAG);

	assert(match == 0 || match == 412);
	assert(none == 0 || none == 304);
	assert(match != 0 || none == 304);
	assert(!condition_allows_part(text, ETAG) || match == 0);
}

static bool is_address(const char *text)
{
	struct in6_addr any;

	return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

static void check_address(char *field, char *network)
{
	char *const proxies[] = { (char[]){ "192.0.2.0/24" }, network };
	char got[CLIENT_ADDRESS_MAX];

	client_address(PEER, field, NULL, 0, got);
	assert(strcmp(got, PEER) == 0);
	client_address(PEER, field, proxies, ARRAY_LEN(proxies), got);
	assert(is_address(got));
	(void)network_problem(network);
	assert(!network_has("", &network, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	char *second;

	if (buf_add(&text, data, len) < 0 || buf_add(&text, "", 1) < 0)
		return 0;
	second = strchr(text.data, '\n');
	if (second)
		*second++ = '\0';
	check_ranges(text.data, 0);
	check_ranges(text.data, 5000);
	check_ranges(text.data, UINT64_MAX);
	check_conditions(text.data);
	check_address(text.data, second ? second : text.data);
	assert(ready_accepted(text.data) < READY_PACKINGS);
	return 0;
}
