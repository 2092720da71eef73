/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/gzip.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <zlib.h>

#define WINDOW_GZIP (MAX_WBITS + 16) /* a gzip file, not a zlib stream: see zlib.h */
#define MEMORY_LEVEL 8               /* zlib's default */

/* 0 if all went in; *ret_len: bytes that came out. */
static int pack(z_stream *z, void *to, size_t room, size_t *ret_len)
{
	z->next_out = to;
	z->avail_out = (uInt)room;
	if (deflate(z, Z_FINISH) != Z_STREAM_END)
		return -ENOMEM;
	*ret_len = z->total_out;
	return 0;
}

int gzip_pack(const void *data, size_t len, void **ret, size_t *ret_len)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)len };
	CLEANUP(freep) void *to = NULL;
	size_t room;
	int r = -ENOMEM;

	if (len > UINT_MAX / 2 || deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_GZIP,
					       MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	room = deflateBound(&z, (uLong)len);
	to = malloc(room);
	if (to)
		r = pack(&z, to, room, ret_len);
	deflateEnd(&z);
	if (r < 0)
		return r;
	*ret = realloc(to, *ret_len); /* never larger */
	if (!*ret)
		return -ENOMEM;
	steal(to);
	return 0;
}
