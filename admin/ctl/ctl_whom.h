/* SPDX-License-Identifier: Apache-2.0 */
/* Who is asked a command: a hub, the matrixfs of this machine, either of them, or nobody. */
#ifndef MATRIXFS_CTL_WHOM_H
#define MATRIXFS_CTL_WHOM_H

#include "admin/ctl/ctl_grammar.h"

enum ctl_whom {
	CTL_HUB,    /* the default */
	CTL_NODE,   /* it is about a mount */
	CTL_EITHER, /* both answer it */
	CTL_RATHER, /* likewise, and it is about this machine first */
	CTL_NOBODY, /* it asks by itself, if at all */
};

/* Who may be asked it. */
enum ctl_whom ctl_whom(const struct ctl_verb *v);
/* Who is, of a command that both answer: CTL_HUB or CTL_NODE. An option decides; else
 * MATRIXHUB_URL, then MATRIXFS_NODE; else a matrixfs, if one runs where it does by default. Of
 * CTL_RATHER MATRIXHUB_URL counts where no matrixfs runs and MATRIXFS_NODE names none, and without
 * it a matrixfs is asked. getenv_fn is getenv, or a test's. */
enum ctl_whom ctl_whom_chosen(enum ctl_whom whom, const char *hub, const char *node,
			      char *(*getenv_fn)(const char *));
/* The control socket: of what --node says (NULL: MATRIXFS_NODE, else the default cache), which may
 * be the directory of the cache. */
MUST_USE int ctl_whom_socket(const char *node, char *(*getenv_fn)(const char *), struct buf *ret);

#endif
