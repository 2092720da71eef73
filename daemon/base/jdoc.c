/* SPDX-License-Identifier: Apache-2.0 */
/* A struct jval is the library's json_t under another name: it is never defined, only pointed
 * to. */
#include "daemon/base/jdoc.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "daemon/base/err.h"

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

int jdoc_parse(const char *text, size_t len, struct jdoc **ret)
{
	CLEANUP(jdoc_freep) struct jdoc *d = calloc(1, sizeof(*d));
	json_error_t error;

	if (!d)
		return -ENOMEM;
	/* A NUL in a string is legal JSON: the document is taken, that one string counts as
	 * absent. */
	d->root = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL,
			     &error);
	if (!d->root)
		return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : ERR_PROTO;
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

const char *jval_get_str(const struct jval *v, const char *key)
{
	return jval_str(jval_get(v, key));
}

int64_t jval_get_size(const struct jval *v, const char *key)
{
	return jval_size(jval_get(v, key));
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

int jdoc_quote(struct buf *b, const char *s)
{
	buf_add(b, "\"", 1);
	while (*s) {
		size_t plain = 0;

		while (s[plain] && !must_escape(s[plain]))
			plain++;
		buf_add(b, s, plain);
		s += plain;
		if (*s)
			add_escaped(b, *s++);
	}
	buf_add(b, "\"", 1);
	return b->failed;
}
