/* SPDX-License-Identifier: Apache-2.0 */
/* Examples, and what hf_xet 1.8.0 of huggingface_hub 2.4.0 made of them: taken down between it and
 * a hub while it uploaded them. How it cuts files into chunks nobody here has to know. */
#ifndef MATRIXFS_XET_VECTORS_H
#define MATRIXFS_XET_VECTORS_H

#include <stdbool.h>

#include "daemon/base/buf.h"

#define XET_VECTORS_BYTES 400000
#define XET_VECTORS_CHUNKS 5
#define XET_VECTORS_FIRST \
	"9f3c12a561800c43249a1f73dd1e58fda1658dd7350157578bfd8431d9c01985" /* chunk */
#define XET_VECTORS_XORB "24910c9b25a7412242bb856c0c755a7995759cc1e10cc954ae8fdbcd01d6337b"
#define XET_VECTORS_FILE "414ddc389960900d49061dc3fd3b411ca952639252b4d1e12fb9dea02bf3d1be"
#define XET_VECTORS_RANGE "c2a7cc07b548ae52f6b279eca7971b5b603cfdd2f98b860948d44f2edc7f249f"
#define XET_VECTORS_SHA256 "aab1033573033b54e78a0b1bf64102eb1d8f5a0f4fbf9c386085e5cb5f0ca241"

/* Bytes of each chunk. */
extern const uint32_t xet_vectors_lengths[XET_VECTORS_CHUNKS];
/* The bytes of the file; owned. */
uint8_t *xet_vectors_data(void);
/* The shard that was sent, appended. */
void xet_vectors_shard(struct buf *ret);

/* A xorb of three chunks, appended, one of which is packed, or, grouped, two are (as with
 * HF_XET_DATA_XORB_COMPRESSION_POLICY=bg4-lz4); and the bytes of its files, which are its chunks.
 * Its name. */
const char *xet_vectors_xorb(bool grouped, struct buf *ret, struct buf *ret_raw);

#endif
