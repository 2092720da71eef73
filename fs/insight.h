/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket asks of the mount. No FUSE in here. Threads: any. */
#ifndef MATRIXFS_INSIGHT_H
#define MATRIXFS_INSIGHT_H

#include "daemon/control/control.h"
#include "fs/nfs_clients.h"
#include "fs/op.h"

/* Fills a face that looks at these requests and clients, NULL if there are none by NFS; all are
 * borrowed as long as it is used. */
void insight_face(struct ops *ops, const char *mountpoint, struct nfs_clients *clients,
		  struct control_face *ret);

#endif
