/* SPDX-License-Identifier: Apache-2.0 */
/* Door to OpenSSL and xxHash. Identity is always a SHA: SHA-256 of the bytes for LFS files, and
 * the git blob id (SHA-1 of "blob <size>\0" and the bytes) for all others. XXH3 only finds torn
 * writes. */
#ifndef MATRIXFS_DIGEST_H
#define MATRIXFS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/base/own.h"

enum digest_kind { DIGEST_GIT_SHA1 = 1, DIGEST_SHA256 = 2 };

#define DIGEST_BYTES_MAX 32
#define DIGEST_HEX_MAX 64 /* without the NUL */

struct digest; /* a running digest; one thread at a time */
struct xxh3;   /* a running XXH3-64 */

/* Bytes of a kind's value: 20 or 32. */
size_t digest_size(enum digest_kind kind);
/* Starts a digest of a file of size bytes. 0, -ENOMEM, or -EIO if the library refuses. */
MUST_USE int digest_new(enum digest_kind kind, uint64_t size, struct digest **ret);
MUST_USE int digest_update(struct digest *d, const void *data, size_t len);
/* Writes digest_size() bytes and ends the digest (free it still). */
MUST_USE int digest_final(struct digest *d, uint8_t *ret);
void digest_free(struct digest *d);
void digest_freep(struct digest **d);

/* XXH3-64 of bytes; never 0 (0 means "absent" in chunk maps). */
uint64_t xxh3_of(const void *data, size_t len);
/* The same, running. new/reset begin; value may be asked at any time. */
MUST_USE int xxh3_new(struct xxh3 **ret);
void xxh3_reset(struct xxh3 *x);
void xxh3_update(struct xxh3 *x, const void *data, size_t len);
uint64_t xxh3_value(const struct xxh3 *x);
void xxh3_free(struct xxh3 *x);

#endif
