/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/chunkmap.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/cache/chunk.h"

#define MAGIC "MFSMAP1"

struct head {
	char magic[8];
	uint32_t chunk_bytes;
	uint32_t zero;
	uint64_t size;
};
_Static_assert(sizeof(struct head) == 24, "on-disk size");

static uint64_t entry_off(uint32_t i)
{
	return sizeof(struct head) + (uint64_t)i * sizeof(uint64_t);
}

int chunkmap_make(int fd, uint64_t size)
{
	struct head h = {
		.magic = MAGIC,
		.chunk_bytes = htole32((uint32_t)CHUNK_BYTES),
		.size = htole64(size),
	};

	if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)entry_off(chunk_count(size))) < 0)
		return -errno;
	return file_pwrite(fd, &h, sizeof(h), 0);
}

static bool head_fits(int fd, uint64_t size)
{
	struct head h;

	return file_pread(fd, &h, sizeof(h), 0) == 0 &&
	       memcmp(h.magic, MAGIC, sizeof(h.magic)) == 0 &&
	       le32toh(h.chunk_bytes) == CHUNK_BYTES && le64toh(h.size) == size;
}

int chunkmap_load(int fd, uint64_t size, uint64_t *ret)
{
	uint32_t count = chunk_count(size);

	if (!head_fits(fd, size) || file_pread(fd, ret, count * sizeof(*ret), entry_off(0)) < 0)
		return ERR_CORRUPT;
	for (uint32_t i = 0; i < count; i++)
		ret[i] = le64toh(ret[i]);
	return 0;
}

int chunkmap_put(int fd, uint32_t i, uint64_t sum)
{
	uint64_t raw = htole64(sum);

	return file_pwrite(fd, &raw, sizeof(raw), entry_off(i));
}

uint64_t chunkmap_present(int fd, uint64_t size)
{
	CLEANUP(freep) uint64_t *sums = calloc(chunk_count(size) + 1, sizeof(*sums));
	uint64_t present = 0;

	if (!sums || chunkmap_load(fd, size, sums) < 0)
		return 0;
	for (uint32_t i = 0; i < chunk_count(size); i++)
		present += sums[i] ? chunk_end(i, size) - chunk_start(i) : 0;
	return present;
}
