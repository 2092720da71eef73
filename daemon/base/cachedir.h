/* SPDX-License-Identifier: Apache-2.0 */
/* Which directory a cache is in if nobody says: who serves it and who asks for it agree. Pure. */
#ifndef MATRIXFS_CACHEDIR_H
#define MATRIXFS_CACHEDIR_H

#include <stdbool.h>

#include "daemon/base/buf.h"

#define CACHEDIR "/var/cache/matrixfs"

/* Appends it: root's is CACHEDIR, another user's lies in $XDG_CACHE_HOME or ~/.cache; nothing for
 * one who has neither. getenv_fn is getenv, or a test's. 0 or -ENOMEM. */
MUST_USE int cachedir_default(bool is_root, char *(*getenv_fn)(const char *), struct buf *ret);

#endif
