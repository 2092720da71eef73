/* SPDX-License-Identifier: Apache-2.0 */
/* Input: a list of members. What is read of it can be written, and is then read as the same; and
 * as what is told on a command line it does no harm. */
#include "daemon/peer/member_look.h"

#include <assert.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/peer/placement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_member(const struct member_spec *s)
{
	char again[MEMBER_ADDRESS_MAX + 1];

	assert(member_address_read(s->address, strlen(s->address), again));
	assert(strcmp(s->address, again) == 0);
	assert(s->weight >= 1 && s->weight <= PLACEMENT_WEIGHT_MAX);
	assert(!s->zone[0] || member_zone_valid(s->zone, strlen(s->zone)));
}

static void check_same(const struct member_spec *list, size_t count)
{
	CLEANUP(buf_free) struct buf text = { 0 }, why = { 0 };
	CLEANUP(freep) struct member_spec *again = NULL;
	size_t n;

	for (size_t i = 0; i < count; i++)
		member_spec_write(&list[i], &text);
	assert(member_list_parse(buf_str(&text), text.len, &again, &n, &why) == 0);
	assert(n == count);
	for (size_t i = 0; i < count; i++) {
		assert(strcmp(again[i].address, list[i].address) == 0);
		assert(strcmp(again[i].zone, list[i].zone) == 0);
		assert(again[i].weight == list[i].weight);
	}
}

static void check_told(const struct buf *text)
{
	struct member_look k = { 0 };
	int r = member_look_told(buf_str(text), &k);

	assert(r == MEMBER_FOUND || (r == ERR_CONF && k.why.len));
	for (size_t i = 0; r == MEMBER_FOUND && i < k.count; i++)
		check_member(&k.list[i]);
	member_look_fini(&k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf text = { 0 }, why = { 0 };
	CLEANUP(freep) struct member_spec *list = NULL;
	size_t count = 0;
	int r;

	if (buf_add(&text, data, len) < 0)
		return 0;
	r = member_list_parse(buf_str(&text), text.len, &list, &count, &why);
	assert(r == 0 || (r == ERR_CONF && why.len && !list));
	for (size_t i = 0; i < count; i++)
		check_member(&list[i]);
	check_same(list, count);
	check_told(&text);
	return 0;
}
