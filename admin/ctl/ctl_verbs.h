/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of matrixctl. */
#ifndef MATRIXFS_CTL_VERBS_H
#define MATRIXFS_CTL_VERBS_H

#include "admin/ctl/ctl_grammar.h"

extern const struct ctl_table ctl_verbs;

/* How a matrixfs is asked the same: by this row or another one; NULL: it does not answer it. */
const struct ctl_verb *ctl_node_verb(const struct ctl_verb *v);
/* True if it is about peers, which are a matrixfs's rather than a hub's. */
bool ctl_is_of_peers(const struct ctl_verb *v);
/* The value of one of the options all commands have, NULL if it was not given. */
const char *ctl_global(const struct ctl_line *l, const char *name);

#endif
