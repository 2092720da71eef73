/* SPDX-License-Identifier: Apache-2.0 */
/* Door to libzstd: texts for clients that take zstd (RFC 8878). Pure. */
#ifndef MATRIXFS_ZSTD_H
#define MATRIXFS_ZSTD_H

#include <stddef.h>

#include "daemon/base/own.h"

/* The bytes as a zstd frame, owned; the same each time. 0 or -ENOMEM. */
MUST_USE int zstd_pack(const void *data, size_t len, void **ret, size_t *ret_len);

#endif
