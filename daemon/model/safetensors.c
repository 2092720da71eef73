/* SPDX-License-Identifier: Apache-2.0 */
/* A scanner of its own and not the JSON library: that takes nine times the text in memory, and
 * headers are megabytes. Only the offsets are looked at; what else a tensor or the metadata says
 * is skipped, as long as it is JSON. */
#include "daemon/model/safetensors.h"

#include <endian.h>
#include <string.h>

#include "daemon/base/err.h"

#define LENGTH_BYTES 8
#define DEPTH_MAX 8
#define ESCAPES "\"\\/bfnrtu"

struct scan {
	const char *at, *end;
};

/* What lies between the quotes, escapes and all. */
struct text {
	const char *start;
	size_t len;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char next(struct scan *s)
{
	while (s->at < s->end && is_space(*s->at))
		s->at++;
	return s->at < s->end ? *s->at : '\0';
}

static bool take(struct scan *s, char c)
{
	if (next(s) != c || s->at == s->end)
		return false;
	s->at++;
	return true;
}

static bool take_text(struct scan *s, struct text *ret)
{
	if (!take(s, '"'))
		return false;
	ret->start = s->at;
	for (; s->at < s->end && *s->at != '"'; s->at++) {
		if ((unsigned char)*s->at < ' ')
			return false;
		if (*s->at == '\\' && (++s->at == s->end || !*s->at || !strchr(ESCAPES, *s->at)))
			return false;
	}
	ret->len = (size_t)(s->at - ret->start);
	return s->at++ < s->end;
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == 'E' || c == '+' ||
	       c == '-' || c == '.';
}

/* A number, true, false or null, none of which we use. */
static bool skip_word(struct scan *s)
{
	const char *start = s->at;

	while (s->at < s->end && is_word(*s->at))
		s->at++;
	return s->at > start;
}

static bool skip_value(struct scan *s, int depth);

/* The rest of an object or array, whose opening bracket was taken. */
static bool skip_members(struct scan *s, char close, int depth)
{
	struct text key;

	if (take(s, close))
		return true;
	do {
		if (close == '}' && (!take_text(s, &key) || !take(s, ':')))
			return false;
		if (!skip_value(s, depth))
			return false;
	} while (take(s, ','));
	return take(s, close);
}

static bool skip_value(struct scan *s, int depth)
{
	struct text text;

	if (depth == DEPTH_MAX)
		return false;
	switch (next(s)) {
	case '"':
		return take_text(s, &text);
	case '{':
		s->at++;
		return skip_members(s, '}', depth + 1);
	case '[':
		s->at++;
		return skip_members(s, ']', depth + 1);
	default:
		return skip_word(s);
	}
}

static bool take_number(struct scan *s, uint64_t *ret)
{
	const char *start;

	next(s);
	start = s->at;
	*ret = 0;
	for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++)
		if (__builtin_mul_overflow(*ret, UINT64_C(10), ret) ||
		    __builtin_add_overflow(*ret, (uint64_t)(*s->at - '0'), ret))
			return false;
	return s->at > start;
}

static bool take_offsets(struct scan *s, struct extent *ret)
{
	return take(s, '[') && take_number(s, &ret->start) && take(s, ',') &&
	       take_number(s, &ret->end) && take(s, ']');
}

static bool text_is(const struct text *t, const char *s)
{
	return t->len == strlen(s) && memcmp(t->start, s, t->len) == 0;
}

static bool take_tensor(struct scan *s, struct extent *ret)
{
	unsigned found = 0;
	struct text key;

	if (!take(s, '{'))
		return false;
	do {
		if (!take_text(s, &key) || !take(s, ':'))
			return false;
		if (!text_is(&key, "data_offsets")) {
			if (!skip_value(s, 0))
				return false;
			continue;
		}
		found++;
		if (!take_offsets(s, ret))
			return false;
	} while (take(s, ','));
	return take(s, '}') && found == 1;
}

/* Offsets count from the end of the header. */
static int add_tensor(struct extents *e, const struct extent *at, uint64_t size)
{
	if (at->start > at->end || at->end > size - e->data_start)
		return ERR_PROTO;
	return extents_add(e, e->data_start + at->start, e->data_start + at->end);
}

static int take_tensors(struct scan *s, uint64_t size, struct extents *e)
{
	struct extent at;
	struct text key;
	int r = 0;

	if (!take(s, '{'))
		return ERR_PROTO;
	if (take(s, '}'))
		return 0;
	do {
		if (!take_text(s, &key) || !take(s, ':'))
			return ERR_PROTO;
		if (text_is(&key, "__metadata__"))
			r = skip_value(s, 0) ? 0 : ERR_PROTO;
		else
			r = take_tensor(s, &at) ? add_tensor(e, &at, size) : ERR_PROTO;
	} while (r == 0 && take(s, ','));
	return r < 0 || take(s, '}') ? r : ERR_PROTO;
}

static int parse_text(struct scan s, uint64_t size, struct extents *e)
{
	int r = take_tensors(&s, size, e);

	next(&s);
	if (r == 0 && (s.at != s.end || !extents_finish(e, size)))
		r = ERR_PROTO;
	if (r < 0)
		extents_fini(e);
	return r;
}

int safetensors_parse(const void *data, size_t len, uint64_t size, struct extents *ret,
		      uint64_t *ret_need)
{
	const char *start = data;
	uint64_t header;

	*ret = (struct extents){ 0 };
	*ret_need = LENGTH_BYTES;
	if (size < LENGTH_BYTES)
		return ERR_PROTO;
	if (len < LENGTH_BYTES)
		return EXTENTS_MORE;
	memcpy(&header, start, sizeof(header));
	header = le64toh(header);
	if (header > size - LENGTH_BYTES)
		return ERR_PROTO;
	if (header > SAFETENSORS_HEADER_MAX)
		return -EFBIG;
	*ret_need = LENGTH_BYTES + header;
	if (len < *ret_need)
		return EXTENTS_MORE;
	ret->data_start = *ret_need;
	return parse_text((struct scan){ start + LENGTH_BYTES, start + *ret_need }, size, ret);
}

/* ---- how many numbers ---- */

/* The shape: its product. */
static bool take_shape(struct scan *s, uint64_t *ret)
{
	uint64_t n;

	*ret = 1;
	if (!take(s, '['))
		return false;
	if (take(s, ']'))
		return true;
	do {
		if (!take_number(s, &n) || __builtin_mul_overflow(*ret, n, ret))
			return false;
	} while (take(s, ','));
	return take(s, ']');
}

static bool add_numbers(struct safetensors_counts *c, const struct text *dtype, uint64_t numbers)
{
	size_t i = 0;

	if (!dtype->len || dtype->len >= sizeof(c->list[i].name))
		return false;
	while (i < c->count && !text_is(dtype, c->list[i].name))
		i++;
	if (i == SAFETENSORS_DTYPES)
		return false;
	memcpy(c->list[i].name, dtype->start, dtype->len);
	c->count += i == c->count;
	return !__builtin_add_overflow(c->list[i].numbers, numbers, &c->list[i].numbers);
}

static bool count_tensor(struct scan *s, struct safetensors_counts *c)
{
	struct text key, dtype = { 0 };
	uint64_t numbers = 0;
	bool ok = true;

	if (!take(s, '{'))
		return false;
	do {
		if (!take_text(s, &key) || !take(s, ':'))
			return false;
		if (text_is(&key, "dtype"))
			ok = take_text(s, &dtype);
		else if (text_is(&key, "shape"))
			ok = take_shape(s, &numbers);
		else
			ok = skip_value(s, 0);
	} while (ok && take(s, ','));
	return ok && take(s, '}') && add_numbers(c, &dtype, numbers);
}

int safetensors_count(const void *data, size_t len, struct safetensors_counts *counts)
{
	struct scan s;
	struct text key;
	uint64_t header;
	bool ok = true;

	if (len < LENGTH_BYTES)
		return ERR_PROTO;
	memcpy(&header, data, sizeof(header));
	header = le64toh(header);
	if (header > len - LENGTH_BYTES)
		return ERR_PROTO;
	s.at = (const char *)data + LENGTH_BYTES;
	s.end = s.at + header;
	if (!take(&s, '{'))
		return ERR_PROTO;
	if (take(&s, '}'))
		return 0;
	do {
		ok = take_text(&s, &key) && take(&s, ':') &&
		     (text_is(&key, "__metadata__") ? skip_value(&s, 0) : count_tensor(&s, counts));
	} while (ok && take(&s, ','));
	return ok && take(&s, '}') ? 0 : ERR_PROTO;
}

int safetensors_add(const struct safetensors_counts *more, struct safetensors_counts *counts)
{
	struct safetensors_counts sum = *counts;

	for (size_t i = 0; i < more->count; i++) {
		const struct safetensors_dtype *d = &more->list[i];
		struct text dtype = { d->name, strlen(d->name) };

		if (!add_numbers(&sum, &dtype, d->numbers))
			return ERR_PROTO;
	}
	*counts = sum;
	return 0;
}

uint64_t safetensors_total(const struct safetensors_counts *counts)
{
	uint64_t total = 0;

	for (size_t i = 0; i < counts->count; i++)
		total += counts->list[i].numbers;
	return total;
}
