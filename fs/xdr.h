/* SPDX-License-Identifier: Apache-2.0 */
/* XDR (RFC 4506), as far as RPC needs it: numbers of 32 and 64 bits, and opaque bytes. What is read
 * is borrowed from the input, never copied, and nothing is read beyond its end: then the input is
 * `bad`, all that is read from it is zero, and one question at the end is enough. Pure. */
#ifndef MATRIXFS_XDR_H
#define MATRIXFS_XDR_H

#include <stdbool.h>

#include "daemon/base/buf.h"

#define XDR_UNIT 4 /* all items are padded to a multiple of it */

struct xdr_in {
	const uint8_t *at;
	size_t left;
	bool bad;
};

/* The next number; a boolean that is neither 0 nor 1 is bad. */
uint32_t xdr_u32(struct xdr_in *in);
uint64_t xdr_u64(struct xdr_in *in);
bool xdr_bool(struct xdr_in *in);
/* The next len bytes / bytes of a length that stands before them, at most max. NULL if it is bad,
 * never otherwise. */
const uint8_t *xdr_fixed(struct xdr_in *in, size_t len);
const uint8_t *xdr_opaque(struct xdr_in *in, size_t max, size_t *ret_len);
/* The bytes that padding adds to len bytes. */
size_t xdr_padding(size_t len);

/* Append the same to an output; as buf_add. */
void xdr_put_u32(struct buf *b, uint32_t v);
void xdr_put_u64(struct buf *b, uint64_t v);
void xdr_put_fixed(struct buf *b, const void *data, size_t len);
void xdr_put_opaque(struct buf *b, const void *data, size_t len);
void xdr_put_text(struct buf *b, const char *text);

#endif
