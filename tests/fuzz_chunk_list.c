/* SPDX-License-Identifier: Apache-2.0 */
/* Input: a digest list as a hub tells it; and as its file, once as it is, once with the sum that it
 * should have, so that what is behind the sum is looked at, too. */
#include "daemon/cache/chunk_list.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/cache/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define ETAG "aabbccddeeff00112233445566778899aabbccdd"
#define SIZE (2 * CHUNK_BYTES + 100)
#define COUNT 3

static void check_list(const struct chunk_list *l)
{
	assert(l->size == SIZE && l->count == COUNT);
}

static void check_text(const char *text, size_t len)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL, *again = NULL;
	CLEANUP(buf_free) struct buf printed = { 0 };
	int r = chunk_list_parse(text, len, ETAG, SIZE, &l);

	assert(r == 0 || r == -EBADMSG || r == ERR_PROTO);
	assert((r == 0) == (l != NULL));
	if (r < 0)
		return;
	check_list(l);
	r = chunk_list_print(ETAG, l, &printed);
	assert(r == 0 && printed.len <= chunk_list_text_max(SIZE));
	r = chunk_list_parse(printed.data, printed.len, ETAG, SIZE, &again);
	assert(r == 0 && memcmp(l->digests, again->digests, sizeof(l->digests[0]) * COUNT) == 0);
}

/* What is read is what would be written. */
static void check_file(const void *data, size_t len)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	CLEANUP(buf_free) struct buf packed = { 0 };
	int r = chunk_list_unpack(ETAG, SIZE, data, len, &l);

	assert(r == 0 || r == ERR_CORRUPT);
	assert((r == 0) == (l != NULL));
	if (r < 0)
		return;
	check_list(l);
	r = chunk_list_pack(ETAG, l, &packed);
	assert(r == 0 && packed.len == len && memcmp(packed.data, data, len) == 0);
}

static void check_summed(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf named = { 0 };
	uint64_t sum;

	if (len < sizeof(sum))
		return;
	buf_add_str(&named, ETAG);
	buf_add(&named, data, len - sizeof(sum));
	sum = xxh3_of(named.data, named.len);
	buf_add_u64(&named, sum);
	check_file(named.data + strlen(ETAG), len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf copy = { 0 };

	/* An empty input may come without an address. */
	assert(buf_add(&copy, len ? (const void *)data : "", len) == 0);
	check_text(buf_str(&copy), len);
	check_file(buf_str(&copy), len);
	check_summed((const uint8_t *)buf_str(&copy), len);
	return 0;
}
