/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_grammar.h"

#include <string.h>

#include "daemon/base/why.h"

#define WORDS_MAX 63
#define HELP_COLUMN 28
#define HELP_WIDTH 80

struct parser {
	const struct ctl_table *table;
	struct ctl_line *to;
	struct buf *why;
	char *const *next;         /* arguments not looked at yet */
	char words[WORDS_MAX + 1]; /* of a command that is not whole yet */
	bool words_only;           /* behind "--" */
};

/* --- which command */

/* True if `words` are the command's, or its first ones. */
static bool begins(const char *command, const char *words, bool *ret_whole)
{
	size_t len = strlen(words);
	bool so = strncmp(command, words, len) == 0 && (!command[len] || command[len] == ' ');

	*ret_whole = so && !command[len];
	return so;
}

void ctl_list_next(const struct ctl_table *t, const char *words, const char *between,
		   struct buf *ret)
{
	size_t len = strlen(words), start = ret->len;
	const char *last = "";

	for (size_t i = 0; i < t->count; i++) {
		const char *rest = t->verbs[i].words;
		bool whole;
		size_t n;

		if (len && (!begins(rest, words, &whole) || whole))
			continue;
		rest += len ? len + 1 : 0;
		n = strcspn(rest, " ");
		if (strncmp(rest, last, n) == 0 && strcspn(last, " ") == n)
			continue;
		last = rest;
		buf_printf(ret, "%s%.*s", ret->len > start ? between : "", (int)n, rest);
	}
}

static int complain_word(struct parser *p, const char *word)
{
	CLEANUP(buf_free) struct buf list = { 0 };

	ctl_list_next(p->table, p->words, ", ", &list);
	return complain(p->why,
			"There is no command \"%s%s%s\"; behind \"matrixctl%s%s\" stands %s.",
			p->words, *p->words ? " " : "", word, *p->words ? " " : "", p->words,
			buf_str(&list));
}

static int add_word(struct parser *p, const char *word)
{
	size_t len = strlen(p->words), more = strlen(word);
	char longer[WORDS_MAX + 1];
	bool known = false;

	if (!more || len + 1 + more > WORDS_MAX || strchr(word, ' '))
		return complain_word(p, more > WORDS_MAX ? "…" : word);
	memcpy(longer, p->words, len);
	longer[len] = ' ';
	memcpy(longer + len + (len > 0), word, more + 1);
	for (size_t i = 0; i < p->table->count; i++) {
		bool whole;

		if (!begins(p->table->verbs[i].words, longer, &whole))
			continue;
		known = true;
		if (whole)
			p->to->verb = &p->table->verbs[i];
	}
	if (!known)
		return complain_word(p, word);
	memcpy(p->words, longer, sizeof(longer));
	return 0;
}

/* --- operands */

/* The nth name in "ORG [USER]", its length in *ret_len; NULL if there are fewer. */
static const char *operand_name(const char *operands, unsigned n, size_t *ret_len)
{
	for (; *operands; n--) {
		size_t len = strcspn(operands, " ");

		*ret_len = len;
		if (n == 0)
			return operands;
		operands += len + (operands[len] == ' ');
	}
	return NULL;
}

static int add_operand(struct parser *p, const char *word)
{
	struct ctl_line *to = p->to;
	size_t len;

	if (!operand_name(to->verb->operands, to->operand_count, &len) ||
	    to->operand_count == CTL_OPERANDS_MAX)
		return complain(p->why, "\"%s\" is one argument too many: matrixctl %s%s%s.", word,
				to->verb->words, *to->verb->operands ? " " : "",
				to->verb->operands);
	if (!*word)
		return complain(p->why, "%.*s of \"%s\" is an empty word.", (int)len,
				operand_name(to->verb->operands, to->operand_count, &len),
				to->verb->words);
	to->operands[to->operand_count++] = word;
	return 0;
}

const char *ctl_operand(const struct ctl_line *l, const char *name)
{
	size_t len, want = strlen(name);
	const char *have;

	for (unsigned n = 0; (have = operand_name(l->verb->operands, n, &len)); n++) {
		have += *have == '[';
		if (!strncmp(have, name, want) && strchr("[] ", have[want]))
			return n < l->operand_count ? l->operands[n] : NULL;
	}
	return NULL;
}

/* --- options */

const struct ctl_option *ctl_find_option(const struct ctl_option *o, const char *name, size_t len)
{
	for (; o && o->name; o++)
		if (!strncmp(o->name, name, len) && !o->name[len])
			return o;
	return NULL;
}

const char *ctl_option(const struct ctl_line *l, const char *name)
{
	const struct ctl_option *all = l->verb->options,
				*o = ctl_find_option(all, name, strlen(name));

	return o ? l->options[o - all] : NULL;
}

const char *ctl_global_of(const struct ctl_table *t, const struct ctl_line *l, const char *name)
{
	const struct ctl_option *o = ctl_find_option(t->globals, name, strlen(name));

	return o ? l->globals[o - t->globals] : NULL;
}

/* Options whose value is one of few words name them with bars between. */
static bool is_choice(const char *words, const char *value)
{
	size_t len = strlen(value);

	for (; *words; words += *words == '|') {
		size_t n = strcspn(words, "|");

		if (n == len && !strncmp(words, value, n))
			return true;
		words += n;
	}
	return false;
}

static int set_option(struct parser *p, const struct ctl_option *o, const char *value,
		      const char **field)
{
	if (!o->arg && value)
		return complain(p->why, "\"--%s\" takes no value.", o->name);
	if (o->arg && !value && *p->next)
		value = *p->next++;
	if (o->arg && !value)
		return complain(p->why, "\"--%s\" needs a value: --%s=%s.", o->name, o->name,
				o->arg);
	if (*field)
		return complain(p->why, "\"--%s\" is given twice.", o->name);
	if (o->arg && strchr(o->arg, '|') && !is_choice(o->arg, value))
		return complain(p->why, "The value \"%s\" of \"--%s\" is not valid; allowed is %s.",
				value, o->name, o->arg);
	if (o->arg && !strcmp(o->arg, "N") &&
	    (!*value || strlen(value) > 9 || value[strspn(value, "0123456789")]))
		return complain(p->why,
				"The value \"%s\" of \"--%s\" is not valid; allowed is a whole "
				"number below 10^9.",
				value, o->name);
	*field = o->arg ? value : "";
	return 0;
}

/* Arguments can be read by every user of the machine; so what may be one is not repeated. */
static int refuse_secret(struct parser *p, const char *name)
{
	return complain(p->why,
			"A %s on the command line is seen by every user of this machine: put it "
			"into a file and name that with --%s-file=FILE.",
			name, name);
}

static int parse_long(struct parser *p, const char *text)
{
	const struct ctl_option *globals = p->table->globals, *o;
	const struct ctl_option *own = p->to->verb ? p->to->verb->options : NULL;
	size_t len = strcspn(text, "=");
	const char *value = text[len] ? text + len + 1 : NULL;

	if (!strcmp(text, "help") || !strcmp(text, "version")) {
		p->to->action = *text == 'h' ? CTL_HELP : CTL_VERSION;
		return 0;
	}
	o = ctl_find_option(own, text, len);
	if (o)
		return set_option(p, o, value, &p->to->options[o - own]);
	o = ctl_find_option(globals, text, len);
	if (o)
		return set_option(p, o, value, &p->to->globals[o - globals]);
	if (len == 5 && !strncmp(text, "token", len))
		return refuse_secret(p, "token");
	if (len == 6 && !strncmp(text, "secret", len))
		return refuse_secret(p, "secret");
	return complain(p->why, "There is no option \"--%.*s\"%s%s; --help lists those there are.",
			(int)len, text, p->to->verb ? " of " : "",
			p->to->verb ? p->to->verb->words : " before a command");
}

/* True if a word belongs to the command still: this one takes none, and others begin with it. */
static bool goes_on(const struct parser *p)
{
	bool whole;

	if (!p->to->verb)
		return true;
	for (size_t i = 0; !*p->to->verb->operands && i < p->table->count; i++)
		if (begins(p->table->verbs[i].words, p->words, &whole) && !whole)
			return true;
	return false;
}

static int parse_arg(struct parser *p, const char *arg)
{
	if (!p->words_only && arg[0] == '-' && arg[1]) {
		if (!strcmp(arg, "-h") || !strcmp(arg, "-V")) {
			p->to->action = arg[1] == 'h' ? CTL_HELP : CTL_VERSION;
			return 0;
		}
		if (arg[1] != '-')
			return complain(p->why, "There is no option \"%.2s\"; --help lists all.",
					arg);
		if (arg[2])
			return parse_long(p, arg + 2);
		p->words_only = true;
		return 0;
	}
	return goes_on(p) ? add_word(p, arg) : add_operand(p, arg);
}

/* --- all of it */

static int check_operands(const struct parser *p)
{
	const struct ctl_verb *v = p->to->verb;
	const char *num = ctl_operand(p->to, "NUM");
	size_t len;
	const char *name = operand_name(v->operands, p->to->operand_count, &len);

	if (name && *name != '[')
		return complain(p->why, "%.*s is missing: matrixctl %s %s.", (int)len, name,
				v->words, v->operands);
	if (num && (!*num || num[strspn(num, "0123456789")]))
		return complain(p->why, "NUM is a number, and \"%s\" is none: matrixctl %s %s.",
				num, v->words, v->operands);
	for (const struct ctl_option *o = v->options; o && o->name; o++)
		if (o->needed && !p->to->options[o - v->options])
			return complain(p->why, "\"%s\" needs --%s=%s.", v->words, o->name, o->arg);
	return 0;
}

static int check(const struct parser *p)
{
	CLEANUP(buf_free) struct buf list = { 0 };

	if (p->to->verb)
		return check_operands(p);
	ctl_list_next(p->table, p->words, ", ", &list);
	return complain(p->why, "A command is missing: behind \"matrixctl%s%s\" stands %s.",
			*p->words ? " " : "", p->words, buf_str(&list));
}

int ctl_parse(const struct ctl_table *t, int argc, char *const argv[], struct ctl_line *ret,
	      struct buf *why)
{
	struct parser p = { .table = t, .to = ret, .why = why, .next = argv + (argc > 0) };
	int r = 0;

	*ret = (struct ctl_line){ 0 };
	while (r == 0 && *p.next && ret->action == CTL_RUN) {
		const char *arg = *p.next++;

		r = parse_arg(&p, arg);
	}
	return r == 0 && ret->action == CTL_RUN ? check(&p) : r;
}

/* --- help */

static void add_wrapped(struct buf *ret, size_t column, const char *text)
{
	if (column + 2 > HELP_COLUMN) {
		buf_add_str(ret, "\n");
		column = 0;
	}
	buf_printf(ret, "%*s", (int)(HELP_COLUMN - column), "");
	column = HELP_COLUMN;
	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		size_t len = strcspn(text, " ");

		if (column > HELP_COLUMN && column + 1 + len > HELP_WIDTH) {
			buf_printf(ret, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
		}
		if (column > HELP_COLUMN) {
			buf_add_str(ret, " ");
			column++;
		}
		buf_add(ret, text, len);
		column += len;
		text += len;
	}
	buf_add_str(ret, "\n");
}

static void help_options(const struct ctl_option *o, struct buf *ret)
{
	for (; o && o->name; o++) {
		size_t start = ret->len;

		buf_printf(ret, "  --%s%s%s", o->name, o->arg ? "=" : "", o->arg ? o->arg : "");
		add_wrapped(ret, ret->len - start, o->doc);
	}
}

static void help_globals(const struct ctl_table *t, struct buf *ret)
{
	help_options(t->globals, ret);
	buf_add_str(ret, "  -h, --help                Show this text.\n"
			 "  -V, --version             Show the version.\n");
}

static void help_verb(const struct ctl_table *t, const struct ctl_verb *v, struct buf *ret)
{
	buf_printf(ret, "Usage: matrixctl %s", v->words);
	for (const struct ctl_option *o = v->options; o && o->name; o++)
		if (o->needed)
			buf_printf(ret, " --%s=%s", o->name, o->arg);
	buf_printf(ret, "%s%s [OPTION]...\n%s\n\n", *v->operands ? " " : "", v->operands, v->doc);
	help_options(v->options, ret);
	help_globals(t, ret);
}

void ctl_help(const struct ctl_table *t, const struct ctl_verb *v, struct buf *ret)
{
	if (v) {
		help_verb(t, v, ret);
		return;
	}
	buf_add_str(ret,
		    "Usage: matrixctl [OPTION]... COMMAND [ARGUMENT]...\n"
		    "Asks and steers a matrixfs (control socket) or a matrixhubd (admin API).\n"
		    "\"matrixctl COMMAND --help\" says more.\n\n");
	for (size_t i = 0; i < t->count; i++) {
		size_t start = ret->len;

		v = &t->verbs[i];
		buf_printf(ret, "  %s%s%s", v->words, *v->operands ? " " : "", v->operands);
		add_wrapped(ret, ret->len - start, v->doc);
	}
	buf_add_str(ret, "\n");
	help_globals(t, ret);
}
