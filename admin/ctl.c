/* SPDX-License-Identifier: Apache-2.0 */
/* matrixctl: asks and steers a matrixhubd over its admin API, or a matrixfs by its control
 * socket. */
#include <stdio.h>
#include <string.h>

#include "admin/ctl/ctl_run.h"
#include "admin/ctl/ctl_verbs.h"
#include "daemon/base/why.h"

#define EXIT_RUN 1   /* the hub refused it, or could not be asked */
#define EXIT_USAGE 2 /* bad command line or settings: nothing was done */

static int fail(const struct ctl_line *l, const struct buf *why, int r, int status)
{
	fprintf(stderr, "matrixctl: %s%s%s\n", l->verb ? l->verb->words : "", l->verb ? ": " : "",
		why->len ? buf_str(why) : err_text(r));
	return status;
}

static int print_and_exit(const struct ctl_line *l)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	if (l->action == CTL_HELP)
		ctl_help(&ctl_verbs, l->verb, &text);
	else
		buf_add_str(&text, "matrixctl " MATRIXFS_VERSION "\n");
	return fputs(buf_str(&text), stdout) < 0 || fflush(stdout) != 0 ? EXIT_RUN : 0;
}

static int open_hub(struct ctl *c)
{
	const struct ctl_line *l = c->line;
	const char *node = ctl_global(l, "node");

	if (!node && !ctl_asks_hubs(l->verb))
		return complain(&c->why,
				"This is asked of a matrixfs, not of a hub: --node=CACHE/control "
				"names it.");
	if (!node)
		return ctl_hub_open(ctl_global(l, "hub"), ctl_global(l, "token-file"), getenv,
				    &c->hub, &c->why);
	if (ctl_global(l, "hub"))
		return complain(&c->why, "--hub and --node name two to be asked: choose one.");
	if (!ctl_node_verb(l->verb))
		return complain(&c->why, "This is asked of a hub, and --node names a matrixfs.");
	return ctl_hub_open_node(node, &c->hub, &c->why);
}

/* Whoever stands on a node, and forgot to say so, asked a hub that is not there. */
static void hint_node(struct ctl *c, int r)
{
	if (r == ERR_UPSTREAM && !ctl_global(c->line, "node") && ctl_is_of_peers(c->line->verb))
		(void)complain(&c->why, " Or --node=CACHE/control names a matrixfs, to ask that.");
}

static int run(struct ctl_line *l)
{
	struct ctl c = { .line = l, .out = stdout, .err = stderr, .tty = isatty(2) };
	int status = 0, r;

	if (ctl_global(l, "node") && ctl_node_verb(l->verb))
		l->verb = ctl_node_verb(l->verb);
	c.json = ctl_global(l, "json") != NULL;
	r = open_hub(&c);
	if (r < 0) {
		status = fail(l, &c.why, r, EXIT_USAGE);
	} else {
		r = ctl_run(&c);
		hint_node(&c, r);
		if (r < 0)
			status = fail(l, &c.why, r, EXIT_RUN);
		ctl_hub_close(&c.hub);
	}
	buf_free(&c.why);
	return status;
}

int main(int argc, char *argv[])
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct ctl_line line;
	int r = ctl_parse(&ctl_verbs, argc, argv, &line, &why);

	if (r < 0)
		return fail(&line, &why, r, EXIT_USAGE);
	return line.action == CTL_RUN ? run(&line) : print_and_exit(&line);
}
