/* SPDX-License-Identifier: Apache-2.0 */
/* Input: the first bytes of a safetensors file. */
#include "daemon/model/safetensors.h"

#include <assert.h>
#include <string.h>

#include "daemon/base/err.h"
#include "tests/header_law.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int count(const uint8_t *data, size_t len, struct safetensors_counts *c)
{
	int r = safetensors_count(data, len, c);

	assert(r == 0 || r == ERR_PROTO);
	assert(c->count <= SAFETENSORS_DTYPES);
	for (size_t i = 0; i < c->count; i++)
		assert(memchr(c->list[i].name, '\0', sizeof(c->list[i].name)));
	return r;
}

/* The same file again has the same types, and as many numbers once more. */
static void check_counts(const uint8_t *data, size_t len)
{
	struct safetensors_counts once = { .count = 0 }, twice, part = { .count = 0 };
	int whole = count(data, len, &once);

	assert(count(data, len / 2, &part) == ERR_PROTO || whole == 0);
	twice = once;
	if (whole < 0 || count(data, len, &twice) < 0)
		return;
	for (size_t i = 0; i < once.count; i++)
		assert(twice.list[i].numbers == 2 * once.list[i].numbers);
	assert(twice.count == once.count);
	assert(safetensors_total(&twice) == 2 * safetensors_total(&once));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	header_law(safetensors_parse, data, len);
	check_counts(data, len);
	return 0;
}
