/* SPDX-License-Identifier: Apache-2.0 */
/* Which format a cache directory has. Its version file says so for people and for those who have
 * no index; the index says so, too, and there a sum tells a wrong number from a right one. So the
 * index is asked when the file says anything but our version, and a file that was damaged is
 * written anew. Rules and upgrades: docs/formats.md. One process, one thread. */
#ifndef MATRIXFS_FORMAT_H
#define MATRIXFS_FORMAT_H

#include "daemon/base/buf.h"

#define FORMAT_VERSION 2 /* of the cache directory */
/* In this table of the index stand, each as a u32, the format of the directory and its own. */
#define FORMAT_TABLE "meta"
#define FORMAT_KEY_CACHE "cache"
#define FORMAT_KEY_INDEX "version"

/* Before anything is made in an existing directory: ERR_FORMAT with a sentence in why if a version
 * file in it is not ours, nor anything else. */
MUST_USE int format_refuse_foreign(int dirfd, const char *dir, struct buf *why);
/* Under the cache's lock: makes the directory one of our version: a new one, an older one, or one
 * whose version file was damaged. ERR_FORMAT with a sentence in why if it is a newer one. */
MUST_USE int format_check(int dirfd, const char *dir, struct buf *why);
/* The sentence for a newer one, and ERR_FORMAT. */
int format_refuse_newer(const char *what, const char *dir, unsigned version, unsigned known,
			struct buf *why);

#endif
