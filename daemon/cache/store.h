/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes on disk. A blob is one sparse file at natural offsets, blobs/<aa>/<etag>; beside an
 * incomplete one lies its chunk map, <etag>.map, with the XXH3 of each chunk that is there. A
 * chunk counts as present once its eight bytes are in the map, which a kill -9 cannot take back;
 * a chunk that another process left is compared with its XXH3 before its first use, so a torn
 * write or a rotten bit is only an absent chunk. The map of a sealed blob is kept as <etag>.sums,
 * to tell which chunk has rotted. Whether a blob is sealed is the catalog's knowledge. Layout:
 * docs/formats.md. No log. Threads: any; writes to one chunk come from one at a time. */
#ifndef MATRIXFS_STORE_H
#define MATRIXFS_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/buf.h"
#include "daemon/cache/blob.h"
#include "daemon/cache/usage.h"

struct store;

/* Opens (and makes) a cache directory for this process alone; `owner` is what a second process
 * will be told ("pid 12 on /models"). Errors with a full sentence in why: ERR_LOCKED, ERR_FORMAT
 * (newer version), -EROFS, -EACCES, -ENOTDIR, ... */
MUST_USE int store_open(const char *dir, const char *owner, struct store **ret, struct buf *why);
/* A second directory of blobs, DIR/blobs/<aa>/<etag>: what is there is opened there, counts as
 * sealed, and nothing here changes or removes it. Set once, before blobs are opened. -ENOENT. */
MUST_USE int store_set_own(struct store *s, const char *dir);
void store_close(struct store *s); /* all blobs have been given back */
/* The directory of the index, below the cache directory; borrowed. */
const char *store_index_dir(const struct store *s);
/* Bytes in blob files. */
uint64_t store_used_bytes(struct store *s);
/* What it may take; blob_write gives ERR_FULL instead of exceeding it. */
void store_limit(struct store *s, const struct cache_limits *limits);
struct cache_limits store_limits(struct store *s);
/* Bytes it may take at most, by its limits and by what the disk has left for it. */
uint64_t store_capacity(struct store *s);
/* Calls fn, from any thread, whenever bytes are added, or refused, and more than `above` are used.
 * fn is set once, before blobs are opened; store_watch_above sets `above` anew. */
void store_watch(struct store *s, uint64_t above, void (*fn)(void *arg), void *arg);
void store_watch_above(struct store *s, uint64_t above);
/* Size of the cache's file system, and bytes free for us in it. */
MUST_USE int store_space(struct store *s, uint64_t *ret_total, uint64_t *ret_free);

/* The blob of this etag, opened or made; the same one for all who ask. With `sealed`, all its
 * bytes are taken as present if the file is there and has this size (else it starts empty and
 * blob_is_sealed tells). If the blob is open with another size, -EBUSY. */
MUST_USE int store_blob(struct store *s, const char *etag, uint64_t size, bool sealed,
			struct blob **ret);
/* The same for who only looks: its last use stays what it was. */
MUST_USE int store_peek(struct store *s, const char *etag, uint64_t size, bool sealed,
			struct blob **ret);
/* The same where its files cannot be made: a blob that keeps nothing (blob_write gives the disk's
 * error) until they can. */
MUST_USE int store_blob_homeless(struct store *s, const char *etag, uint64_t size,
				 struct blob **ret);
/* True if a file of our own of that size is there. */
bool store_has_own(struct store *s, const char *etag, uint64_t size);
/* One of our own, for who may read it; the cache's is for all others. -ENOENT; -EBUSY likewise. */
MUST_USE int store_own_blob(struct store *s, const char *etag, uint64_t size, struct blob **ret);

/* What the cache holds of a blob that need not be open: bytes allocated, 0 if there is no file. */
uint64_t store_disk_bytes(struct store *s, const char *etag);
/* The size of its file; -ENOENT. */
MUST_USE int store_blob_size(struct store *s, const char *etag, uint64_t *ret);
/* Bytes of the present chunks of a blob that is not sealed and need not be open. */
uint64_t store_present_bytes(struct store *s, const char *etag, uint64_t size);
/* One blob file for eviction: etag, allocated bytes, last use (seconds since 1970). */
typedef int (*store_each_fn)(void *arg, const char *etag, uint64_t bytes, int64_t used_s);
/* Calls fn for each blob file, open or not, until it returns non-zero. */
int store_each(struct store *s, store_each_fn fn, void *arg);
/* True if somebody has the blob open. */
bool store_is_open(struct store *s, const char *etag);
/* The same blob as store_blob() gave, if it is open: one more reference, else NULL. */
struct blob *store_find(struct store *s, const char *etag);
/* Deletes a blob that is not open: bytes freed, -EBUSY if it is open, -ENOENT. */
MUST_USE int64_t store_evict(struct store *s, const char *etag);

#endif
