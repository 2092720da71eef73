/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/chunk.h"

uint32_t chunk_count(uint64_t size)
{
	return (uint32_t)((size + CHUNK_BYTES - 1) / CHUNK_BYTES);
}

uint32_t chunk_of(uint64_t off)
{
	return (uint32_t)(off / CHUNK_BYTES);
}

uint64_t chunk_start(uint32_t i)
{
	return i * CHUNK_BYTES;
}

uint64_t chunk_end(uint32_t i, uint64_t size)
{
	uint64_t end = chunk_start(i) + CHUNK_BYTES;

	return end < size ? end : size;
}

uint64_t chunk_floor(uint64_t off)
{
	return off - off % CHUNK_BYTES;
}

uint64_t chunk_ceil(uint64_t off, uint64_t size)
{
	uint64_t up = chunk_floor(off + CHUNK_BYTES - 1);

	return up < size ? up : size;
}
