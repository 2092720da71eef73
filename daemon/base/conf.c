/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/conf.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "daemon/base/conf_value.h"
#include "daemon/base/err.h"

#define HELP_COLUMN 28
#define HELP_WIDTH 80
#define NAME_MAX_LEN 63 /* of names that suggestions look at */

static void *field_of(const struct conf_param *p, void *conf)
{
	return (char *)conf + p->offset;
}

int conf_defaults(const struct conf_table *t, void *ret)
{
	for (size_t i = 0; i < t->count; i++) {
		int r = conf_value_default(&t->params[i], field_of(&t->params[i], ret));

		if (r < 0) {
			conf_fini(t, ret);
			return r == -ENOMEM ? r : ERR_CONF;
		}
	}
	return 0;
}

void conf_fini(const struct conf_table *t, void *conf)
{
	for (size_t i = 0; i < t->count; i++)
		conf_value_clear(&t->params[i], field_of(&t->params[i], conf));
}

static bool is_among(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

void conf_renew(const struct conf_table *t, void *conf, void *fresh, const char *const *live,
		size_t count, struct buf *ret_kept)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct conf_param *p = &t->params[i];

		if (conf_value_same(p, field_of(p, conf), field_of(p, fresh)))
			continue;
		if (is_among(p->name, live, count))
			conf_value_swap(p, field_of(p, conf), field_of(p, fresh));
		else
			buf_printf(ret_kept, "%s%s", ret_kept->len ? ", " : "", p->name);
	}
}

PRINTF(2, 3) static int complain(struct buf *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(why, fmt, ap);
	va_end(ap);
	return ERR_CONF;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Number of letters to add, drop or change (Levenshtein), over one row of the usual table. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[NAME_MAX_LEN + 1];
	size_t len = strlen(b);

	for (unsigned j = 0; j <= len; j++)
		row[j] = j;
	for (unsigned i = 0; a[i]; i++) {
		unsigned diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 1; j <= len; j++) {
			unsigned change = diagonal + (a[i] != b[j - 1]);

			diagonal = row[j];
			row[j] = min3(change, row[j] + 1, row[j - 1] + 1);
		}
	}
	return row[len];
}

/* The name somebody probably meant: at most a third of its letters differ. NULL if there is
 * none. */
static const char *nearest(const struct conf_table *t, const char *name)
{
	const char *best = NULL;
	unsigned best_distance = 0;

	if (strlen(name) > NAME_MAX_LEN)
		return NULL;
	for (size_t i = 0; i < t->count; i++) {
		const char *known = t->params[i].name;
		unsigned d = strlen(known) > NAME_MAX_LEN ? UINT32_MAX : distance(name, known);

		if (d <= strlen(known) / 3 && (!best || d < best_distance)) {
			best = known;
			best_distance = d;
		}
	}
	return best;
}

static int complain_unknown(const struct conf_table *t, const char *name, struct buf *why)
{
	const char *known = nearest(t, name);

	if (known)
		return complain(why, "There is no parameter \"%s\"; did you mean \"%s\"?", name,
				known);
	return complain(why, "There is no parameter \"%s\"; --help lists all there are.", name);
}

static int complain_value(const struct conf_param *p, const char *value, int r, struct buf *why)
{
	complain(why, "The value \"%s\" of \"%s\" is %s; allowed is ", value, p->name,
		 r == -ERANGE ? "out of range" : "not valid");
	conf_value_allowed(p, why);
	return complain(why, ".");
}

static const struct conf_param *find_param(const struct conf_table *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++)
		if (!strcmp(t->params[i].name, name))
			return &t->params[i];
	return NULL;
}

int conf_set(const struct conf_table *t, void *conf, const char *name, const char *value,
	     struct buf *why)
{
	const struct conf_param *p = find_param(t, name);
	int r;

	if (!p)
		return complain_unknown(t, name, why);
	if (!value && p->type != CONF_FLAG) {
		complain(why, "\"%s\" needs a value: ", name);
		conf_value_allowed(p, why);
		return complain(why, ".");
	}
	r = conf_value_set(p, value ? value : "yes", field_of(p, conf));
	if (r == -EINVAL || r == -ERANGE)
		return complain_value(p, value, r, why);
	return r;
}

/* Cuts blanks off both ends, in place. */
static char *trim(char *text)
{
	size_t len;

	text += strspn(text, " \t\r");
	len = strlen(text);
	while (len && strchr(" \t\r", text[len - 1]))
		len--;
	text[len] = '\0';
	return text;
}

/* A '#' begins a comment at the start of a line or behind a blank; elsewhere it belongs to the
 * value. */
static void cut_comment(char *line)
{
	char *at = line;

	while ((at = strchr(at, '#'))) {
		if (at == line || at[-1] == ' ' || at[-1] == '\t') {
			*at = '\0';
			return;
		}
		at++;
	}
}

static int parse_line(const struct conf_table *t, void *conf, char *line, struct buf *why)
{
	char *equals;

	cut_comment(line);
	line = trim(line);
	if (!*line)
		return 0;
	equals = strchr(line, '=');
	if (!equals || equals == line)
		return complain(why, "\"%s\" is not of the form \"key = value\".", line);
	*equals = '\0';
	return conf_set(t, conf, trim(line), trim(equals + 1), why);
}

/* Parses one line of len bytes; prefixes what is wrong with where. */
static int parse_file_line(const struct conf_table *t, void *conf, const char *text, size_t len,
			   const char *path, unsigned number, struct buf *why)
{
	CLEANUP(freep) char *line = strndup(text, len);
	CLEANUP(buf_free) struct buf what = { 0 };
	int r;

	if (!line)
		return -ENOMEM;
	if (strlen(line) != len)
		r = complain(&what, "The line holds a NUL byte.");
	else
		r = parse_line(t, conf, line, &what);
	if (r == ERR_CONF)
		complain(why, "%s:%u: %s", path, number, buf_str(&what));
	return r;
}

int conf_parse(const struct conf_table *t, void *conf, const char *text, size_t len,
	       const char *path, struct buf *why)
{
	const char *end = text + len;

	for (unsigned number = 1; text < end; number++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t line_len = (size_t)((newline ? newline : end) - text);
		int r = parse_file_line(t, conf, text, line_len, path, number, why);

		if (r < 0)
			return r;
		text += line_len + 1;
	}
	return 0;
}

static int parse_option(const struct conf_table *t, void *conf, char *option, struct buf *rest,
			struct buf *why)
{
	char *equals = strchr(option, '=');

	if (equals)
		*equals = '\0';
	if (find_param(t, option))
		return conf_set(t, conf, option, equals ? equals + 1 : NULL, why);
	if (equals)
		*equals = '=';
	return buf_printf(rest, "%s%s", rest->len ? "," : "", option);
}

int conf_parse_options(const struct conf_table *t, void *conf, const char *text, struct buf *rest,
		       struct buf *why)
{
	CLEANUP(freep) char *copy = strdup(text);
	char *next = copy;
	char *option;

	if (!copy)
		return -ENOMEM;
	while ((option = strsep(&next, ","))) {
		int r = *option ? parse_option(t, conf, option, rest, why) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static void pad_to(struct buf *ret, size_t column, size_t target)
{
	buf_printf(ret, "%*s", column < target ? (int)(target - column) : 0, "");
}

/* Appends words from `column` on, wrapped between HELP_COLUMN and HELP_WIDTH. */
static size_t add_wrapped(struct buf *ret, size_t column, const char *text)
{
	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		size_t len = strcspn(text, " ");

		if (column > HELP_COLUMN && column + 1 + len > HELP_WIDTH) {
			buf_add_str(ret, "\n");
			column = 0;
		}
		if (column < HELP_COLUMN) {
			pad_to(ret, column, HELP_COLUMN);
			column = HELP_COLUMN;
		} else if (column > HELP_COLUMN) {
			buf_add_str(ret, " ");
			column++;
		}
		buf_add(ret, text, len);
		column += len;
		text += len;
	}
	return column;
}

static void help_param(const struct conf_param *p, struct buf *ret)
{
	CLEANUP(buf_free) struct buf def = { 0 };
	size_t start = ret->len;
	size_t column;

	buf_printf(ret, "  --%s", p->name);
	if (p->type != CONF_FLAG)
		buf_printf(ret, "=%s", p->arg ? p->arg : "VALUE");
	column = ret->len - start;
	/* At least two blanks part the option from its text. */
	if (column + 2 > HELP_COLUMN) {
		buf_add_str(ret, "\n");
		column = 0;
	}
	column = add_wrapped(ret, column, p->doc);
	if (p->def) {
		buf_printf(&def, "(default: %s)", p->def);
		add_wrapped(ret, column, buf_str(&def));
	}
	buf_add_str(ret, "\n");
}

void conf_help(const struct conf_table *t, struct buf *ret)
{
	for (size_t i = 0; i < t->count; i++)
		help_param(&t->params[i], ret);
}

/* Appends text with the '|' that would end a cell escaped. */
static void add_cell(struct buf *ret, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			buf_add_str(ret, "\\");
		buf_add(ret, text, 1);
	}
}

static void markdown_param(const struct conf_param *p, struct buf *ret)
{
	buf_printf(ret, "| `%s` | ", p->name);
	if (p->def) {
		buf_add_str(ret, "`");
		add_cell(ret, p->def);
		buf_add_str(ret, "`");
	} else {
		buf_add_str(ret, p->type == CONF_FLAG ? "`no`" : "none");
	}
	buf_add_str(ret, " | ");
	conf_value_allowed(p, ret);
	buf_add_str(ret, " | ");
	add_cell(ret, p->doc);
	buf_add_str(ret, " |\n");
}

void conf_markdown(const struct conf_table *t, struct buf *ret)
{
	buf_add_str(ret, "| name | default | values | meaning |\n|---|---|---|---|\n");
	for (size_t i = 0; i < t->count; i++)
		markdown_param(&t->params[i], ret);
}

/* Text of mdoc(7): no line of it is a request, no character an escape or a hyphen. */
static void add_man(struct buf *ret, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\')
			buf_add_str(ret, "\\e");
		else if (*text == '-')
			buf_add_str(ret, "\\-");
		else
			buf_add(ret, text, 1);
	}
}

/* Each sentence begins a line, as mdoc(7) wants it. */
static void add_man_sentences(struct buf *ret, const char *text)
{
	const char *end;

	while ((end = strstr(text, ". "))) {
		CLEANUP(freep) char *one = strndup(text, (size_t)(end + 1 - text));

		add_man(ret, one ? one : "");
		buf_add_str(ret, "\n");
		text = end + 2;
	}
	add_man(ret, text);
	buf_add_str(ret, "\n");
}

static void man_param(const struct conf_param *p, struct buf *ret)
{
	CLEANUP(buf_free) struct buf allowed = { 0 };

	buf_add_str(ret, ".It Ic ");
	add_man(ret, p->name);
	buf_add_str(ret, "\n");
	add_man_sentences(ret, p->doc);
	buf_add_str(ret, "Allowed:\n");
	conf_value_allowed(p, &allowed);
	add_man(ret, buf_str(&allowed));
	buf_add_str(ret, ".\nDefault:\n");
	if (p->def) {
		buf_add_str(ret, ".Li \"");
		add_man(ret, p->def);
		buf_add_str(ret, "\" .\n");
	} else {
		buf_add_str(ret, p->type == CONF_FLAG ? "no.\n" : "none.\n");
	}
}

static void man_head(const struct conf_page *page, struct buf *ret)
{
	buf_add_str(ret, ".\\\" SPDX-License-Identifier: Apache-2.0\n");
	buf_printf(ret, ".\\\" Made by `%s --config-man`; a test compares the two.\n",
		   page->program);
	buf_printf(ret, ".Dd October 1, 2026\n.Dt %s 5\n.Os\n.Sh NAME\n.Nm %s\n", page->name,
		   page->name);
	buf_printf(ret, ".Nd configuration of %s\n.Sh SYNOPSIS\n.Pa %s\n", page->program,
		   page->path);
	buf_printf(ret,
		   ".Sh DESCRIPTION\nWhat\n.Xr %s 1\ndoes where its command line says nothing "
		   "else: lines\n.Dl name = value\n",
		   page->program);
	buf_add_str(ret,
		    "A\n.Sq #\nat the beginning of a line or behind a blank begins a comment.\n"
		    "What can be given several times has a line for each value; the command "
		    "line's take the place of all of these.\n"
		    "An unknown name or a bad value stops the start with exit status 2, and is "
		    "told with its line.\n"
		    "Sizes take KiB, MiB, GiB, TiB (powers of 1024) or KB, MB, GB, TB "
		    "(powers of 1000).\n");
	buf_add_str(ret, ".Sh PARAMETERS\n.Bl -tag -width Ds\n");
}

void conf_man(const struct conf_table *t, const struct conf_page *page, struct buf *ret)
{
	man_head(page, ret);
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->params[i].name, "config") != 0)
			man_param(&t->params[i], ret);
	buf_add_str(ret, ".El\n");
	buf_add_str(ret, page->tail);
	buf_printf(ret, ".Sh SEE ALSO\n.Xr %s 1\n", page->program);
}
