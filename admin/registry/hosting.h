/* SPDX-License-Identifier: Apache-2.0 */
/* How the node learns of the repositories that are hosted here: what the registry has, behind its
 * interface. Threads: any. */
#ifndef MATRIXFS_HOSTING_H
#define MATRIXFS_HOSTING_H

#include "admin/db.h"
#include "daemon/names/hosted.h"

/* The db is borrowed as long as it is used. */
struct hosted hosting_of(struct db *db);

#endif
