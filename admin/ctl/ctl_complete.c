/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_complete.h"

#include <string.h>

#define WORDS_MAX 63
#define BLANKS " \t"

/* What of a line has been understood. */
struct place {
	const struct ctl_table *table;
	char words[WORDS_MAX + 1]; /* of the command, as far as it goes */
	const struct ctl_verb *verb;
	const struct ctl_option *due; /* whose value comes next, or NULL */
	bool operands;                /* the command is over */
};

/* --- what stands there */

/* Takes one more word of the command; false if none goes on like this. */
static bool extend(struct place *p, const char *word, size_t len)
{
	size_t had = strlen(p->words);
	char longer[2 * WORDS_MAX + 2];
	bool known = false;

	if (had + 1 + len > WORDS_MAX)
		return false;
	snprintf(longer, sizeof(longer), "%s%s%.*s", p->words, had ? " " : "", (int)len, word);
	for (size_t i = 0; i < p->table->count; i++) {
		const char *rest = p->table->verbs[i].words;

		if (strncmp(rest, longer, strlen(longer)) != 0 ||
		    !strchr(" ", rest[strlen(longer)]))
			continue;
		known = true;
		if (!rest[strlen(longer)])
			p->verb = &p->table->verbs[i];
	}
	if (known)
		memcpy(p->words, longer, strlen(longer) + 1);
	return known;
}

static const struct ctl_option *find(const struct place *p, const char *name, size_t len)
{
	const struct ctl_option *o = ctl_find_option(p->verb ? p->verb->options : NULL, name, len);

	return o ? o : ctl_find_option(p->table->globals, name, len);
}

static void take(struct place *p, const char *word, size_t len)
{
	size_t name = strcspn(word, "=" BLANKS);

	if (p->due) {
		p->due = NULL;
	} else if (*word == '-') {
		p->due = len > 2 && name == len ? find(p, word + 2, len - 2) : NULL;
		if (p->due && !p->due->arg)
			p->due = NULL;
	} else if (p->operands || !extend(p, word, len)) {
		p->operands = true;
	}
}

/* --- what may */

static void offer(const char *before, const char *word, size_t len, const char *after,
		  const char *begun, struct buf *ret)
{
	size_t start = ret->len;

	buf_printf(ret, "%s%.*s%s", before, (int)len, word, after);
	if (ret->failed || strncmp(buf_str(ret) + start, begun, strlen(begun)) == 0) {
		buf_add_str(ret, "\n");
		return;
	}
	ret->len = start;
	ret->data[start] = '\0';
}

/* Values of an option that names them. */
static void offer_values(const struct ctl_option *o, const char *before, const char *begun,
			 struct buf *ret)
{
	const char *words = o && o->arg && strchr(o->arg, '|') ? o->arg : "";

	for (; *words; words += *words == '|') {
		size_t len = strcspn(words, "|");

		offer(before, words, len, "", begun, ret);
		words += len;
	}
}

static void offer_options(const struct ctl_option *o, const char *begun, struct buf *ret)
{
	for (; o && o->name; o++)
		offer("--", o->name, strlen(o->name), o->arg ? "=" : "", begun, ret);
}

static void offer_words(const struct place *p, const char *begun, struct buf *ret)
{
	CLEANUP(buf_free) struct buf list = { 0 };
	const char *at;

	ctl_list_next(p->table, p->words, "\n", &list);
	for (at = buf_str(&list); *at; at += *at == '\n') {
		size_t len = strcspn(at, "\n");

		offer("", at, len, "", begun, ret);
		at += len;
	}
}

static void offer_dashed(const struct place *p, const char *begun, struct buf *ret)
{
	char before[WORDS_MAX + 1];
	size_t name = strcspn(begun, "=");

	if (begun[name] && name < WORDS_MAX) {
		snprintf(before, sizeof(before), "%.*s", (int)name + 1, begun);
		offer_values(find(p, begun + 2, name - 2), before, begun, ret);
		return;
	}
	offer_options(p->verb ? p->verb->options : NULL, begun, ret);
	offer_options(p->table->globals, begun, ret);
	offer("", "--help", strlen("--help"), "", begun, ret);
}

void ctl_complete(const struct ctl_table *t, const char *line, struct buf *ret)
{
	struct place p = { .table = t };
	const char *at = line + strcspn(line, BLANKS); /* behind the program's name */

	for (;;) {
		size_t len;

		at += strspn(at, BLANKS);
		len = strcspn(at, BLANKS);
		if (!at[len])
			break;
		take(&p, at, len);
		at += len;
	}
	if (p.due)
		offer_values(p.due, "", at, ret);
	else if (!strncmp(at, "--", 2))
		offer_dashed(&p, at, ret);
	else if (!p.operands)
		offer_words(&p, at, ret);
}

/* --- shells */

int ctl_completion_words(struct ctl *c)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	ctl_complete(c->table, ctl_operand(c->line, "LINE"), &text);
	return ctl_put(c, &text);
}

static int put(struct ctl *c, const char *script)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	buf_add_str(&text, script);
	return ctl_put(c, &text);
}

/* Where "=" parts words, what stands before it is there already. */
int ctl_completion_bash(struct ctl *c)
{
	return put(c, "# bash completion for matrixctl: matrixctl completion bash\n"
		      "_matrixctl() {\n"
		      "\tlocal IFS=$'\\n' line=${COMP_LINE:0:COMP_POINT}\n"
		      "\tCOMPREPLY=($(matrixctl completion words \"$line\" 2>/dev/null))\n"
		      "\t[[ ${COMPREPLY-} == *= ]] && compopt -o nospace 2>/dev/null\n"
		      "\tif [[ ${line##*[[:space:]]} == *=* && $COMP_WORDBREAKS == *=* ]]; then\n"
		      "\t\tCOMPREPLY=(\"${COMPREPLY[@]#*=}\")\n"
		      "\tfi\n"
		      "}\n"
		      "complete -o default -F _matrixctl matrixctl\n");
}

int ctl_completion_zsh(struct ctl *c)
{
	return put(c, "#compdef matrixctl\n"
		      "# zsh completion for matrixctl: matrixctl completion zsh\n"
		      "_matrixctl() {\n"
		      "\tlocal -a found valued\n"
		      "\tfound=(${(f)\"$(matrixctl completion words \"${(j: :)words[1,CURRENT-1]} "
		      "$PREFIX\" 2>/dev/null)\"})\n"
		      "\tvalued=(${(M)found:#*=})\n"
		      "\tfound=(${found:#*=})\n"
		      "\t(( $#found + $#valued )) || { _files; return }\n"
		      "\tcompadd -S '' -- $valued\n"
		      "\tcompadd -- $found\n"
		      "}\n"
		      "if [[ $funcstack[1] == _matrixctl ]]; then\n"
		      "\t_matrixctl \"$@\"\n"
		      "else\n"
		      "\tcompdef _matrixctl matrixctl\n"
		      "fi\n");
}
