/* SPDX-License-Identifier: Apache-2.0 */
/* Byte ranges of a request (RFC 9110 §14). Pure. */
#ifndef MATRIXFS_RANGE_H
#define MATRIXFS_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/own.h"

/* More are answered as if none had been asked for: attacks or mistakes (RFC 9110 §17.15). */
#define RANGES_MAX 16

struct range {
	uint64_t from, to; /* [from, to) */
};

struct ranges {
	unsigned count;
	struct range at[RANGES_MAX];
};

/* The ranges of a Range field that lie in a file of that size, in the order asked; overlapping ones
 * are made one. 0 with count 0 where the whole file is to be sent: no field, not of bytes,
 * malformed. -ERANGE: none of them lies in the file. */
MUST_USE int ranges_parse(const char *text, uint64_t size, struct ranges *ret);

/* Several are sent as parts of a body of that type (RFC 9110 §14.6): what stands in front of the
 * bytes of each, owned, or NULL: no memory; and behind the last. */
#define RANGE_BOUNDARY "matrixhubd-7d1f3a9c5b2e4860"
#define RANGE_PARTS_TYPE "multipart/byteranges; boundary=" RANGE_BOUNDARY
#define RANGE_PARTS_END "\r\n--" RANGE_BOUNDARY "--\r\n"
char *range_part_head(const struct range *r, uint64_t size, bool first);

#endif
