/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a safetensors file: eight bytes of length, then JSON that says where each tensor
 * lies. Format: https://github.com/huggingface/safetensors#format. Pure. */
#ifndef MATRIXFS_SAFETENSORS_H
#define MATRIXFS_SAFETENSORS_H

#include "daemon/model/extents.h"

#define SAFETENSORS_HEADER_MAX (UINT64_C(16) << 20) /* the format allows 100 MB */

/* Reads the header in the first len bytes of a file of that size. 0 with the extents, which the
 * caller frees; EXTENTS_MORE with the number of bytes from the file's start that the next call
 * needs; ERR_PROTO (not such a file, or its offsets lie), -EFBIG (too large to be worth it),
 * -ENOMEM. */
MUST_USE int safetensors_parse(const void *data, size_t len, uint64_t size, struct extents *ret,
			       uint64_t *ret_need);

#define SAFETENSORS_DTYPES 32 /* that are told apart; the format has about twenty */

/* How many numbers there are of each type, as "BF16". Zeroed memory is none. */
struct safetensors_counts {
	struct safetensors_dtype {
		char name[16];
		uint64_t numbers;
	} list[SAFETENSORS_DTYPES];
	size_t count;
};

/* Adds those of a file whose first len bytes hold its header. ERR_PROTO: it is none, or has too
 * many; then some of them may have been added. */
MUST_USE int safetensors_count(const void *data, size_t len, struct safetensors_counts *counts);
/* Adds counts to others; ERR_PROTO: there are too many, and none was added. */
MUST_USE int safetensors_add(const struct safetensors_counts *more,
			     struct safetensors_counts *counts);
uint64_t safetensors_total(const struct safetensors_counts *counts);

#endif
