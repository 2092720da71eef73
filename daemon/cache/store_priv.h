/* SPDX-License-Identifier: Apache-2.0 */
/* What store.c (the directory) and blob*.c (one blob) share. */
#ifndef MATRIXFS_STORE_PRIV_H
#define MATRIXFS_STORE_PRIV_H

#include <stdatomic.h>

#include "daemon/base/digest.h"
#include "daemon/base/lock.h"
#include "daemon/base/map.h"
#include "daemon/cache/store.h"
#include "daemon/cache/usage.h"

#define BLOB_PATH_MAX (sizeof("blobs/aa/") + DIGEST_HEX_MAX + sizeof(".sums"))

struct store {
	int dirfd;
	int lockfd;
	int ownfd; /* the directory of our own blobs, or -1 */
	char *index_dir;
	struct usage usage;
	struct lock lock;
	/* Guarded by lock. */
	struct map open;     /* etag -> struct blob: those of the cache, */
	struct map open_own; /* and our own */
};

struct blob_chunk {
	atomic_ullong sum; /* XXH3 of its bytes; 0: absent */
	atomic_uint
		used_s; /* when a reader last had bytes of it, on the monotonic clock; 0: never */
	atomic_uint checked_s; /* when its bytes were last compared with sum, likewise; 0: not
				* since they were loaded */
	atomic_uint room;      /* enum chunk_room */
};

/* Whether the blocks of a chunk are counted. */
enum chunk_room {
	ROOM_NONE,
	ROOM_COMING, /* they are, and are being written */
	ROOM_TAKEN,
};

struct blob {
	struct store *store;
	unsigned refs; /* guarded by store->lock */
	bool own;      /* not the cache's: nothing here changes it */
	bool unused;   /* only looked at so far: its last use is what it was; likewise */
	char etag[DIGEST_HEX_MAX + 1];
	uint64_t size;
	uint32_t chunks;
	int fd;
	int mapfd;  /* the chunk map; -1 when opened sealed */
	void *data; /* whole file mapped; NULL if empty */
	atomic_bool sealed;
	atomic_bool homeless; /* the disk had no room for its files */
	atomic_bool dropped; /* its bytes were wrong once: the file may hold more than is present */
	struct blob_chunk *state; /* one a chunk; NULL when opened sealed */
	atomic_bool trimmed;      /* chunks that readers had were given back */
	atomic_uint rotten;       /* chunks that were right, and then were not */
	atomic_uint digested;     /* chunks from the first on that are in the digest */
	atomic_bool outdated;     /* one of them has gone since */
	atomic_ullong present_bytes;
	atomic_ullong taken_bytes;  /* what it counts for in store->usage, */
	atomic_ullong coming_bytes; /* of them, those that are being written */
	struct lock lock;
	/* Guarded by lock. */
	struct cond quiet; /* the last user has gone, or trimming has ended */
	unsigned users;    /* who looks at the mapping this moment */
	bool trimming;     /* no new users: blocks are about to be given back */
	bool unsealing;    /* somebody takes its seal off */
};

/* ---- blob_files.c ---- */

/* "blobs/aa/<etag>" plus suffix. */
void blob_path(const char *etag, const char *suffix, char ret[static BLOB_PATH_MAX]);
/* Opens the files of a blob, or makes them. With `sealed` all its bytes are taken as present if its
 * data file is whole. */
MUST_USE int blob_open_files(struct blob *b, bool sealed);
/* Opens one of our own. -ENOENT; -EBUSY if it has another size. */
MUST_USE int blob_open_own(struct blob *b);
/* Removes one of its files, named by suffix, if it is there. */
void blob_remove_file(const struct blob *b, const char *suffix);
/* One of its files takes the place of another. */
MUST_USE int blob_rename_file(const struct blob *b, const char *from, const char *to);
/* Notes the last use, for eviction, whatever the mount options of the disk say. */
void blob_note_use(const struct blob *b);
/* Memory for the state of its chunks; no chunk is there. */
MUST_USE int blob_new_state(struct blob *b);
/* These chunks are there, as far as memory goes: one sum a chunk, 0 for those that are not. They
 * are compared before their first use. */
void blob_take_sums(struct blob *b, const uint64_t *sums);
/* None is there any more, likewise. */
void blob_forget_chunks(struct blob *b);

/* ---- blob_homeless.c ---- */

/* Gives a blob a place in memory, where nothing is ever put. */
MUST_USE int blob_open_homeless(struct blob *b);
/* Makes the files of a homeless blob, if the disk lets it. */
MUST_USE int blob_find_home(struct blob *b);

/* ---- blob.c ---- */

enum blob_kind { BLOB_FILLING, BLOB_SEALED, BLOB_HOMELESS, BLOB_OWN };
/* Opens a blob, or makes it; the caller puts it into the store's map. Owned: blob_close. */
MUST_USE int blob_open(struct store *s, const char *etag, uint64_t size, enum blob_kind kind,
		       struct blob **ret);
/* Closes its files and frees it. */
void blob_close(struct blob *b);
/* Chunk i is about to be absent. */
void blob_note_lost(struct blob *b, uint32_t i);
/* The second of the monotonic clock that uses and comparisons are noted with; never 0. */
unsigned blob_now_s(void);
/* So many bytes of it are not being written any more. */
void blob_end_coming(struct blob *b, uint64_t bytes);

#endif
