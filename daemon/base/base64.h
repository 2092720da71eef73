/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from Base64 (RFC 4648, 4), read as it comes. Strict: padded, no blanks, and the one text
 * that stands for those bytes. Zeroed memory is the beginning. Pure. */
#ifndef MATRIXFS_BASE64_H
#define MATRIXFS_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/base/own.h"

struct base64 {
	uint32_t bits; /* of the digits that are no whole group yet */
	uint8_t count; /* how many these are, with the padding */
	uint8_t pads;
};

/* At most so many bytes come of len digits. */
#define BASE64_BYTES(len) ((len) / 4 * 3 + 3)

/* The next digits; writes the bytes that are whole, and how many: at most BASE64_BYTES(len).
 * -EINVAL if that is no Base64. */
MUST_USE int base64_take(struct base64 *b, const char *text, size_t len, uint8_t *ret,
			 size_t *ret_len);
/* There are no more: -EINVAL if some are missing. */
MUST_USE int base64_end(const struct base64 *b);

#endif
