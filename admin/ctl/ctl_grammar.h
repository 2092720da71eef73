/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of matrixctl's command line, by one table: a row a command makes what is parsed, what
 * the hub is asked, the --help, and what docs/matrixctl.1 is compared with. No value is looked
 * into, but that one of few words is one of them, and a number one. Pure. */
#ifndef MATRIXFS_CTL_GRAMMAR_H
#define MATRIXFS_CTL_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/base/buf.h"

#define CTL_OPERANDS_MAX 4
#define CTL_OPTIONS_MAX 12

struct ctl;

struct ctl_option {
	const char *name; /* without "--" */
	/* What the help calls its value ("FILE"; "N" is a whole number, "NAME,..." a list), or the
	 * words it may be ("read|write"); NULL: it has none. */
	const char *arg;
	const char *doc;
	bool needed;
	bool ours; /* it steers matrixctl, and is not told to the hub */
};

struct ctl_verb {
	/* "org member add". One that others begin with has neither operands nor options. */
	const char *words;
	const char *operands;             /* "ORG USER", "" for none; "[X]" may be left out */
	const struct ctl_option *options; /* ends with a row without name; may be NULL */
	const char *doc;
	/* The question to the hub: {NAME} in the path is the operand or option of that name. */
	const char *method, *path;
	const char *shape; /* how the answer is printed: see ctl_run.h; NULL: `done` is */
	const char *done;
	int (*run)(struct ctl *c); /* what is more than that, or NULL; see ctl_run.h */
};

struct ctl_table {
	const struct ctl_option *globals; /* at any place */
	const struct ctl_verb *verbs;
	size_t count;
};

enum ctl_action { CTL_RUN, CTL_HELP, CTL_VERSION };

/* Borrows from argv. */
struct ctl_line {
	enum ctl_action action;
	const struct ctl_verb *verb; /* NULL: none was named (help, version) */
	const char *operands[CTL_OPERANDS_MAX];
	unsigned operand_count;
	/* In the order of the table; NULL: not given; "" for one without value that is. */
	const char *globals[CTL_OPTIONS_MAX], *options[CTL_OPTIONS_MAX];
};

/* Parses into *ret. ERR_CONF with a sentence in why. */
MUST_USE int ctl_parse(const struct ctl_table *t, int argc, char *const argv[],
		       struct ctl_line *ret, struct buf *why);
/* The value of an option of the line's command, NULL if it was not given. */
const char *ctl_option(const struct ctl_line *l, const char *name);
/* The value of an option that stands at any place, likewise. */
const char *ctl_global_of(const struct ctl_table *t, const struct ctl_line *l, const char *name);
/* The operand of that name ("REPO" also finds "REPO[@REV]"), likewise. */
const char *ctl_operand(const struct ctl_line *l, const char *name);
/* Appends how a command may go on that begins like this ("user"; "": at all): "add, list, info"
 * with ", " between. */
void ctl_list_next(const struct ctl_table *t, const char *words, const char *between,
		   struct buf *ret);
/* The option of that name, which has len bytes, or NULL. */
const struct ctl_option *ctl_find_option(const struct ctl_option *o, const char *name, size_t len);
/* Appends the text of --help: of one command, or (NULL) of all. */
void ctl_help(const struct ctl_table *t, const struct ctl_verb *v, struct buf *ret);

#endif
