/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/lz4.h"

#include <errno.h>
#include <lz4frame.h>
#include <string.h>

/* The library tells its errors apart by their names alone. */
#define NO_MEMORY "ERROR_allocation_failed"

struct lz4 {
	LZ4F_dctx *ctx;
};

int lz4_new(struct lz4 **ret)
{
	struct lz4 *z = calloc(1, sizeof(*z));

	if (!z)
		return -ENOMEM;
	if (LZ4F_isError(LZ4F_createDecompressionContext(&z->ctx, LZ4F_VERSION))) {
		free(z);
		return -ENOMEM;
	}
	*ret = z;
	return 0;
}

void lz4_free(struct lz4 *z)
{
	if (!z)
		return;
	LZ4F_freeDecompressionContext(z->ctx);
	free(z);
}

/* 0 at the end of the frame, 1 if it wants more bytes, or more room. */
static int step(struct lz4 *z, const char **from, size_t *len, char **to, size_t *room)
{
	size_t taken = *len, made = *room, r;

	r = LZ4F_decompress(z->ctx, *to, &made, *from, &taken, NULL);
	if (LZ4F_isError(r))
		return strcmp(LZ4F_getErrorName(r), NO_MEMORY) ? -EBADMSG : -ENOMEM;
	if (r && !taken && !made)
		return -EBADMSG;
	*from += taken;
	*len -= taken;
	*to += made;
	*room -= made;
	return r ? 1 : 0;
}

int lz4_unpack(struct lz4 *z, const void *packed, size_t len, void *ret, size_t want)
{
	const char *from = packed;
	char *to = ret;
	size_t room = want;
	int r = len ? 1 : -EBADMSG;

	LZ4F_resetDecompressionContext(z->ctx);
	while (r == 1)
		r = step(z, &from, &len, &to, &room);
	if (r < 0)
		return r;
	return len || room ? -EBADMSG : 0;
}
