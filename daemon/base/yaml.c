/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/yaml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "daemon/base/jwrite.h"
#include "daemon/base/map.h"

#define ANCHORS_MAX 256
#define TAGS "tag:yaml.org,2002:"

/* A mapping or a sequence that is open. */
struct frame {
	bool mapping;
	char *key;       /* the name whose value is next, or NULL; lives in keys */
	struct map keys; /* names of a mapping so far; owned */
	int anchor;      /* its number, -1 : none */
};

/* Where the value that has that name begins and ends in the JSON. */
struct anchor {
	char *name;
	size_t begin, end; /* end 0: it is open, or a name itself */
};

struct making {
	yaml_parser_t parser;
	const char *text;
	struct yaml_wrong *wrong;
	struct jwrite w;
	size_t begin; /* of the JSON */
	struct frame frames[YAML_DEPTH];
	unsigned depth;
	struct anchor anchors[ANCHORS_MAX];
	int anchor_count;
	unsigned documents;
};

static int refuse_at(struct making *m, const yaml_mark_t *at, const char *fmt, ...) PRINTF(3, 4);
static int refuse_at(struct making *m, const yaml_mark_t *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m->wrong->what, sizeof(m->wrong->what), fmt, ap);
	va_end(ap);
	m->wrong->line = at->line + 1;
	m->wrong->column = at->column + 1;
	return -EINVAL;
}

/* The library says where a wrong letter is by its offset alone. */
static yaml_mark_t mark_of(const struct making *m, size_t offset)
{
	yaml_mark_t at = { 0 };

	for (size_t i = 0; i < offset; i++) {
		at.column++;
		if (m->text[i] == '\n') {
			at.line++;
			at.column = 0;
		}
	}
	return at;
}

static int refuse_parsed(struct making *m)
{
	const yaml_parser_t *p = &m->parser;
	yaml_mark_t at = p->problem_mark;

	if (p->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (p->error == YAML_READER_ERROR)
		at = mark_of(m, p->problem_offset);
	if (p->context)
		return refuse_at(m, &at, "%s %s", p->problem, p->context);
	return refuse_at(m, &at, "%s", p->problem ? p->problem : "this is no YAML");
}

/* ---- scalars ---- */

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(text, *words))
			return true;
	return false;
}

static bool is_integer(const char *text)
{
	text += *text == '-' || *text == '+';
	return *text && !text[strspn(text, "0123456789")];
}

static bool is_real(const char *text)
{
	size_t whole, part = 0;

	text += *text == '-' || *text == '+';
	whole = strspn(text, "0123456789");
	text += whole;
	if (*text == '.') {
		part = strspn(text + 1, "0123456789");
		text += part + 1;
	}
	if (!whole && !part)
		return false;
	if (*text == 'e' || *text == 'E')
		return is_integer(text + 1);
	return !*text;
}

/* "0x1f", "0o17" */
static bool is_based(const char *text, const char *prefix, const char *digits)
{
	return !strncmp(text, prefix, 2) && text[2] && !text[2 + strspn(text + 2, digits)];
}

static void write_integer(struct jwrite *w, const char *key, const char *text, int base)
{
	long long v;

	errno = 0;
	v = strtoll(base == 10 ? text : text + 2, NULL, base);
	if (errno)
		jwrite_number(w, key, strtod(text, NULL));
	else
		jwrite_int(w, key, v);
}

static void write_plain(struct jwrite *w, const char *key, const char *text)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const trues[] = { "true", "True", "TRUE", NULL };
	static const char *const falses[] = { "false", "False", "FALSE", NULL };
	static const char *const others[] = { ".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",
					      ".INF",  "+.inf", "+.Inf", "+.INF", "-.inf",
					      "-.Inf", "-.INF", NULL };

	if (is_one_of(text, nulls) || is_one_of(text, others))
		jwrite_null(w, key);
	else if (is_one_of(text, trues) || is_one_of(text, falses))
		jwrite_bool(w, key, *text == 't' || *text == 'T');
	else if (is_integer(text))
		write_integer(w, key, text, 10);
	else if (is_based(text, "0x", "0123456789abcdefABCDEF"))
		write_integer(w, key, text, 16);
	else if (is_based(text, "0o", "01234567"))
		write_integer(w, key, text, 8);
	else if (is_real(text))
		jwrite_number(w, key, strtod(text, NULL));
	else
		jwrite_text(w, key, text);
}

/* ---- what is open ---- */

/* The name of the value that comes now, which is used up; NULL in a sequence and outside. */
static char *take_key(struct making *m)
{
	return m->depth ? steal(m->frames[m->depth - 1].key) : NULL;
}

static bool wants_key(const struct making *m)
{
	return m->depth && m->frames[m->depth - 1].mapping && !m->frames[m->depth - 1].key;
}

static int check_size(struct making *m, const yaml_mark_t *at)
{
	if (m->w.to->failed)
		return m->w.to->failed;
	return m->w.to->len - m->begin > YAML_JSON_MAX
		       ? refuse_at(m, at, "aliases stand for too much")
		       : 0;
}

static int add_key(struct making *m, const char *text, const yaml_mark_t *at)
{
	struct frame *f = &m->frames[m->depth - 1];
	char *key;

	if (map_find_str(&f->keys, text))
		return refuse_at(m, at, "duplicated mapping key");
	key = strdup(text);
	if (!key || map_put_str(&f->keys, key, key) < 0) {
		free(key);
		return -ENOMEM;
	}
	f->key = key;
	return 0;
}

/* ---- anchors ---- */

static struct anchor *find_anchor(struct making *m, const char *name)
{
	for (int i = m->anchor_count; i-- > 0;)
		if (!strcmp(m->anchors[i].name, name))
			return &m->anchors[i];
	return NULL;
}

/* *ret is its number, -1 without a name. */
static int add_anchor(struct making *m, const yaml_char_t *name, const yaml_mark_t *at, int *ret)
{
	struct anchor *a = &m->anchors[m->anchor_count];

	*ret = -1;
	if (!name)
		return 0;
	if (m->anchor_count == ANCHORS_MAX)
		return refuse_at(m, at, "there are too many anchors");
	*a = (struct anchor){ .name = strdup((const char *)name) };
	if (!a->name)
		return -ENOMEM;
	*ret = m->anchor_count++;
	return 0;
}

/* What was written from `before` on is a value, behind a comma and its name. */
static void begin_anchor(struct making *m, int anchor, size_t before, bool named)
{
	const char *at = m->w.to->data + before;

	if (anchor < 0 || m->w.to->failed)
		return;
	at += *at == ',';
	if (named) {
		for (at++; *at != '"'; at++)
			at += *at == '\\';
		at += 2;
	}
	m->anchors[anchor].begin = (size_t)(at - m->w.to->data);
}

static void end_anchor(struct making *m, int anchor)
{
	if (anchor >= 0)
		m->anchors[anchor].end = m->w.to->len;
}

static int write_alias(struct making *m, const yaml_event_t *e)
{
	const char *name = (const char *)e->data.alias.anchor;
	struct anchor *a = find_anchor(m, name);
	CLEANUP(freep) char *copy = NULL;

	if (wants_key(m))
		return refuse_at(m, &e->start_mark, "a name cannot be an alias");
	if (!a || !a->end)
		return refuse_at(m, &e->start_mark, "unidentified alias \"%.60s\"", name);
	copy = strndup(m->w.to->data + a->begin, a->end - a->begin);
	if (!copy)
		return -ENOMEM;
	jwrite_json(&m->w, take_key(m), copy);
	return check_size(m, &e->end_mark);
}

/* ---- events ---- */

/* Of a scalar, a sequence or a mapping. */
static int check_tag(struct making *m, const yaml_char_t *given, const yaml_mark_t *at)
{
	static const char *const known[] = { "str",       "int",    "float", "bool", "null",
					     "timestamp", "binary", "seq",   "map",  "omap",
					     "pairs",     "set",    NULL };
	const char *tag = (const char *)given;

	if (!tag || !strcmp(tag, "!"))
		return 0;
	if (!strncmp(tag, TAGS, strlen(TAGS)) && is_one_of(tag + strlen(TAGS), known))
		return 0;
	return refuse_at(m, at, "unknown tag !<%.100s>", tag);
}

/* Quoted ones are texts, and so are those whose tag says it. */
static bool is_text(const yaml_event_t *e)
{
	const char *tag = (const char *)e->data.scalar.tag;

	if (!tag)
		return !e->data.scalar.plain_implicit;
	return !strcmp(tag, "!") || !strcmp(tag, TAGS "str") || !strcmp(tag, TAGS "binary") ||
	       !strcmp(tag, TAGS "timestamp");
}

static int add_scalar(struct making *m, const yaml_event_t *e)
{
	const char *text = (const char *)e->data.scalar.value, *key;
	size_t before = m->w.to->len;
	int anchor = -1, r = check_tag(m, e->data.scalar.tag, &e->start_mark);

	if (r == 0 && strlen(text) != e->data.scalar.length)
		r = refuse_at(m, &e->start_mark, "a text holds a NUL");
	if (r == 0)
		r = add_anchor(m, e->data.scalar.anchor, &e->start_mark, &anchor);
	if (r < 0)
		return r;
	if (wants_key(m))
		return add_key(m, text, &e->start_mark);
	key = take_key(m);
	if (is_text(e))
		jwrite_text(&m->w, key, text);
	else
		write_plain(&m->w, key, text);
	begin_anchor(m, anchor, before, key);
	end_anchor(m, anchor);
	return check_size(m, &e->end_mark);
}

static int open_frame(struct making *m, const yaml_event_t *e, bool mapping)
{
	struct frame *f = &m->frames[m->depth];
	const yaml_char_t *tag = mapping ? e->data.mapping_start.tag : e->data.sequence_start.tag;
	const yaml_char_t *name = mapping ? e->data.mapping_start.anchor
					  : e->data.sequence_start.anchor;
	size_t before = m->w.to->len;
	const char *key;
	int r = check_tag(m, tag, &e->start_mark);

	if (r < 0)
		return r;
	if (wants_key(m))
		return refuse_at(m, &e->start_mark, "a name cannot be a collection");
	if (m->depth == YAML_DEPTH)
		return refuse_at(m, &e->start_mark, "this is nested too deep");
	key = take_key(m);
	*f = (struct frame){ .mapping = mapping };
	m->depth++;
	r = add_anchor(m, name, &e->start_mark, &f->anchor);
	if (mapping)
		jwrite_object(&m->w, key);
	else
		jwrite_array(&m->w, key);
	begin_anchor(m, f->anchor, before, key);
	return r;
}

static int free_key(void *arg UNUSED, void *key)
{
	free(key);
	return 0;
}

static void free_frame(struct making *m)
{
	struct frame *f = &m->frames[--m->depth];

	map_each(&f->keys, free_key, NULL);
	map_fini(&f->keys);
}

static int close_frame(struct making *m, const yaml_event_t *e)
{
	struct frame *f = &m->frames[m->depth - 1];

	if (f->mapping)
		jwrite_object_end(&m->w);
	else
		jwrite_array_end(&m->w);
	end_anchor(m, f->anchor);
	free_frame(m);
	return check_size(m, &e->end_mark);
}

static int on_event(struct making *m, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		return m->documents++ ? refuse_at(m, &e->start_mark,
						  "expected a single document in the stream, but "
						  "found more")
				      : 0;
	case YAML_ALIAS_EVENT:
		return write_alias(m, e);
	case YAML_SCALAR_EVENT:
		return add_scalar(m, e);
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return open_frame(m, e, e->type == YAML_MAPPING_START_EVENT);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return close_frame(m, e);
	default:
		return 0;
	}
}

static int take_events(struct making *m)
{
	bool over = false;
	int r = 0;

	while (r == 0 && !over) {
		yaml_event_t e;

		if (!yaml_parser_parse(&m->parser, &e))
			return refuse_parsed(m);
		over = e.type == YAML_STREAM_END_EVENT;
		r = on_event(m, &e);
		yaml_event_delete(&e);
	}
	if (r == 0 && !m->documents)
		jwrite_null(&m->w, NULL);
	return r < 0 ? r : m->w.to->failed;
}

int yaml_json(const char *text, size_t len, struct buf *ret, struct yaml_wrong *wrong)
{
	struct making m = { .text = text, .wrong = wrong, .w = { .to = ret }, .begin = ret->len };
	yaml_mark_t start = { 0 };
	int r;

	if (len > YAML_TEXT_MAX)
		return refuse_at(&m, &start, "it has more than %d bytes", YAML_TEXT_MAX);
	if (!yaml_parser_initialize(&m.parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&m.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&m.parser, (const unsigned char *)text, len);
	r = take_events(&m);
	while (m.depth)
		free_frame(&m);
	for (int i = 0; i < m.anchor_count; i++)
		free(m.anchors[i].name);
	yaml_parser_delete(&m.parser);
	return r;
}
