/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a GGUF file: key/values (the vocabulary among them, so it is megabytes), then where
 * each tensor begins. Versions 2 and 3, little-endian. Format:
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Pure. */
#ifndef MATRIXFS_GGUF_H
#define MATRIXFS_GGUF_H

#include "daemon/model/extents.h"

#define GGUF_HEADER_MAX (UINT64_C(32) << 20)

/* Reads the header in the first len bytes of a file of that size. 0 with the extents, which the
 * caller frees; EXTENTS_MORE with the least number of bytes from the file's start that the next
 * call needs (more may turn out to be needed then); ERR_PROTO (not such a file, or it
 * contradicts itself), ERR_FORMAT (another version), -EFBIG (too large to be worth it), -ENOMEM.
 *
 * A tensor's extent ends where the next begins: the file holds them one after another, padded to
 * the alignment. So the sizes of quantised types, of which new ones come every year and forks
 * give the same number different meanings, need not be known. */
MUST_USE int gguf_parse(const void *data, size_t len, uint64_t size, struct extents *ret,
			uint64_t *ret_need);

/* What the header says of the model. */
struct gguf_facts {
	char architecture[64];   /* "" if it is not said */
	uint64_t context_length; /* 0: not said */
	uint64_t total;          /* numbers in all tensors */
};

/* The same reading, for that: 0, or what gguf_parse says; ERR_PROTO also if there are more numbers
 * than can be counted. */
MUST_USE int gguf_describe(const void *data, size_t len, uint64_t size, struct gguf_facts *ret,
			   uint64_t *ret_need);

#endif
