/* SPDX-License-Identifier: Apache-2.0 */
/* Door to OpenSSL and xxHash. Identity is always a SHA: SHA-256 of the bytes for LFS files, and
 * the git blob id (SHA-1 of "blob <size>\0" and the bytes) for all others. XXH3 only finds torn
 * writes. */
#ifndef MATRIXFS_DIGEST_H
#define MATRIXFS_DIGEST_H

#include <stdbool.h>
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

/* The same of bytes that are all there. */
MUST_USE int digest_of(enum digest_kind kind, const void *data, size_t len, uint8_t *ret);

/* The id git gives an object: SHA-1 of "<type> <len>\0" and the bytes ("tree", "commit"). */
MUST_USE int digest_git_object(const char *type, const void *data, size_t len,
			       uint8_t ret[static 20]);

/* HMAC-SHA256 (RFC 2104) of bytes under a key. -EIO if the library refuses. */
MUST_USE int digest_hmac(const void *key, size_t key_len, const void *data, size_t len,
			 uint8_t ret[static 32]);

/* True if both are the same; the time it takes does not tell where they differ. */
bool digest_same(const uint8_t *a, const uint8_t *b, size_t len);

/* XXH3-64 of bytes; never 0 (0 means "absent" in chunk maps). */
uint64_t xxh3_of(const void *data, size_t len);
/* The same, running. new/reset begin; value may be asked at any time. */
MUST_USE int xxh3_new(struct xxh3 **ret);
void xxh3_reset(struct xxh3 *x);
void xxh3_update(struct xxh3 *x, const void *data, size_t len);
uint64_t xxh3_value(const struct xxh3 *x);
void xxh3_free(struct xxh3 *x);

#endif
