/* SPDX-License-Identifier: Apache-2.0 */
/* matrixctl: asks and steers a matrixhubd over its admin API, or a matrixfs by its control
 * socket. */
#include <stdio.h>
#include <string.h>

#include "admin/ctl/ctl_run.h"
#include "admin/ctl/ctl_style.h"
#include "admin/ctl/ctl_verbs.h"
#include "admin/ctl/ctl_whom.h"
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

static int open_node(struct ctl *c)
{
	CLEANUP(buf_free) struct buf socket = { 0 };
	int r = ctl_whom_socket(ctl_global(c->line, "node"), getenv, &socket);

	return r < 0 ? r : ctl_hub_open_node(buf_str(&socket), &c->hub, &c->why);
}

/* Opens who is asked. */
static int open_asked(struct ctl *c)
{
	const struct ctl_line *l = c->line;
	const char *node = ctl_global(l, "node"), *hub = ctl_global(l, "hub");
	enum ctl_whom whom = ctl_whom(l->verb);

	if (whom == CTL_NOBODY)
		return 0;
	if (whom == CTL_EITHER || whom == CTL_RATHER)
		whom = ctl_whom_chosen(whom, hub, node, getenv);
	if (hub && node)
		return complain(&c->why, "--hub and --node name two to be asked: choose one.");
	if (whom == CTL_NODE && hub)
		return complain(&c->why,
				"This is asked of a matrixfs, not of a hub: --node=CACHE/control "
				"names it.");
	if (whom == CTL_HUB && node)
		return complain(&c->why, "This is asked of a hub, and --node names a matrixfs.");
	if (whom == CTL_NODE)
		return open_node(c);
	return ctl_hub_open(hub, ctl_global(l, "token-file"), getenv, &c->hub, &c->why);
}

/* Whoever stands on a node, and forgot to say so, asked a hub that is not there. */
static void hint_node(struct ctl *c, int r)
{
	if (r == ERR_UPSTREAM && !c->hub.socket && ctl_is_of_peers(c->line->verb))
		(void)complain(&c->why, " Or --node=CACHE/control names a matrixfs, to ask that.");
}

static int run(struct ctl_line *l)
{
	struct ctl c = {
		.line = l,
		.table = &ctl_verbs,
		.out = stdout,
		.err = stderr,
		.tty = isatty(2),
	};
	int status = 0, r;

	c.json = ctl_global(l, "json") != NULL;
	c.coloured = ctl_style_wanted(1, getenv);
	r = open_asked(&c);
	if (r < 0) {
		status = fail(l, &c.why, r, EXIT_USAGE);
	} else {
		if (c.hub.socket)
			l->verb = ctl_node_verb(l->verb);
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
