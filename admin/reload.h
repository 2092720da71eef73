/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration, read again while the hub runs. */
#ifndef MATRIXFS_RELOAD_H
#define MATRIXFS_RELOAD_H

#include "admin/hubconf.h"
#include "admin/server.h"

struct tls;

struct reload {
	int argc;
	char *const *argv;
	struct hubconf *conf; /* what it runs with */
	struct server *server;
	struct tls *tls; /* or NULL */
};

/* Looks at the files that a configuration names, as far as they can be known to be wrong. Sentences
 * in why. */
MUST_USE int reload_check(const struct hubconf *c, struct buf *why);
/* Reads configuration and the files it names again, and goes on with what can change while it runs;
 * the log tells what cannot. If something is wrong with them, the log has a sentence and all stays
 * as it was. One thread. */
void reload_now(struct reload *r);

#endif
