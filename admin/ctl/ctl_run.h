/* SPDX-License-Identifier: Apache-2.0 */
/* One command of matrixctl: the question its row names, and the answer, printed. What of operands
 * and options does not stand in the row's path goes into the query of a GET or DELETE, and is a
 * member of the content of all others: "--full-name" is "full_name", one with "yes|no" a boolean,
 * one with "N" a number, one with "NAME,..." a list, REPO[@REV] "repo" and "revision".
 *
 * The shape of an answer is that of ctl_print.h for its members, then, each behind a ';', the name
 * of a list and the shape of its rows. */
#ifndef MATRIXFS_CTL_RUN_H
#define MATRIXFS_CTL_RUN_H

#include <stdio.h>

#include "admin/ctl/ctl_grammar.h"
#include "admin/ctl/ctl_hub.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/jwrite.h"

struct ctl {
	const struct ctl_line *line;
	struct ctl_hub hub;
	bool json;
	const struct ctl_table *table; /* all commands; borrowed */
	FILE *out, *err;               /* borrowed */
	bool tty;                      /* err is a terminal */
	bool coloured;                 /* out is to have colours */
	struct buf why;                /* a sentence for the user when something failed */
};

/* Runs the line's command. Negative with a sentence in c->why. */
MUST_USE int ctl_run(struct ctl *c);

/* --- for commands that do more than that */

/* Appends text with each {NAME} replaced by that operand or option, encoded for a path if so. */
MUST_USE int ctl_expand(const struct ctl *c, const char *text, bool encoded, struct buf *ret);
/* Appends the path, and for a GET or DELETE its query. */
MUST_USE int ctl_path(const struct ctl *c, struct buf *ret);
/* Writes the members of the content, into an open object. */
MUST_USE int ctl_members(const struct ctl *c, struct jwrite *w);
/* Asks, and parses the answer, owned. Errors: as ctl_hub_ask. */
MUST_USE int ctl_ask(struct ctl *c, const char *method, const char *path, const struct buf *json,
		     struct jdoc **ret);
/* Asks what the line's row does, with what the line says and one member more (name NULL: none). */
MUST_USE int ctl_post(struct ctl *c, const char *name, const char *value, struct jdoc **ret);
/* Prints an answer: by the shape, or as JSON if that is asked for. */
MUST_USE int ctl_show(struct ctl *c, const char *shape, const struct jval *answer);
/* Appends what ctl_show prints. */
MUST_USE int ctl_render(const struct ctl *c, const char *shape, const struct jval *answer,
			struct buf *ret);
/* Runs another row with the words of the line; its options are those of the line's command. */
MUST_USE int ctl_run_as(struct ctl *c, const struct ctl_verb *v);
/* Sleeps. */
void ctl_nap(int64_t ms);
/* Writes text to the output. */
MUST_USE int ctl_put(struct ctl *c, const struct buf *text);

#endif
