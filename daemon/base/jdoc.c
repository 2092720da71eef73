/* SPDX-License-Identifier: Apache-2.0 */
/* A struct jval is the library's json_t under another name: it is never defined, only pointed
 * to. */
#include "daemon/base/jdoc.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"

#define INT_DIGITS 18 /* an integer of so many fits 64 bits */

struct jdoc {
	json_t *root;
};

static const json_t *as_json(const struct jval *v)
{
	return (const json_t *)v;
}

static const struct jval *as_jval(const json_t *j)
{
	return (const struct jval *)j;
}

/* A NUL in a string is legal JSON: the document is taken, that one string counts as absent. */
static json_t *load(const char *text, size_t len, enum json_error_code *ret_error)
{
	json_error_t error;
	json_t *root = json_loadb(
		text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

	*ret_error = root ? json_error_unknown : json_error_code(&error);
	return root;
}

/* The length of the string that begins at text, with its quotes. */
static size_t string_len(const char *text, size_t len)
{
	size_t i = 1;

	while (i < len && text[i] != '"')
		i += text[i] == '\\' ? 2 : 1;
	return i < len ? i + 1 : len;
}

/* The length of the number that begins at text, or 1 if none does. */
static size_t number_len(const char *text, size_t len, bool *ret_long)
{
	bool whole = true;
	size_t i = 0;

	*ret_long = false;
	if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
		return 1;
	for (i = 1; i < len && text[i] && strchr("0123456789.eE+-", text[i]); i++)
		whole = whole && text[i] >= '0' && text[i] <= '9';
	*ret_long = whole && i - (text[0] == '-') > INT_DIGITS;
	return i;
}

/* Copies a text with an exponent behind the integers that may be too long for the library: that
 * makes reals of them, which is what JavaScript, and so the hub, made of them before. */
static int copy_with_reals(const char *text, size_t len, struct buf *ret)
{
	for (size_t i = 0, n; i < len; i += n) {
		bool is_long = false;

		n = text[i] == '"' ? string_len(text + i, len - i)
				   : number_len(text + i, len - i, &is_long);
		buf_add(ret, text + i, n);
		if (is_long)
			buf_add_str(ret, "e0");
	}
	return ret->failed;
}

int jdoc_parse(const char *text, size_t len, struct jdoc **ret)
{
	CLEANUP(jdoc_freep) struct jdoc *d = calloc(1, sizeof(*d));
	CLEANUP(buf_free) struct buf reals = { 0 };
	enum json_error_code error;

	if (!d)
		return -ENOMEM;
	d->root = load(text, len, &error);
	if (error == json_error_numeric_overflow) {
		if (copy_with_reals(text, len, &reals) < 0)
			return -ENOMEM;
		d->root = load(buf_str(&reals), reals.len, &error);
	}
	if (!d->root)
		return error == json_error_out_of_memory ? -ENOMEM : ERR_PROTO;
	*ret = steal(d);
	return 0;
}

void jdoc_free(struct jdoc *d)
{
	if (!d)
		return;
	json_decref(d->root);
	free(d);
}

void jdoc_freep(struct jdoc **d)
{
	jdoc_free(*d);
}

const struct jval *jdoc_root(const struct jdoc *d)
{
	return as_jval(d->root);
}

const struct jval *jval_get(const struct jval *v, const char *key)
{
	const json_t *member = json_object_get(as_json(v), key);

	return json_is_null(member) ? NULL : as_jval(member);
}

static bool is_one_of(const char *name, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(name, list[i]) == 0)
			return true;
	return false;
}

const char *jval_stranger(const struct jval *v, const char *const *known, size_t count)
{
	json_t *object = (json_t *)(uintptr_t)v; /* it is only looked at */
	void *at = json_object_iter(object);

	while (at && is_one_of(json_object_iter_key(at), known, count))
		at = json_object_iter_next(object, at);
	return at ? json_object_iter_key(at) : NULL;
}

size_t jval_count(const struct jval *v)
{
	return json_array_size(as_json(v));
}

const struct jval *jval_at(const struct jval *v, size_t i)
{
	return as_jval(json_array_get(as_json(v), i));
}

bool jval_is_array(const struct jval *v)
{
	return json_is_array(as_json(v));
}

bool jval_is_object(const struct jval *v)
{
	return json_is_object(as_json(v));
}

const char *jval_str(const struct jval *v)
{
	const char *text = json_string_value(as_json(v));

	return text && strlen(text) == json_string_length(as_json(v)) ? text : NULL;
}

int64_t jval_size(const struct jval *v)
{
	json_int_t n = json_is_integer(as_json(v)) ? json_integer_value(as_json(v)) : -1;

	return n < 0 ? -1 : n;
}

bool jval_int(const struct jval *v, int64_t *ret)
{
	if (!json_is_integer(as_json(v)))
		return false;
	*ret = json_integer_value(as_json(v));
	return true;
}

bool jval_real(const struct jval *v, double *ret)
{
	if (!json_is_number(as_json(v)))
		return false;
	*ret = json_number_value(as_json(v));
	return true;
}

int jval_bool(const struct jval *v)
{
	return json_is_true(as_json(v)) ? 1 : json_is_false(as_json(v)) ? 0 : -1;
}

const struct jval *jval_next(const struct jval *v, const char **name)
{
	json_t *object = (json_t *)(uintptr_t)v; /* it is only looked at */
	void *at = *name ? json_object_iter_next(object, json_object_iter_at(object, *name))
			 : json_object_iter(object);

	if (!at)
		return NULL;
	*name = json_object_iter_key(at);
	return as_jval(json_object_iter_value(at));
}

const char *jval_get_str(const struct jval *v, const char *key)
{
	return jval_str(jval_get(v, key));
}

int64_t jval_get_size(const struct jval *v, const char *key)
{
	return jval_size(jval_get(v, key));
}

uint64_t jval_get_size_or_0(const struct jval *v, const char *key)
{
	int64_t n = jval_get_size(v, key);

	return n < 0 ? 0 : (uint64_t)n;
}

static int must_escape(char c)
{
	return (unsigned char)c < ' ' || c == '"' || c == '\\';
}

static void add_escaped(struct buf *b, char c)
{
	if ((unsigned char)c < ' ')
		buf_printf(b, "\\u%04x", (unsigned)c);
	else
		buf_printf(b, "\\%c", c);
}

static int quote(struct buf *b, const char *s, size_t len)
{
	const char *end = s + len;

	buf_add(b, "\"", 1);
	while (s < end) {
		size_t plain = 0;

		while (s + plain < end && !must_escape(s[plain]))
			plain++;
		buf_add(b, s, plain);
		s += plain;
		if (s < end)
			add_escaped(b, *s++);
	}
	buf_add(b, "\"", 1);
	return b->failed;
}

int jdoc_quote(struct buf *b, const char *s)
{
	return quote(b, s, strlen(s));
}

/* ---- printing ---- */

struct printer {
	const char *const *without, *const *nowhere;
	struct buf *to;
};

static int print(const struct printer *p, const json_t *j, unsigned depth);

static bool is_in(const char *name, const char *const *list)
{
	while (list && *list && strcmp(*list, name) != 0)
		list++;
	return list && *list;
}

static int print_object(const struct printer *p, const json_t *j, unsigned depth)
{
	const struct jval *member;
	const char *name = NULL, *comma = "";
	int r = 0;

	buf_add_str(p->to, "{");
	while (r == 0 && (member = jval_next(as_jval(j), &name))) {
		if (is_in(name, p->nowhere) || (depth == 0 && is_in(name, p->without)))
			continue;
		buf_add_str(p->to, comma);
		jdoc_quote(p->to, name);
		buf_add_str(p->to, ":");
		r = print(p, as_json(member), depth + 1);
		comma = ",";
	}
	buf_add_str(p->to, "}");
	return r;
}

static int print_array(const struct printer *p, const json_t *j, unsigned depth)
{
	int r = 0;

	buf_add_str(p->to, "[");
	for (size_t i = 0; r == 0 && i < json_array_size(j); i++) {
		buf_add_str(p->to, i ? "," : "");
		r = print(p, json_array_get(j, i), depth + 1);
	}
	buf_add_str(p->to, "]");
	return r;
}

static void print_real(struct buf *to, double real)
{
	char text[32];

	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, real);
		if (strtod(text, NULL) == real)
			break;
	}
	buf_add_str(to, text);
	if (!strpbrk(text, ".e"))
		buf_add_str(to, ".0"); /* it came as a real */
}

/* Recursion is as deep as the text is nested: threads have small stacks. */
static int print(const struct printer *p, const json_t *j, unsigned depth)
{
	if (depth > JDOC_PRINT_DEPTH)
		return ERR_PROTO;
	if (json_is_object(j))
		return print_object(p, j, depth);
	if (json_is_array(j))
		return print_array(p, j, depth);
	if (json_is_string(j))
		quote(p->to, json_string_value(j), json_string_length(j));
	else if (json_is_integer(j))
		buf_printf(p->to, "%lld", (long long)json_integer_value(j));
	else if (json_is_real(j))
		print_real(p->to, json_real_value(j));
	else
		buf_add_str(p->to, json_is_true(j) ? "true" : json_is_false(j) ? "false" : "null");
	return 0;
}

int jdoc_print(const struct jval *v, const char *const *without, const char *const *nowhere,
	       struct buf *ret)
{
	const struct printer p = { without, nowhere, ret };
	int r = print(&p, as_json(v), 0);

	return r < 0 ? r : ret->failed;
}
