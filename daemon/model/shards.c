/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/model/shards.h"

#include <stdio.h>
#include <string.h>

#define DIGITS 5
#define NUMBER_LEN (1 + DIGITS + 4 + DIGITS) /* "-00001-of-00007" */
#define INDEX_TAIL ".index.json"

static const char *const configs[] = {
	"config.json",           "model_index.json",
	"tokenizer_config.json", "generation_config.json",
	"adapter_config.json",   "params.json",
	"modules.json",
};

struct tail {
	const char *text;
	enum shards_kind kind;
};

static const struct tail tails[] = {
	{ ".safetensors", SHARDS_SAFETENSORS },
	{ ".gguf", SHARDS_GGUF },
	{ ".bin", SHARDS_ZIP },
	{ ".pt", SHARDS_ZIP },
	{ ".pth", SHARDS_ZIP },
	{ INDEX_TAIL, SHARDS_INDEX },
};

static bool ends_with(const char *name, const char *tail)
{
	size_t len = strlen(name), tail_len = strlen(tail);

	return len > tail_len && strcmp(name + len - tail_len, tail) == 0;
}

enum shards_kind shards_kind(const char *name, bool root)
{
	for (size_t i = 0; i < ARRAY_LEN(tails); i++)
		if (ends_with(name, tails[i].text))
			return tails[i].kind;
	for (size_t i = 0; root && i < ARRAY_LEN(configs); i++)
		if (strcmp(name, configs[i]) == 0)
			return SHARDS_CONFIG;
	return SHARDS_OTHER;
}

static bool is_weights(enum shards_kind kind)
{
	return kind == SHARDS_SAFETENSORS || kind == SHARDS_GGUF || kind == SHARDS_ZIP;
}

static bool digits(const char *at, unsigned *ret)
{
	*ret = 0;
	for (int i = 0; i < DIGITS; i++) {
		if (at[i] < '0' || at[i] > '9')
			return false;
		*ret = *ret * 10 + (unsigned)(at[i] - '0');
	}
	return true;
}

/* "-00001-of-00007" */
static bool is_number(const char *at, unsigned *ret_number, unsigned *ret_count)
{
	return strlen(at) >= NUMBER_LEN && at[0] == '-' && digits(at + 1, ret_number) &&
	       memcmp(at + 1 + DIGITS, "-of-", 4) == 0 &&
	       digits(at + NUMBER_LEN - DIGITS, ret_count);
}

/* The shards' number in a name; the last thing that looks like one. NULL if there is none. */
static const char *find_number(const char *name, unsigned *ret_number, unsigned *ret_count)
{
	const char *found = NULL;
	unsigned number, count;

	for (const char *at = strchr(name, '-'); at; at = strchr(at + 1, '-'))
		if (is_number(at, &number, &count)) {
			found = at;
			*ret_number = number;
			*ret_count = count;
		}
	return found;
}

static uint32_t next_shard(const struct manifest *m, uint32_t dir, const char *name)
{
	unsigned number, count;
	const char *at = find_number(name, &number, &count);
	CLEANUP(buf_free) struct buf next = { 0 };

	if (!at || number >= count)
		return MANIFEST_NONE;
	buf_printf(&next, "%.*s-%05u-of-%05u%s", (int)(at - name), name, number + 1, count,
		   at + NUMBER_LEN);
	return next.failed ? MANIFEST_NONE : manifest_child(m, dir, buf_str(&next), next.len);
}

/* An index is called like a file that holds all would be: "model.safetensors.index.json". */
static bool is_first_of(const char *shard, const char *index)
{
	size_t whole = strlen(index) - strlen(INDEX_TAIL);
	unsigned number, count;
	const char *at = find_number(shard, &number, &count);
	size_t stem;

	if (!at || number != 1 || !is_weights(shards_kind(shard, false)))
		return false;
	stem = (size_t)(at - shard);
	return stem + strlen(at + NUMBER_LEN) == whole && memcmp(shard, index, stem) == 0 &&
	       memcmp(at + NUMBER_LEN, index + stem, whole - stem) == 0;
}

/* The children are in natural order: the first shard is the first that fits. */
static uint32_t first_shard(const struct manifest *m, uint32_t dir, const char *index)
{
	uint32_t count, first = manifest_children(m, dir, &count);

	for (uint32_t i = first; i < first + count; i++)
		if (is_first_of(manifest_name(m, i), index))
			return i;
	return MANIFEST_NONE;
}

uint32_t shards_after(const struct manifest *m, uint32_t file)
{
	const char *name = manifest_name(m, file);
	enum shards_kind kind = shards_kind(name, false);
	uint32_t dir = manifest_parent(m, file), found = MANIFEST_NONE;

	if (kind == SHARDS_INDEX)
		found = first_shard(m, dir, name);
	else if (is_weights(kind))
		found = next_shard(m, dir, name);
	return found != MANIFEST_NONE && manifest_file(m, found) ? found : MANIFEST_NONE;
}
