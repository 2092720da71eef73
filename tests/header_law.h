/* SPDX-License-Identifier: Apache-2.0 */
/* What every parser of a file's header must keep to, whatever it is given: the extents that come
 * out lie in the file, one after another; "more" is more than there was; of a part, the answer is
 * never another than of the whole. */
#ifndef MATRIXFS_TESTS_HEADER_LAW_H
#define MATRIXFS_TESTS_HEADER_LAW_H

#include "daemon/model/extents.h"

/* safetensors_parse() and gguf_parse(). */
typedef int (*header_parse_fn)(const void *data, size_t len, uint64_t size, struct extents *ret,
			       uint64_t *ret_need);

/* Asserts the law for the first bytes of a larger file. Threads: any. */
void header_law(header_parse_fn parse, const uint8_t *data, size_t len);

#endif
