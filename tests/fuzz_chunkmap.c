/* SPDX-License-Identifier: Apache-2.0 */
/* Input: the chunk map of a blob, after a kill. Its bytes are zeros, so no chunk may count as
 * present but by the right sum, and what the store counts is what it says of each chunk. */
#include "daemon/cache/store.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/file.h"
#include "daemon/cache/chunk.h"
#include "tests/workdir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define ETAG "aabbccddeeff00112233445566778899aabbccdd"
#define SIZE ((uint64_t)2 * CHUNK_BYTES + 100)
#define CHUNKS 3

static struct workdir dir;
static struct store *store;

static void end(void)
{
	store_close(store);
	workdir_fini(&dir);
}

static void begin(void)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	int r;

	workdir_init(&dir);
	r = store_open(dir.path, "fuzz", &store, &why);
	assert(r == 0);
	r = mkdirat(dir.dirfd, "blobs/aa", 0700);
	assert(r == 0);
	atexit(end);
}

static void put_files(const uint8_t *map, size_t len)
{
	int fd = openat(dir.dirfd, "blobs/aa/" ETAG, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int r = fd < 0 ? -1 : ftruncate(fd, (off_t)SIZE);

	assert(r == 0);
	close(fd);
	/* Not emptied first: for a file that is written anew so, ext4 waits for the disk. */
	fd = openat(dir.dirfd, "blobs/aa/" ETAG ".map", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	r = fd < 0 ? -1 : file_pwrite(fd, map, len, 0);
	assert(r == 0);
	r = ftruncate(fd, (off_t)len);
	assert(r == 0);
	close(fd);
}

static void check_chunk(struct blob *b, uint32_t i, uint64_t *present)
{
	uint64_t bytes = chunk_end(i, SIZE) - chunk_start(i);
	bool may = blob_may_have(b, i), has = blob_has(b, i);

	assert(may || !has);
	assert(blob_has(b, i) == has);
	assert(blob_may_have(b, i) == has);
	if (has)
		*present += bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct blob *b = NULL;
	uint64_t present = 0;
	int r;

	if (!store)
		begin();
	put_files(data, len);
	r = store_blob(store, ETAG, SIZE, false, &b);
	assert(r == 0 && !blob_is_sealed(b));
	assert(blob_present_bytes(b) <= SIZE);
	for (uint32_t i = 0; i < CHUNKS; i++)
		check_chunk(b, i, &present);
	assert(blob_present_bytes(b) == present);
	r = blob_drop(b);
	assert(r == 0 && blob_present_bytes(b) == 0);
	blob_unref(b);
	return 0;
}
