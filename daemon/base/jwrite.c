/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/jwrite.h"

#include <math.h>
#include <string.h>

#include "daemon/base/clock.h"

#define SHORT 120
#define REPLACEMENT "\xef\xbf\xbd"

/* How many bytes the character at s has; 0 if it is no UTF-8 (RFC 3629). The text ends with a
 * NUL, which continues nothing. */
static size_t character(const unsigned char *s)
{
	size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

/* How many bytes there are that stand for themselves. */
static size_t plain(const char *text)
{
	size_t len = 0;

	while (text[len] >= ' ' && text[len] < 0x7f && text[len] != '"' && text[len] != '\\')
		len++;
	return len;
}

/* Most texts are short and plain: they go with their quotes, and what stands beside them, as one
 * piece. */
static bool add_short(struct buf *b, bool comma, const char *text, size_t len, bool colon)
{
	char piece[SHORT + 4];
	size_t at = 0;

	if (len > SHORT)
		return false;
	if (comma)
		piece[at++] = ',';
	piece[at++] = '"';
	memcpy(piece + at, text, len);
	at += len;
	piece[at++] = '"';
	if (colon)
		piece[at++] = ':';
	buf_add(b, piece, at);
	return true;
}

static void quote(struct buf *b, const char *text)
{
	size_t run = plain(text);

	if (!text[run] && add_short(b, false, text, run, false))
		return;
	buf_add(b, "\"", 1);
	buf_add(b, text, run);
	text += run;
	while (*text) {
		unsigned char c = (unsigned char)*text;
		size_t len = character((const unsigned char *)text);

		if (len == 0)
			buf_add_str(b, REPLACEMENT);
		else if (c < ' ' || c == 0x7f)
			buf_printf(b, "\\u%04x", c);
		else if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else
			buf_add(b, text, len);
		text += len ? len : 1;
	}
	buf_add(b, "\"", 1);
}

/* What comes before a value. */
static void begin(struct jwrite *w, const char *key)
{
	size_t run = key ? plain(key) : 0;
	bool comma = w->more;

	w->more = true;
	if (key && !key[run] && add_short(w->to, comma, key, run, true))
		return;
	if (comma)
		buf_add(w->to, ",", 1);
	if (!key)
		return;
	quote(w->to, key);
	buf_add(w->to, ":", 1);
}

static void open_with(struct jwrite *w, const char *key, const char *bracket)
{
	begin(w, key);
	buf_add_str(w->to, bracket);
	w->more = false;
}

static void close_with(struct jwrite *w, const char *bracket)
{
	buf_add_str(w->to, bracket);
	w->more = true;
}

void jwrite_object(struct jwrite *w, const char *key)
{
	open_with(w, key, "{");
}

void jwrite_object_end(struct jwrite *w)
{
	close_with(w, "}");
}

void jwrite_array(struct jwrite *w, const char *key)
{
	open_with(w, key, "[");
}

void jwrite_array_end(struct jwrite *w)
{
	close_with(w, "]");
}

void jwrite_text(struct jwrite *w, const char *key, const char *text)
{
	if (!text) {
		jwrite_null(w, key);
		return;
	}
	begin(w, key);
	quote(w->to, text);
}

void jwrite_uint(struct jwrite *w, const char *key, uint64_t value)
{
	begin(w, key);
	buf_add_digits(w->to, value);
}

void jwrite_int(struct jwrite *w, const char *key, int64_t value)
{
	begin(w, key);
	if (value < 0)
		buf_add(w->to, "-", 1);
	buf_add_digits(w->to, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void jwrite_number(struct jwrite *w, const char *key, double value)
{
	if (!isfinite(value)) {
		jwrite_null(w, key);
		return;
	}
	begin(w, key);
	buf_printf(w->to, "%.15g", value);
}

void jwrite_bool(struct jwrite *w, const char *key, bool value)
{
	begin(w, key);
	buf_add_str(w->to, value ? "true" : "false");
}

void jwrite_time(struct jwrite *w, const char *key, int64_t ms)
{
	char text[CLOCK_ISO_MAX];

	clock_print_iso(ms, text);
	jwrite_text(w, key, text);
}

void jwrite_json(struct jwrite *w, const char *key, const char *text)
{
	begin(w, key);
	buf_add_str(w->to, text);
}

void jwrite_null(struct jwrite *w, const char *key)
{
	jwrite_json(w, key, "null");
}
