/* SPDX-License-Identifier: Apache-2.0 */
/* What a copy of the data needs while the hub runs: first a copy of the rows, of one moment, in
 * DATA/backup/hub; and from before that moment on no blob is collected, so that all the rows name
 * can be copied after them, in any order and as long as it takes. Threads: one at a time. */
#ifndef MATRIXFS_BACKUP_H
#define MATRIXFS_BACKUP_H

#include <stdint.h>

#include "admin/server.h"

#define BACKUP_HOLD_S 86400 /* then blobs are collected again, whoever copies still */

/* Makes the copy anew; appends where it is, and tells until when nothing is collected. The disk's
 * errors. */
MUST_USE int backup_begin(struct server *s, struct buf *ret_dir, int64_t *ret_until_s);
/* All has been copied: the copy of the rows goes. To end what has not begun is no failure. */
MUST_USE int backup_end(struct server *s);

#endif
