/* SPDX-License-Identifier: Apache-2.0 */
/* What matrixfs is told: its options, and the files they name, as far as these can be looked at
 * without doing anything. Threads: the owner's. */
#ifndef MATRIXFS_SETTINGS_H
#define MATRIXFS_SETTINGS_H

#include "daemon/node.h"
#include "fs/options.h"

struct settings {
	struct options options;
	char *tokens[NODE_HUBS_MAX];
	struct node_hub hubs[NODE_HUBS_MAX]; /* with them; borrowed */
	unsigned hub_count;
};

/* The hubs with their tokens, by the options. ERR_CONF with a sentence in why; -ENOMEM. */
MUST_USE int settings_find_tokens(struct settings *s, struct buf *why);
/* They are wiped; the hubs stay, without them. */
void settings_forget_tokens(struct settings *s);
/* Looks at all that can be known to be wrong: tokens, the key of the cluster and that of NFS, the
 * certificates of peers. ERR_CONF and the like with a sentence in why. */
MUST_USE int settings_check(struct settings *s, struct buf *why);
/* Parses all anew, and checks it. Likewise. */
MUST_USE int settings_read(struct settings *s, int argc, char *const argv[], struct buf *why);
void settings_fini(struct settings *s);

#endif
