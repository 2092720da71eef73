/* SPDX-License-Identifier: Apache-2.0 */
/* What store.c (the directory) and blob.c (one file) share. */
#ifndef MATRIXFS_STORE_PRIV_H
#define MATRIXFS_STORE_PRIV_H

#include <stdatomic.h>

#include "daemon/base/digest.h"
#include "daemon/base/lock.h"
#include "daemon/base/map.h"
#include "daemon/store.h"
#include "daemon/usage.h"

#define BLOB_PATH_MAX (sizeof("blobs/aa/") + DIGEST_HEX_MAX + sizeof(".map"))

struct store {
	int dirfd;
	int lockfd;
	bool fresh;   /* made by us: nothing in it yet */
	bool unclean; /* the last process did not stop cleanly: compare chunks before first use */
	char *index_dir;
	struct usage usage;
	struct lock lock;
	struct map open; /* etag -> struct blob; guarded by lock */
};

struct blob_chunk {
	atomic_ullong sum;   /* XXH3 of its bytes; 0: absent */
	atomic_bool checked; /* its bytes were compared with sum since they were loaded */
};

struct blob {
	struct store *store;
	unsigned refs; /* guarded by store->lock */
	char etag[DIGEST_HEX_MAX + 1];
	uint64_t size;
	uint32_t chunks;
	int fd;
	int mapfd;  /* the chunk map; -1 when sealed */
	void *data; /* whole file mapped; NULL if empty */
	atomic_bool sealed;
	atomic_bool dropped; /* its bytes were wrong once: the file may hold more than is present */
	bool doubtful;       /* the chunk map may come from an unclean stop */
	struct blob_chunk *state; /* one a chunk; NULL when opened sealed */
	atomic_ullong present_bytes;
};

/* "blobs/aa/<etag>" plus suffix. */
void blob_path(const char *etag, const char *suffix, char ret[static BLOB_PATH_MAX]);
/* Opens or makes the files of a blob; the caller puts it into the store's map. */
MUST_USE int blob_open(struct store *s, const char *etag, uint64_t size, bool sealed,
		       struct blob **ret);
/* Closes its files and frees it. */
void blob_close(struct blob *b);

#endif
