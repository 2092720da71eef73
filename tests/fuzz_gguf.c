/* SPDX-License-Identifier: Apache-2.0 */
/* Input: the first bytes of a gguf file. */
#include "daemon/model/gguf.h"

#include <assert.h>
#include <string.h>

#include "daemon/base/err.h"
#include "tests/header_law.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define FILE_MORE 100000

/* Both readings of a header say the same of it, but that one can find too many numbers. */
static void check_facts(const uint8_t *data, size_t len)
{
	struct gguf_facts facts;
	struct extents extents;
	uint64_t need, as_need;
	int r = gguf_describe(data, len, len + FILE_MORE, &facts, &need);
	int as = gguf_parse(data, len, len + FILE_MORE, &extents, &as_need);

	assert(r == as || r == ERR_PROTO);
	assert(r != EXTENTS_MORE || (need > len && need <= as_need));
	assert(memchr(facts.architecture, '\0', sizeof(facts.architecture)));
	extents_fini(&extents);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	header_law(gguf_parse, data, len);
	check_facts(data, len);
	return 0;
}
