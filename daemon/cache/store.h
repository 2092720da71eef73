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
#include "daemon/cache/usage.h"

struct store;
struct blob;

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
/* One of our own, for who may read it; the cache's is for all others. -ENOENT; -EBUSY likewise. */
MUST_USE int store_own_blob(struct store *s, const char *etag, uint64_t size, struct blob **ret);
struct blob *blob_ref(struct blob *b);
void blob_unref(struct blob *b);

/* What it was opened by, borrowed until it is given back. */
const char *blob_etag(const struct blob *b);
uint64_t blob_size(const struct blob *b);
bool blob_is_sealed(const struct blob *b);
/* Bytes of present chunks. */
uint64_t blob_present_bytes(const struct blob *b);
/* The same of those that begin in [from, to) or hold `from`; a torn write counts until it is found
 * out. */
uint64_t blob_present_in(const struct blob *b, uint64_t from, uint64_t to);
/* The data file, borrowed until the blob is given back. */
int blob_fd(const struct blob *b);
/* The bytes at off, mapped read-only; absent ones read as zero. Borrowed likewise. */
const void *blob_data(const struct blob *b, uint64_t off);
/* Reads bytes as the disk has them; an I/O error is -EIO here, where the mapping would raise
 * SIGBUS in a process that looks at it (the kernel, copying from it, gets EFAULT). */
MUST_USE int blob_read(const struct blob *b, void *ret, size_t len, uint64_t off);
/* Gives the mapping's memory of a range back to the kernel (the page cache keeps the bytes). */
void blob_release_pages(const struct blob *b, uint64_t off, uint64_t len);

/* True if chunk i is present. The first call for a chunk that a former process left reads and
 * compares it. */
bool blob_has(struct blob *b, uint32_t i);
/* The same without comparing: chunk i is present, or a torn write that blob_has() will find out. */
bool blob_may_have(const struct blob *b, uint32_t i);
/* The same, but compares a chunk that is not sealed in any case. */
bool blob_check(struct blob *b, uint32_t i);
/* The same for who is about to use its bytes: compares it, too, if it neither came nor was compared
 * in the last seconds: it may have rotted. Of a blob that is held. */
bool blob_still_has(struct blob *b, uint32_t i);
/* How many chunks that had been right were found wrong, and are absent now. */
unsigned blob_rotten(const struct blob *b);
/* True if chunks that readers had were given back: no digest speaks for what the kernel kept. */
bool blob_was_trimmed(const struct blob *b);
/* So many chunks from the first on are in a digest; 0: it begins. False if one has gone since. */
void blob_note_digested(struct blob *b, uint32_t chunks);
bool blob_digest_stands(const struct blob *b);
/* Writes bytes; they are not present before blob_put_chunk. ERR_FULL, -ENOSPC and the like. */
MUST_USE int blob_write(struct blob *b, const void *data, size_t len, uint64_t off);
/* The same for what must be whole to be given to anybody: beyond the limit of the cache if it must,
 * but not into what stays free. */
MUST_USE int blob_write_beyond(struct blob *b, const void *data, size_t len, uint64_t off);
/* Chunk i is not going to be declared present: its blocks go, if nobody looks at them. */
void blob_abandon_chunk(struct blob *b, uint32_t i);
/* Declares chunk i present; sum is the XXH3 of its bytes, all of which have been written. */
MUST_USE int blob_put_chunk(struct blob *b, uint32_t i, uint64_t sum);
/* Flushes data to disk. */
MUST_USE int blob_sync(struct blob *b);
/* After the catalog has it as sealed: every chunk is present for good. -EAGAIN if a chunk is not,
 * or came again after it was digested. */
int blob_seal(struct blob *b);
/* Forgets all bytes (wrong digest); who holds the mapping sees the old ones. Our own: -EROFS. */
MUST_USE int blob_drop(struct blob *b);
/* The same of chunk i alone, of a blob that is not sealed. */
MUST_USE int blob_drop_chunk(struct blob *b, uint32_t i);

/* Who looks at bytes of the mapping holds the blob meanwhile: none of its blocks is given back
 * before it lets go. */
void blob_hold(struct blob *b);
void blob_let_go(struct blob *b);
/* Notes that a reader who holds the blob has [off, off + len), len > 0. */
void blob_note_read(struct blob *b, uint64_t off, uint64_t len);
/* Makes room in a blob that stays open: gives back chunks that readers had, longest ago first,
 * until `want` bytes are free. Sealed blobs are left alone, as are the last seconds' chunks and
 * those no reader has come to yet. Returns bytes freed. */
uint64_t blob_trim(struct blob *b, uint64_t want);

/* The XXH3 of each chunk of a sealed blob, as they were when it was sealed: blob_chunks() values.
 * -ENOENT (sealed by an older version), ERR_CORRUPT. */
MUST_USE int blob_sums(const struct blob *b, uint64_t *ret);
uint32_t blob_chunks(const struct blob *b);
/* Records them. */
MUST_USE int blob_put_sums(const struct blob *b, const uint64_t *sums);
/* A sealed blob has rotted: it is incomplete from now on, without the chunks whose sum here is 0.
 * For one thread at a time. Our own: -EROFS. */
MUST_USE int blob_unseal(struct blob *b, const uint64_t *sums);

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
