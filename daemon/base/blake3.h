/* SPDX-License-Identifier: Apache-2.0 */
/* Door to the BLAKE3 library: keyed digests, by which Xet stores name what they hold. Identity of
 * files stays a SHA (digest.h). Pure. */
#ifndef MATRIXFS_BLAKE3_H
#define MATRIXFS_BLAKE3_H

#include <stddef.h>
#include <stdint.h>

#define BLAKE3_BYTES 32 /* of a key, and of a digest */

/* The digest of bytes that are all there, under a key. */
void blake3_keyed(const uint8_t key[static BLAKE3_BYTES], const void *data, size_t len,
		  uint8_t ret[static BLAKE3_BYTES]);

#endif
