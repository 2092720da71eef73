/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/xdr.h"

#include <endian.h>
#include <string.h>

size_t xdr_padding(size_t len)
{
	return -len % XDR_UNIT;
}

const uint8_t *xdr_fixed(struct xdr_in *in, size_t len)
{
	const uint8_t *at = in->at;
	size_t whole = len + xdr_padding(len);

	if (in->bad || whole > in->left) {
		in->bad = true;
		return NULL;
	}
	in->at += whole;
	in->left -= whole;
	return at;
}

uint32_t xdr_u32(struct xdr_in *in)
{
	const uint8_t *at = xdr_fixed(in, sizeof(uint32_t));
	uint32_t v = 0;

	if (at)
		memcpy(&v, at, sizeof(v));
	return be32toh(v);
}

uint64_t xdr_u64(struct xdr_in *in)
{
	const uint8_t *at = xdr_fixed(in, sizeof(uint64_t));
	uint64_t v = 0;

	if (at)
		memcpy(&v, at, sizeof(v));
	return be64toh(v);
}

bool xdr_bool(struct xdr_in *in)
{
	uint32_t v = xdr_u32(in);

	if (v > 1)
		in->bad = true;
	return v == 1 && !in->bad;
}

const uint8_t *xdr_opaque(struct xdr_in *in, size_t max, size_t *ret_len)
{
	size_t len = xdr_u32(in);
	const uint8_t *at;

	if (len > max)
		in->bad = true;
	at = xdr_fixed(in, len);
	*ret_len = at ? len : 0;
	return at;
}

void xdr_put_u32(struct buf *b, uint32_t v)
{
	v = htobe32(v);
	buf_add(b, &v, sizeof(v));
}

void xdr_put_u64(struct buf *b, uint64_t v)
{
	v = htobe64(v);
	buf_add(b, &v, sizeof(v));
}

void xdr_put_fixed(struct buf *b, const void *data, size_t len)
{
	static const uint8_t zeros[XDR_UNIT];

	buf_add(b, data, len);
	buf_add(b, zeros, xdr_padding(len));
}

void xdr_put_opaque(struct buf *b, const void *data, size_t len)
{
	xdr_put_u32(b, (uint32_t)len);
	xdr_put_fixed(b, data, len);
}

void xdr_put_text(struct buf *b, const char *text)
{
	xdr_put_opaque(b, text, strlen(text));
}
