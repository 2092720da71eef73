/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/jpush.h"

#include <errno.h>
#include <string.h>

enum state {
	STATE_VALUE,        /* a value */
	STATE_VALUE_OR_END, /* the same, or ']' */
	STATE_NAME,         /* a name */
	STATE_NAME_OR_END,  /* the same, or '}' */
	STATE_COLON,
	STATE_BEHIND, /* a value is over */
	STATE_STRING,
	STATE_ESCAPE,
	STATE_UNICODE, /* digits of \u... */
	STATE_PAIR,    /* the '\\' of the second half of a pair */
	STATE_PAIR_U,  /* its 'u' */
	STATE_WORD,
};

void jpush_begin(struct jpush *p, jpush_fn fn, void *arg)
{
	*p = (struct jpush){ .fn = fn, .arg = arg, .state = STATE_VALUE };
}

static bool in_object(const struct jpush *p)
{
	return p->objects & 1;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* ---- numbers and the like ---- */

static const char *digits(const char *at)
{
	const char *end = at + strspn(at, "0123456789");

	return end > at ? end : NULL;
}

static bool is_number(const char *at)
{
	const char *end;

	at += *at == '-';
	end = *at == '0' ? at + 1 : digits(at);
	if (end && *end == '.')
		end = digits(end + 1);
	if (end && (*end == 'e' || *end == 'E')) {
		end++;
		end = digits(end + (*end == '-' || *end == '+'));
	}
	return end && !*end;
}

static bool is_word(const char *text)
{
	return !strcmp(text, "true") || !strcmp(text, "false") || !strcmp(text, "null") ||
	       is_number(text);
}

static int end_word(struct jpush *p)
{
	p->word[p->word_len] = '\0';
	p->state = STATE_BEHIND;
	return is_word(p->word) ? p->fn(p->arg, JPUSH_WORD_END, p->word, p->word_len) : -EINVAL;
}

static int collect(struct jpush *p, const char *data, size_t len)
{
	if (len >= JPUSH_WORD - p->word_len)
		return -EINVAL;
	memcpy(p->word + p->word_len, data, len);
	p->word_len += len;
	return 0;
}

/* ---- strings ---- */

static int give(struct jpush *p, const char *data, size_t len)
{
	if (!len)
		return 0;
	return p->naming ? collect(p, data, len) : p->fn(p->arg, JPUSH_TEXT, data, len);
}

static int end_string(struct jpush *p)
{
	if (!p->naming) {
		p->state = STATE_BEHIND;
		return p->fn(p->arg, JPUSH_TEXT_END, "", 0);
	}
	p->word[p->word_len] = '\0';
	p->state = STATE_COLON;
	return p->fn(p->arg, JPUSH_NAME, p->word, p->word_len);
}

/* The first byte of a letter of several: how many follow, and between which the next one is, so
 * that nothing is written longer than it must be, and no half of a pair alone. */
static int begin_letter(struct jpush *p, uint8_t c)
{
	p->first = 0x80;
	p->last = 0xbf;
	if (c >= 0xc2 && c <= 0xdf) {
		p->more = 1;
	} else if (c >= 0xe0 && c <= 0xef) {
		p->more = 2;
		p->first = c == 0xe0 ? 0xa0 : 0x80;
		p->last = c == 0xed ? 0x9f : 0xbf;
	} else if (c >= 0xf0 && c <= 0xf4) {
		p->more = 3;
		p->first = c == 0xf0 ? 0x90 : 0x80;
		p->last = c == 0xf4 ? 0x8f : 0xbf;
	} else {
		return -EINVAL;
	}
	return 0;
}

static int take_high_byte(struct jpush *p, uint8_t c)
{
	if (!p->more)
		return begin_letter(p, c);
	if (c < p->first || c > p->last)
		return -EINVAL;
	p->more--;
	p->first = 0x80;
	p->last = 0xbf;
	return 0;
}

#define EACH(byte) (0x0101010101010101U * (byte))

/* So many bytes at least, in eights, are of ASCII and stand for themselves: the top bit of one that
 * is not comes out, or of one above it. */
static size_t plain(const char *data, size_t len)
{
	size_t i = 0;

	for (uint64_t v; len - i >= sizeof(v); i += sizeof(v)) {
		memcpy(&v, data + i, sizeof(v));
		if ((v | (v - EACH(' ')) | ((v ^ EACH('"')) - EACH(1)) |
		     ((v ^ EACH('\\')) - EACH(1))) &
		    EACH(0x80))
			break;
	}
	return i;
}

/* As many bytes as stand for themselves; -EINVAL. */
static ssize_t run(struct jpush *p, const char *data, size_t len)
{
	size_t i;

	for (i = p->more ? 0 : plain(data, len); i < len; i++) {
		uint8_t c = (uint8_t)data[i];

		if (c < 0x80 && !p->more) {
			if (c == '"' || c == '\\')
				break;
			if (c < ' ')
				return -EINVAL;
		} else if (take_high_byte(p, c) < 0) {
			return -EINVAL;
		}
	}
	return (ssize_t)i;
}

static ssize_t take_string(struct jpush *p, const char *data, size_t len)
{
	ssize_t n = run(p, data, len);
	int r = n < 0 ? (int)n : give(p, data, (size_t)n);

	if (r != 0)
		return r;
	if ((size_t)n == len)
		return n;
	if (data[n] == '"')
		r = end_string(p);
	else
		p->state = STATE_ESCAPE;
	return r == 0 ? n + 1 : r;
}

static int take_escape(struct jpush *p, char c)
{
	static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const char *letter = c ? strchr(letters, c) : NULL;

	p->state = STATE_STRING;
	if (letter)
		return give(p, &bytes[letter - letters], 1);
	p->state = STATE_UNICODE;
	p->unicode = p->digits = 0;
	return c == 'u' ? 0 : -EINVAL;
}

/* As UTF-8. A NUL is refused: most that read a text would take it for the end. */
static int give_letter(struct jpush *p, uint32_t v)
{
	char out[4];
	size_t n = v < 0x80 ? 1 : v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
	static const uint8_t leads[] = { 0, 0xc0, 0xe0, 0xf0 };

	if (!v)
		return -EINVAL;
	for (size_t i = n; i-- > 1; v >>= 6)
		out[i] = (char)(0x80 | (v & 0x3f));
	out[0] = (char)(leads[n - 1] | v);
	p->state = STATE_STRING;
	return give(p, out, n);
}

static int end_unicode(struct jpush *p)
{
	uint32_t v = p->unicode, high = p->high;

	p->high = 0;
	if (high)
		return v >= 0xdc00 && v <= 0xdfff
			       ? give_letter(p, 0x10000 + ((high - 0xd800) << 10) + (v - 0xdc00))
			       : -EINVAL;
	if (v < 0xd800 || v > 0xdfff)
		return give_letter(p, v);
	p->high = v;
	p->state = STATE_PAIR;
	return v <= 0xdbff ? 0 : -EINVAL;
}

static int take_unicode(struct jpush *p, char c)
{
	unsigned v;

	if (c >= '0' && c <= '9')
		v = (unsigned)(c - '0');
	else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		v = (unsigned)((c | 0x20) - 'a') + 10;
	else
		return -EINVAL;
	p->unicode = p->unicode << 4 | v;
	return ++p->digits == 4 ? end_unicode(p) : 0;
}

/* ---- structure ---- */

static int open_one(struct jpush *p, bool object)
{
	if (p->depth == JPUSH_DEPTH)
		return -EINVAL;
	p->depth++;
	p->objects = p->objects << 1 | object;
	p->state = object ? STATE_NAME_OR_END : STATE_VALUE_OR_END;
	return p->fn(p->arg, object ? JPUSH_OBJECT : JPUSH_ARRAY, "", 0);
}

static int close_one(struct jpush *p, char c)
{
	if (!p->depth || in_object(p) != (c == '}'))
		return -EINVAL;
	p->depth--;
	p->objects >>= 1;
	p->state = STATE_BEHIND;
	return p->fn(p->arg, JPUSH_END, "", 0);
}

static int begin_string(struct jpush *p, bool naming)
{
	p->naming = naming;
	p->word_len = 0;
	p->state = STATE_STRING;
	return 0;
}

static int begin_value(struct jpush *p, char c)
{
	if (c == ']' && p->state == STATE_VALUE_OR_END)
		return close_one(p, c);
	if (c == '{' || c == '[')
		return open_one(p, c == '{');
	if (c == '"')
		return begin_string(p, false);
	p->word_len = 0;
	p->state = STATE_WORD;
	return collect(p, &c, 1);
}

static int begin_name(struct jpush *p, char c)
{
	if (c == '}' && p->state == STATE_NAME_OR_END)
		return close_one(p, c);
	return c == '"' ? begin_string(p, true) : -EINVAL;
}

static int take_behind(struct jpush *p, char c)
{
	if (c == ']' || c == '}')
		return close_one(p, c);
	p->state = in_object(p) ? STATE_NAME : STATE_VALUE;
	return c == ',' && p->depth ? 0 : -EINVAL;
}

static int take_structure(struct jpush *p, char c)
{
	if (is_blank(c))
		return 0;
	switch (p->state) {
	case STATE_VALUE:
	case STATE_VALUE_OR_END:
		return begin_value(p, c);
	case STATE_NAME:
	case STATE_NAME_OR_END:
		return begin_name(p, c);
	case STATE_COLON:
		p->state = STATE_VALUE;
		return c == ':' ? 0 : -EINVAL;
	default:
		return take_behind(p, c);
	}
}

/* What ends a word belongs to what is around it. */
static int take_word(struct jpush *p, char c)
{
	int r;

	if (!is_blank(c) && !strchr(",]}", c))
		return collect(p, &c, 1);
	r = end_word(p);
	return r == 0 ? take_structure(p, c) : r;
}

static int expect(struct jpush *p, char c, char wanted, enum state next)
{
	p->state = next;
	return c == wanted ? 0 : -EINVAL;
}

static int take_byte(struct jpush *p, char c)
{
	switch (p->state) {
	case STATE_ESCAPE:
		return take_escape(p, c);
	case STATE_UNICODE:
		return take_unicode(p, c);
	case STATE_PAIR:
		return expect(p, c, '\\', STATE_PAIR_U);
	case STATE_PAIR_U:
		p->unicode = p->digits = 0;
		return expect(p, c, 'u', STATE_UNICODE);
	case STATE_WORD:
		return c ? take_word(p, c) : -EINVAL;
	default:
		return take_structure(p, c);
	}
}

int jpush_take(struct jpush *p, const char *data, size_t len)
{
	while (len) {
		bool string = p->state == STATE_STRING;
		ssize_t n = string ? take_string(p, data, len) : take_byte(p, *data);

		if (n < 0)
			return (int)n;
		n = string ? n : 1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int jpush_end(struct jpush *p)
{
	int r = p->state == STATE_WORD ? end_word(p) : 0;

	return r != 0 ? r : p->state == STATE_BEHIND && !p->depth ? 0 : -EINVAL;
}
