/* SPDX-License-Identifier: Apache-2.0 */
/* One blob of the cache, which is open: what of it is there, its bytes, and how they come and go.
 * store.h opens it, and says what a blob is. No log. Threads: any; writes to one chunk come from
 * one at a time. */
#ifndef MATRIXFS_BLOB_H
#define MATRIXFS_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/own.h"

struct blob;

/* Who has it takes and gives it back. */
struct blob *blob_ref(struct blob *b);
void blob_unref(struct blob *b);

/* What it was opened by, borrowed until it is given back. */
const char *blob_etag(const struct blob *b);
uint64_t blob_size(const struct blob *b);
bool blob_is_sealed(const struct blob *b);
/* Bytes of present chunks. */
uint64_t blob_present_bytes(const struct blob *b);
/* The data file, borrowed until the blob is given back. */
int blob_fd(const struct blob *b);
/* The bytes at off, mapped read-only; absent ones read as zero. Borrowed likewise. */
const void *blob_data(const struct blob *b, uint64_t off);
/* Reads bytes as the disk has them; an I/O error is -EIO here, where the mapping would raise
 * SIGBUS in a process that looks at it (the kernel, copying from it, gets EFAULT). */
MUST_USE int blob_read(const struct blob *b, void *ret, size_t len, uint64_t off);
/* Gives the mapping's memory of a range, and of what the kernel mapped around it, back to the
 * kernel (the page cache keeps the bytes). */
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
/* The same of chunk i alone; of a sealed blob, or if it is not there, nothing. */
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
 * Nothing happens to one that is not sealed. Our own: -EROFS. */
MUST_USE int blob_unseal(struct blob *b, const uint64_t *sums);
/* True if its file is long enough to have bytes up to `end`: another hand may have cut it. */
bool blob_reaches(const struct blob *b, uint64_t end);
/* Bytes [from, to) cannot be read: the chunks that have some of them, or lie behind the end of the
 * file, are absent from now on. 1 if it was sealed, which it is not any more. Errors: -ENOMEM,
 * blob_unseal's. */
MUST_USE int blob_lose(struct blob *b, uint64_t from, uint64_t to);

#endif
