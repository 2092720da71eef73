/* SPDX-License-Identifier: Apache-2.0 */
/* A cursor runs over the bytes that are there. Where they end it notes how many the item at hand
 * needs; every function then fails until the caller comes back with more and begins anew. */
#include "daemon/model/gguf.h"

#include <endian.h>
#include <string.h>

#include "daemon/base/err.h"

#define MAGIC "GGUF"
#define ALIGNMENT 32
#define ALIGNMENT_MAX (UINT64_C(1) << 20)
#define DIMENSIONS_MAX 8 /* ggml has 4 */
#define NAME_MAX_BYTES 65535
#define DEPTH_MAX 4         /* of arrays in arrays */
#define TENSOR_BYTES_MIN 24 /* name, number of dimensions, type, offset */
#define PAIR_BYTES_MIN 13   /* key, type, a byte */

enum { TYPE_U32 = 4, TYPE_STRING = 8, TYPE_ARRAY = 9, TYPE_COUNT = 13 };

/* Bytes of a value; strings and arrays say so themselves. */
static const uint8_t type_bytes[TYPE_COUNT] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

struct cursor {
	const char *data;
	uint64_t at, len, size;
	uint64_t need; /* with EXTENTS_MORE */
	uint64_t alignment;
	struct gguf_facts *facts; /* that are wanted, or NULL */
};

struct pair_key {
	const char *text;
	uint64_t len;
};

/* Moves over n bytes, which must be there unless the file's header is longer than allowed. */
static int skip(struct cursor *c, uint64_t n)
{
	if (n > c->size - c->at)
		return ERR_PROTO;
	if (n > GGUF_HEADER_MAX - c->at)
		return -EFBIG;
	c->need = c->at + n;
	if (c->need > c->len)
		return EXTENTS_MORE;
	c->at = c->need;
	return 0;
}

static int take_u32(struct cursor *c, uint32_t *ret)
{
	int r = skip(c, sizeof(*ret));

	if (r != 0)
		return r;
	memcpy(ret, c->data + c->at - sizeof(*ret), sizeof(*ret));
	*ret = le32toh(*ret);
	return 0;
}

static int take_u64(struct cursor *c, uint64_t *ret)
{
	int r = skip(c, sizeof(*ret));

	if (r != 0)
		return r;
	memcpy(ret, c->data + c->at - sizeof(*ret), sizeof(*ret));
	*ret = le64toh(*ret);
	return 0;
}

/* A number of items that take at least `each` bytes. */
static int take_count(struct cursor *c, uint64_t each, uint64_t *ret)
{
	int r = take_u64(c, ret);

	if (r != 0)
		return r;
	if (*ret > (c->size - c->at) / each)
		return ERR_PROTO;
	return *ret > (GGUF_HEADER_MAX - c->at) / each ? -EFBIG : 0;
}

static int skip_string(struct cursor *c)
{
	uint64_t len;
	int r = take_u64(c, &len);

	return r == 0 ? skip(c, len) : r;
}

static int skip_array(struct cursor *c, int depth);

static int skip_value(struct cursor *c, uint32_t type, int depth)
{
	if (type >= TYPE_COUNT)
		return ERR_PROTO;
	if (type == TYPE_STRING)
		return skip_string(c);
	if (type == TYPE_ARRAY)
		return skip_array(c, depth);
	return skip(c, type_bytes[type]);
}

static int skip_array(struct cursor *c, int depth)
{
	uint64_t count, each;
	uint32_t type;
	int r = take_u32(c, &type);

	if (r != 0)
		return r;
	if (type >= TYPE_COUNT || depth == DEPTH_MAX)
		return ERR_PROTO;
	each = type_bytes[type] ? type_bytes[type] : sizeof(uint64_t);
	r = take_count(c, each, &count);
	if (r == 0 && type_bytes[type])
		return skip(c, count * each);
	for (; r == 0 && count > 0; count--)
		r = skip_value(c, type, depth + 1);
	return r;
}

static int take_alignment(struct cursor *c)
{
	uint32_t alignment = 0;
	int r = take_u32(c, &alignment);

	if (r != 0)
		return r;
	if (alignment == 0 || alignment % 8 != 0 || alignment > ALIGNMENT_MAX)
		return ERR_PROTO;
	c->alignment = alignment;
	return 0;
}

static int take_key(struct cursor *c, struct pair_key *ret)
{
	int r = take_u64(c, &ret->len);

	if (r == 0 && ret->len > NAME_MAX_BYTES)
		r = ERR_PROTO;
	if (r == 0)
		r = skip(c, ret->len);
	ret->text = c->data + c->at - (r == 0 ? ret->len : 0);
	return r;
}

static bool key_is(const struct pair_key *key, const char *text)
{
	return key->len == strlen(text) && memcmp(key->text, text, key->len) == 0;
}

static int take_architecture(struct cursor *c)
{
	uint64_t len, most = sizeof(c->facts->architecture) - 1;
	int r = take_u64(c, &len);

	if (r == 0)
		r = skip(c, len);
	if (r == 0 && len <= most && !memchr(c->data + c->at - len, '\0', len))
		memcpy(c->facts->architecture, c->data + c->at - len, len);
	return r;
}

static int take_context(struct cursor *c)
{
	uint32_t length = 0;
	int r = take_u32(c, &length);

	c->facts->context_length = length;
	return r;
}

static bool key_ends(const struct pair_key *key, const char *text)
{
	size_t len = strlen(text);

	return key->len >= len && memcmp(key->text + key->len - len, text, len) == 0;
}

static int take_pair(struct cursor *c)
{
	struct pair_key key;
	uint32_t type;
	int r = take_key(c, &key);

	if (r == 0)
		r = take_u32(c, &type);
	if (r != 0)
		return r;
	if (key_is(&key, "general.alignment") && type == TYPE_U32)
		return take_alignment(c);
	if (c->facts && key_is(&key, "general.architecture") && type == TYPE_STRING)
		return take_architecture(c);
	if (c->facts && key_ends(&key, ".context_length") && type == TYPE_U32)
		return take_context(c);
	return skip_value(c, type, 0);
}

static int take_dimensions(struct cursor *c, uint32_t count)
{
	uint64_t numbers = 1, n;
	int r = 0;

	for (; r == 0 && count; count--) {
		r = take_u64(c, &n);
		if (r == 0 && __builtin_mul_overflow(numbers, n, &numbers))
			return ERR_PROTO;
	}
	if (r == 0 && c->facts &&
	    __builtin_add_overflow(c->facts->total, numbers, &c->facts->total))
		return ERR_PROTO;
	return r;
}

/* Notes where a tensor begins, from the start of the data. */
static int take_tensor(struct cursor *c, struct extents *e)
{
	struct pair_key name;
	uint32_t dimensions, type;
	uint64_t offset;
	int r = take_key(c, &name);

	if (r == 0)
		r = take_u32(c, &dimensions);
	if (r == 0 && dimensions > DIMENSIONS_MAX)
		r = ERR_PROTO;
	if (r == 0)
		r = c->facts ? take_dimensions(c, dimensions)
			     : skip(c, dimensions * sizeof(uint64_t));
	if (r == 0)
		r = take_u32(c, &type);
	if (r == 0)
		r = take_u64(c, &offset);
	if (r != 0)
		return r;
	if (offset % c->alignment || offset >= c->size)
		return ERR_PROTO;
	return extents_add(e, offset, offset + 1);
}

static int take_counts(struct cursor *c, uint64_t *ret_tensors, uint64_t *ret_pairs)
{
	uint32_t version;
	int r = skip(c, strlen(MAGIC));

	if (r == 0 && memcmp(c->data, MAGIC, strlen(MAGIC)) != 0)
		r = ERR_PROTO;
	if (r == 0)
		r = take_u32(c, &version);
	if (r == 0 && version != 2 && version != 3)
		r = ERR_FORMAT;
	if (r == 0)
		r = take_count(c, TENSOR_BYTES_MIN, ret_tensors);
	if (r == 0)
		r = take_count(c, PAIR_BYTES_MIN, ret_pairs);
	return r;
}

/* From beginnings to extents: each tensor ends where the next begins. */
static int set_ends(const struct cursor *c, struct extents *e)
{
	uint64_t start = (c->at + c->alignment - 1) / c->alignment * c->alignment;

	e->data_start = start < c->size ? start : c->size;
	if (!extents_finish(e, c->size - e->data_start))
		return ERR_PROTO;
	for (size_t i = 0; i < e->count; i++) {
		e->at[i].start += start;
		e->at[i].end = i + 1 < e->count ? start + e->at[i + 1].start : c->size;
	}
	return 0;
}

static int parse(struct cursor *c, struct extents *ret)
{
	uint64_t tensors = 0, pairs = 0;
	int r;

	*ret = (struct extents){ 0 };
	r = take_counts(c, &tensors, &pairs);
	for (; r == 0 && pairs > 0; pairs--)
		r = take_pair(c);
	for (; r == 0 && tensors > 0; tensors--)
		r = take_tensor(c, ret);
	if (r == 0)
		r = set_ends(c, ret);
	if (r != 0)
		extents_fini(ret);
	return r;
}

int gguf_parse(const void *data, size_t len, uint64_t size, struct extents *ret, uint64_t *ret_need)
{
	struct cursor c = { .data = data, .len = len, .size = size, .alignment = ALIGNMENT };
	int r = parse(&c, ret);

	*ret_need = c.need;
	return r;
}

int gguf_describe(const void *data, size_t len, uint64_t size, struct gguf_facts *ret,
		  uint64_t *ret_need)
{
	struct cursor c = {
		.data = data, .len = len, .size = size, .alignment = ALIGNMENT, .facts = ret
	};
	struct extents extents;
	int r;

	*ret = (struct gguf_facts){ 0 };
	r = parse(&c, &extents);
	if (r == 0)
		extents_fini(&extents);
	*ret_need = c.need;
	return r;
}
