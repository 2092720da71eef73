/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/zstd.h"

#include <errno.h>
#include <zstd.h>

#define LEVEL 6 /* packed once, sent often; higher ones want more memory for little */

int zstd_pack(const void *data, size_t len, void **ret, size_t *ret_len)
{
	size_t room = ZSTD_compressBound(len), n;
	CLEANUP(freep) void *to = malloc(room);

	n = to ? ZSTD_compress(to, room, data, len, LEVEL) : 0;
	if (!to || ZSTD_isError(n))
		return -ENOMEM;
	*ret = realloc(to, n); /* never larger */
	if (!*ret)
		return -ENOMEM;
	steal(to);
	*ret_len = n;
	return 0;
}
