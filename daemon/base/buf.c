/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: data is NULL and cap 0, or data holds cap > len bytes and data[len] is NUL. */
#include "daemon/base/buf.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define CAP_MIN 64

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = 0;
	if (b->data)
		b->data[0] = '\0';
}

static int fail(struct buf *b)
{
	b->failed = -ENOMEM;
	return b->failed;
}

/* Refuses after a failure: bytes that came behind a hole would make the content wrong instead of
 * short. */
int buf_reserve(struct buf *b, size_t more)
{
	size_t need, cap = b->cap < CAP_MIN ? CAP_MIN : b->cap;
	char *data;

	if (b->failed)
		return b->failed;
	if (more >= SIZE_MAX / 2 - b->len)
		return fail(b);
	need = b->len + more + 1;
	if (need <= b->cap)
		return 0;
	while (cap < need)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data)
		return fail(b);
	b->data = data;
	b->cap = cap;
	return 0;
}

void buf_fit(struct buf *b)
{
	char *data = b->data ? realloc(b->data, b->len + 1) : NULL;

	if (!data)
		return;
	b->data = data;
	b->cap = b->len + 1;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
	int r = buf_reserve(b, len);

	if (r < 0)
		return r;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
	return 0;
}

int buf_add_str(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int buf_add_digits(struct buf *b, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + v % 10);
	while (v /= 10);
	return buf_add(b, digits + at, sizeof(digits) - at);
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return r;
}

/* True if it asks for texts alone: a tenth of the work of printing. */
static bool is_of_texts(const char *fmt)
{
	for (fmt = strchr(fmt, '%'); fmt; fmt = strchr(fmt + 2, '%'))
		if (fmt[1] != 's')
			return false;
	return true;
}

static int add_texts(struct buf *b, const char *fmt, va_list ap)
{
	size_t was = b->len, len;

	for (; *fmt && !b->failed; fmt += len) {
		const char *text = *fmt == '%' ? va_arg(ap, const char *) : fmt;

		len = *fmt == '%' ? 2 : strcspn(fmt, "%");
		if (text)
			buf_add(b, text, *fmt == '%' ? strlen(text) : len);
	}
	if (b->failed && b->data) {
		b->len = was;
		b->data[was] = '\0';
	}
	return b->failed;
}

/* Most texts fit into what room there is: they are printed once. */
int buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	size_t room;
	va_list again;
	int n, r = buf_reserve(b, 0);

	if (r < 0)
		return r;
	if (is_of_texts(fmt))
		return add_texts(b, fmt, ap);
	room = b->cap - b->len;
	va_copy(again, ap);
	n = vsnprintf(b->data + b->len, room, fmt, again);
	va_end(again);
	if (n >= 0 && (size_t)n >= room) {
		b->data[b->len] = '\0';
		r = buf_reserve(b, (size_t)n);
		if (r == 0)
			n = vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	}
	if (n < 0 || r < 0) {
		b->data[b->len] = '\0';
		return n < 0 ? fail(b) : r;
	}
	b->len += (size_t)n;
	return 0;
}

int buf_add_u32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	return buf_add(b, &v, sizeof(v));
}

int buf_add_u64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	return buf_add(b, &v, sizeof(v));
}

uint32_t u32_at(const void *at)
{
	uint32_t n;

	memcpy(&n, at, sizeof(n));
	return le32toh(n);
}

uint64_t u64_at(const void *at)
{
	uint64_t n;

	memcpy(&n, at, sizeof(n));
	return le64toh(n);
}

void buf_trim_end(struct buf *b)
{
	while (b->len && strchr(" \t\r\n", b->data[b->len - 1]))
		b->data[--b->len] = '\0';
}

const char *buf_str(const struct buf *b)
{
	return b->data ? b->data : "";
}

char *buf_take(struct buf *b)
{
	char *data;

	/* A buffer that was never written still becomes a string. */
	if (buf_reserve(b, 0) < 0)
		return NULL;
	b->data[b->len] = '\0';
	data = b->data;
	*b = (struct buf){ 0 };
	return data;
}

void hex_print(const uint8_t *bytes, size_t len, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*ret++ = digits[bytes[i] >> 4];
		*ret++ = digits[bytes[i] & 15];
	}
	*ret = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -EINVAL;
}

int hex_parse(const char *text, size_t len, uint8_t *ret)
{
	for (size_t i = 0; i < len; i++) {
		int high = hex_value(text[2 * i]);
		/* Look at the second digit only behind a first one: the text may end here. */
		int low = high < 0 ? -EINVAL : hex_value(text[2 * i + 1]);

		if (low < 0)
			return -EINVAL;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return text[2 * len] ? -EINVAL : 0;
}

int hex_is(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (hex_value(text[i]) < 0 || (text[i] >= 'A' && text[i] <= 'F'))
			return 0;
	return !text[n];
}
