/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/adminapi/adminapi_fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/why.h"

#define REF_MAX 96
#define ITEM_LETTERS_MAX 256 /* of a text in a list */
#define DIGITS_MAX 18        /* of a number in a query */
#define TIME_PATTERN \
	"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5]" \
	"[0-9](\\.[0-9]{1,3})?Z$"
#define COUNT_MAX (INT64_C(1) << 53) /* of a real that is a whole number */
#define ASCII_PATTERN "^[!-~]*$"
#define TEXT_PATTERN "^[^\\u0000-\\u001f\\u007f]*$"
#define WORDS_PATTERN \
	"^[^\\u0000-\\u001f\\u007f]*[^\\u0000-\\u0020\\u007f][^\\u0000-\\u001f\\u007f]*$"

/* --- checking */

bool api_has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (; *words; words += *words == '|') {
		size_t n = strcspn(words, "|");

		if (n == len && !strncmp(words, word, n))
			return true;
		words += n;
	}
	return false;
}

/* Letters of UTF-8. */
static long letters_of(const char *text)
{
	long n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

/* Two digits. */
static bool is_between(const char *text, int min, int max)
{
	int n = (text[0] - '0') * 10 + text[1] - '0';

	return n >= min && n <= max;
}

/* "2026-11-21T19:00:34Z", perhaps with a fraction: digits where there is a '0'. */
static bool is_time(const char *text)
{
	static const char form[] = "0000-00-00T00:00:00";
	size_t fraction;

	const char *at = text;

	for (const char *f = form; *f; f++, text++)
		if (*f == '0' ? *text < '0' || *text > '9' : *text != *f)
			return false;
	if (!is_between(at + 5, 1, 12) || !is_between(at + 8, 1, 31) ||
	    !is_between(at + 11, 0, 23) || !is_between(at + 14, 0, 59) ||
	    !is_between(at + 17, 0, 59))
		return false;
	if (*text == '.') {
		fraction = strspn(++text, "0123456789");
		if (fraction < 1 || fraction > 3)
			return false;
		text += fraction;
	}
	return !strcmp(text, "Z");
}

static bool is_ascii(const char *text)
{
	for (; *text > ' ' && *text < 0x7f; text++)
		;
	return !*text;
}

static int check_letters(const struct api_field *f, const char *text, struct buf *why)
{
	long n = letters_of(text);

	if (has_control(text))
		return complain(why, "\"%s\" holds a control character", f->name);
	if (f->kind == API_ASCII && !is_ascii(text))
		return complain(why, "\"%s\" may hold printable ASCII without blanks", f->name);
	if (n < f->min)
		return complain(why, n ? "\"%s\" is too short" : "\"%s\" is empty", f->name);
	if (f->min && !text[strspn(text, " ")])
		return complain(why, "\"%s\" holds nothing but blanks", f->name);
	if (f->max && n > f->max)
		return complain(why, "\"%s\" is longer than %ld letters", f->name, f->max);
	return 0;
}

static int check_count(const struct api_field *f, int64_t n, struct buf *why)
{
	if (n >= f->min && (!f->max || n <= f->max))
		return 0;
	return complain(why, "\"%s\" must be a whole number from %ld to %ld", f->name, f->min,
			f->max);
}

int api_check_text(const struct api_field *f, const char *text, struct buf *why)
{
	size_t len = strlen(text);

	switch (f->kind) {
	case API_WORD:
		return api_has_word(f->words, text)
			       ? 0
			       : complain(why, "\"%s\" must be one of %s", f->name, f->words);
	case API_TIME:
		return is_time(text) ? 0
				     : complain(why,
						"\"%s\" must be a time in UTC, as "
						"2026-11-21T19:00:00Z",
						f->name);
	case API_COUNT:
		if (!len || len > DIGITS_MAX || text[strspn(text, "0123456789")])
			return check_count(f, -1, why);
		return check_count(f, strtoll(text, NULL, 10), why);
	default:
		return check_letters(f, text, why);
	}
}

/* For JSON 5.0 is a whole number, too. */
int64_t api_count(const struct jval *v)
{
	double real;
	int64_t n;

	if (jval_int(v, &n))
		return n;
	if (!jval_real(v, &real) || real < 0 || real > (double)COUNT_MAX)
		return -1;
	n = (int64_t)real;
	return (double)n == real ? n : -1;
}

static int check_text_item(const struct api_field *f, const char *text, struct buf *why)
{
	const struct api_field item = {
		.name = f->name, .kind = API_TEXT, .min = 1, .max = ITEM_LETTERS_MAX
	};

	return text ? check_letters(&item, text, why)
		    : complain(why, "\"%s\" must be a list of texts", f->name);
}

static int check_list(const struct api_field *f, const struct jval *v, struct buf *ret_field,
		      struct buf *why)
{
	int r = 0;

	if (!jval_is_array(v))
		return complain(why, "\"%s\" must be a list", f->name);
	if ((long)jval_count(v) < f->min || (f->max && (long)jval_count(v) > f->max))
		return complain(why, "\"%s\" must have %ld to %ld items", f->name, f->min, f->max);
	for (size_t i = 0; r == 0 && i < jval_count(v); i++)
		r = f->of ? api_check_object(f->of, jval_at(v, i), ret_field, why)
			  : check_text_item(f, jval_str(jval_at(v, i)), why);
	return r;
}

static int check_value(const struct api_field *f, const struct jval *v, struct buf *ret_field,
		       struct buf *why)
{
	switch (f->kind) {
	case API_BOOL:
		return jval_bool(v) >= 0 ? 0
					 : complain(why, "\"%s\" must be true or false", f->name);
	case API_COUNT:
		return check_count(f, api_count(v), why);
	case API_LIST:
		return check_list(f, v, ret_field, why);
	default:
		return jval_str(v) ? api_check_text(f, jval_str(v), why)
				   : complain(why, "\"%s\" must be a text", f->name);
	}
}

static const struct api_field *find(const struct api_shape *s, const char *name)
{
	for (const struct api_field *f = s->fields; f->name; f++)
		if (!strcmp(f->name, name))
			return f;
	return NULL;
}

static void list_names(const struct api_shape *s, struct buf *ret)
{
	for (const struct api_field *f = s->fields; f->name; f++)
		buf_printf(ret, "%s\"%s\"", f == s->fields ? "" : ", ", f->name);
}

static int complain_stranger(const struct api_shape *s, const char *name, struct buf *why)
{
	CLEANUP(buf_free) struct buf names = { 0 };

	list_names(s, &names);
	return complain(why, "\"%s\" is not known here; there is %s", name, buf_str(&names));
}

static int check_members(const struct api_shape *s, const struct jval *v, struct buf *ret_field,
			 struct buf *why)
{
	const char *name = NULL;
	const struct jval *member;
	int r = 0;

	while (r == 0 && (member = jval_next(v, &name))) {
		const struct api_field *f = find(s, name);

		r = f ? check_value(f, member, ret_field, why) : complain_stranger(s, name, why);
		if (r < 0 && !ret_field->len)
			buf_add_str(ret_field, name);
	}
	return r;
}

int api_check_object(const struct api_shape *s, const struct jval *v, struct buf *ret_field,
		     struct buf *why)
{
	int r;

	if (!jval_is_object(v))
		return complain(why, "a JSON object is wanted here");
	r = check_members(s, v, ret_field, why);
	for (const struct api_field *f = s->fields; r == 0 && f->name; f++) {
		if (!f->needed || jval_get(v, f->name))
			continue;
		buf_add_str(ret_field, f->name);
		r = complain(why, "\"%s\" is missing", f->name);
	}
	return r;
}

/* --- the same for others */

static void write_words(const char *words, struct jwrite *w)
{
	char word[32];

	jwrite_array(w, "enum");
	for (; *words; words += *words == '|') {
		size_t n = strcspn(words, "|");

		snprintf(word, sizeof(word), "%.*s", (int)n, words);
		jwrite_text(w, NULL, word);
		words += n;
	}
	jwrite_array_end(w);
}

static void write_reference(const struct api_shape *s, const char *key, struct jwrite *w)
{
	char ref[REF_MAX];

	snprintf(ref, sizeof(ref), "#/components/schemas/%s", s->name);
	jwrite_object(w, key);
	jwrite_text(w, "$ref", ref);
	jwrite_object_end(w);
}

static void write_bounds(const struct api_field *f, const char *least, const char *most,
			 struct jwrite *w)
{
	if (f->min || !strcmp(least, "minimum"))
		jwrite_int(w, least, f->min);
	if (f->max)
		jwrite_int(w, most, f->max);
}

static void write_list(const struct api_field *f, struct jwrite *w)
{
	write_bounds(f, "minItems", "maxItems", w);
	if (f->of) {
		write_reference(f->of, "items", w);
		return;
	}
	jwrite_object(w, "items");
	jwrite_text(w, "type", "string");
	if (f->pattern) {
		jwrite_int(w, "maxLength", ITEM_LETTERS_MAX);
		jwrite_text(w, "pattern", f->pattern);
	}
	jwrite_object_end(w);
}

static const char *type_of(const struct api_field *f)
{
	static const char *const types[] = {
		[API_TEXT] = "string",  [API_WORD] = "string",   [API_BOOL] = "boolean",
		[API_ASCII] = "string", [API_COUNT] = "integer", [API_NUMBER] = "number",
		[API_TIME] = "string",  [API_OBJECT] = "object", [API_LIST] = "array",
		[API_ANY] = "object",
	};

	return types[f->kind];
}

static void write_type(const struct api_field *f, struct jwrite *w)
{
	if (!f->null) {
		jwrite_text(w, "type", type_of(f));
		return;
	}
	jwrite_array(w, "type");
	jwrite_text(w, NULL, type_of(f));
	jwrite_text(w, NULL, "null");
	jwrite_array_end(w);
}

static void write_limits(const struct api_field *f, struct jwrite *w)
{
	switch (f->kind) {
	case API_WORD:
		write_words(f->words, w);
		break;
	case API_COUNT:
		write_bounds(f, "minimum", "maximum", w);
		break;
	case API_LIST:
		write_list(f, w);
		break;
	case API_TIME:
		jwrite_text(w, "pattern", TIME_PATTERN);
		break;
	case API_TEXT:
	case API_ASCII:
		write_bounds(f, "minLength", "maxLength", w);
		/* In a request alone there is a limit. */
		if (f->pattern || f->max)
			jwrite_text(w, "pattern",
				    f->pattern             ? f->pattern
				    : f->kind == API_ASCII ? ASCII_PATTERN
				    : f->min               ? WORDS_PATTERN
							   : TEXT_PATTERN);
		break;
	default:
		break;
	}
}

void api_write_field(const struct api_field *f, const char *key, struct jwrite *w)
{
	if (f->kind == API_OBJECT) {
		write_reference(f->of, key, w);
		return;
	}
	jwrite_object(w, key);
	write_type(f, w);
	write_limits(f, w);
	if (f->doc)
		jwrite_text(w, "description", f->doc);
	jwrite_object_end(w);
}

void api_write_shape(const struct api_shape *s, const char *key, bool open, struct jwrite *w)
{
	bool any = false;

	jwrite_object(w, key);
	jwrite_text(w, "type", "object");
	jwrite_object(w, "properties");
	for (const struct api_field *f = s->fields; f->name; f++)
		api_write_field(f, f->name, w);
	jwrite_object_end(w);
	for (const struct api_field *f = s->fields; f->name; f++)
		any |= f->needed;
	if (any) {
		jwrite_array(w, "required");
		for (const struct api_field *f = s->fields; f->name; f++)
			if (f->needed)
				jwrite_text(w, NULL, f->name);
		jwrite_array_end(w);
	}
	jwrite_bool(w, "additionalProperties", open);
	jwrite_object_end(w);
}
