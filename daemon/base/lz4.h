/* SPDX-License-Identifier: Apache-2.0 */
/* Door to liblz4: frames (lz4_Frame_format.md) into memory of a size that is known. Threads: one at
 * a time for each unpacker, which may take some MiB: clients say that their blocks are so large,
 * whatever they hold. */
#ifndef MATRIXFS_LZ4_H
#define MATRIXFS_LZ4_H

#include <stddef.h>

#include "daemon/base/own.h"

struct lz4; /* an unpacker, for one frame after another */

/* -ENOMEM. */
MUST_USE int lz4_new(struct lz4 **ret);
/* NULL is none. */
void lz4_free(struct lz4 *z);
/* Unpacks one whole frame, with nothing behind it, which must have exactly `want` bytes: no more
 * are ever written. -EBADMSG if it is none, or has another size; -ENOMEM. */
MUST_USE int lz4_unpack(struct lz4 *z, const void *packed, size_t len, void *ret, size_t want);

#endif
