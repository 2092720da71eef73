/* SPDX-License-Identifier: Apache-2.0 */
/* What members of the cluster get of this hub: bytes of any blob that they name by its digest and
 * size, be it of an upstream or hosted here. The rules about upstreams hold for them, too, and each
 * file that goes out is in the audit trail, as a download. Threads: any. */
#ifndef MATRIXFS_GIFTS_H
#define MATRIXFS_GIFTS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "daemon/model/repo_id.h"
#include "daemon/peer/peer_host.h"

struct server;

struct gifts {
	struct peer_host host;
	struct server *server; /* borrowed */
	atomic_bool begun;
};

/* Nothing is given before gifts_begin, when all of the server is there. */
void gifts_init(struct gifts *g, struct server *s);
void gifts_begin(struct gifts *g);

/* True if that file of an upstream may be brought, by the rules there are now: they may have been
 * read again since its blob was first asked for. `arg` is the server. */
bool gifts_may_be_brought(void *arg, const struct repo_id *id, const char *path);

#endif
