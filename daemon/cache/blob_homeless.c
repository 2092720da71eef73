/* SPDX-License-Identifier: Apache-2.0 */
/* A blob for whose files the disk has no room. It is open like any other, so that its readers can
 * be served past the cache, but what stands in for its files is empty memory. When the disk has
 * room again the files take the places of the descriptors and of the mapping: until then no chunk
 * was there, so nobody has looked at either. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/base/file.h"
#include "daemon/cache/chunkmap.h"
#include "daemon/cache/store_priv.h"

static int make_stand_ins(struct blob *b)
{
	b->fd = memfd_create("matrixfs-homeless", MFD_CLOEXEC);
	b->mapfd = memfd_create("matrixfs-homeless", MFD_CLOEXEC);
	if (b->fd < 0 || b->mapfd < 0 || ftruncate(b->fd, (off_t)b->size) < 0)
		return -errno;
	return chunkmap_make(b->mapfd, b->size);
}

int blob_open_homeless(struct blob *b)
{
	int r = blob_new_state(b);

	atomic_store(&b->homeless, true);
	return r < 0 ? r : make_stand_ins(b);
}

/* Moves a descriptor to where another is, which others may be using. */
static int replace_fd(int *from, int to)
{
	int r = dup3(*from, to, O_CLOEXEC) < 0 ? -errno : 0;

	closep(from);
	return r;
}

/* Puts the opened files of `home` in the places of b's. */
static int move_in(struct blob *b, struct blob *home)
{
	int r = replace_fd(&home->fd, b->fd);

	if (r == 0)
		r = replace_fd(&home->mapfd, b->mapfd);
	if (r == 0 && b->size &&
	    mmap(b->data, b->size, PROT_READ, MAP_SHARED | MAP_FIXED, b->fd, 0) == MAP_FAILED)
		r = -errno;
	return r;
}

int blob_find_home(struct blob *b)
{
	struct blob home = { .store = b->store, .size = b->size, .chunks = b->chunks };
	int r;

	snprintf(home.etag, sizeof(home.etag), "%s", b->etag);
	home.fd = home.mapfd = -1;
	lock_take(&b->lock);
	if (atomic_load(&b->homeless)) {
		r = blob_open_files(&home, false);
		if (r == 0)
			r = move_in(b, &home);
		if (r == 0) {
			atomic_store(&b->taken_bytes, home.taken_bytes);
			atomic_store(&b->homeless, false);
		}
	} else {
		r = 0;
	}
	lock_drop(&b->lock);
	closep(&home.fd);
	closep(&home.mapfd);
	free(home.state);
	return r;
}
