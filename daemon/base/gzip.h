/* SPDX-License-Identifier: Apache-2.0 */
/* Door to zlib: texts for clients that take gzip (RFC 1952). Pure. */
#ifndef MATRIXFS_GZIP_H
#define MATRIXFS_GZIP_H

#include <stddef.h>

#include "daemon/base/own.h"

/* The bytes as a gzip file, owned; the same each time. 0 or -ENOMEM. */
MUST_USE int gzip_pack(const void *data, size_t len, void **ret, size_t *ret_len);

#endif
