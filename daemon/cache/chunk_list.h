/* SPDX-License-Identifier: Apache-2.0 */
/* The digest list of a blob: the SHA-256 of each of its chunks, so that bytes from whom nobody
 * trusts can be checked long before the blob is whole. It is made of bytes whose own digest was
 * right, or not at all. It lies beside the blob, blobs/<aa>/<etag>.chunks (docs/formats.md), and
 * travels as JSON. No log. Threads: any, one at a time for each object. */
#ifndef MATRIXFS_CHUNK_LIST_H
#define MATRIXFS_CHUNK_LIST_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "daemon/base/buf.h"
#include "daemon/base/digest.h"

#define CHUNK_LIST_DIGEST 32

/* A chunk's digest that is all zero is not known. */
static inline bool chunk_digest_known(const uint8_t digest[static CHUNK_LIST_DIGEST])
{
	static const uint8_t none[CHUNK_LIST_DIGEST];

	return memcmp(digest, none, sizeof(none)) != 0;
}

static inline bool chunk_digest_same(const uint8_t a[static CHUNK_LIST_DIGEST],
				     const uint8_t b[static CHUNK_LIST_DIGEST])
{
	return memcmp(a, b, CHUNK_LIST_DIGEST) == 0;
}

struct chunk_list {
	uint64_t size;  /* of the blob, in bytes */
	uint32_t count; /* of its chunks; 0 if it is empty */
	uint8_t digests[][CHUNK_LIST_DIGEST];
};

/* A list for a blob of that size, all digests zero; owned. NULL: no memory. */
struct chunk_list *chunk_list_new(uint64_t size);
void chunk_list_free(struct chunk_list *l);
void chunk_list_freep(struct chunk_list **l);

/* ---- from bytes ---- */

/* The digest of a whole blob while its bytes come in order, and of its chunks if that is wanted. */
struct chunk_listing;

/* -ENOMEM; -EIO if the library refuses, as of the calls below. */
MUST_USE int chunk_listing_begin(enum digest_kind kind, uint64_t size, bool lists,
				 struct chunk_listing **ret);
/* Its next bytes. ERR_SIZE: more than it has. */
MUST_USE int chunk_listing_update(struct chunk_listing *g, const void *data, size_t len);
/* All have come: the digest of the whole, digest_size() bytes, and the list, which is owned, or
 * NULL if none is wanted. Free it still. ERR_SIZE: too few. */
MUST_USE int chunk_listing_end(struct chunk_listing *g, uint8_t *ret_whole,
			       struct chunk_list **ret_list);
void chunk_listing_free(struct chunk_listing *g);
void chunk_listing_freep(struct chunk_listing **g);

/* Reads a file that is to be the blob of that name and size, and makes its list, owned; after each
 * piece it calls rest(), which ends it by what is not 0, and is NULL for who is in no hurry.
 * ERR_DIGEST: the bytes are others; -EINVAL: that is no etag; -ENODATA: it is shorter; -EIO. */
MUST_USE int chunk_list_make(int fd, const char *etag, uint64_t size, int (*rest)(void *arg),
			     void *arg, struct chunk_list **ret);

/* ---- beside the blob ---- */

/* In a directory that has blobs/<aa>: the list of a blob of that size, owned. -ENOENT: there is
 * none; ERR_CORRUPT: it is damaged, of another size, or of another version; make it again. */
MUST_USE int chunk_list_load(int dirfd, const char *etag, uint64_t size, struct chunk_list **ret);
/* Puts it there, in the place of an older one; durable when it returns. -EINVAL: that is no etag;
 * the disk's errors. */
MUST_USE int chunk_list_save(int dirfd, const char *etag, const struct chunk_list *l);
/* Removes it, if it is there. */
void chunk_list_remove(int dirfd, const char *etag);
/* What such a file holds: appends it, and reads it, as chunk_list_load does. Pure. */
MUST_USE int chunk_list_pack(const char *etag, const struct chunk_list *l, struct buf *ret);
MUST_USE int chunk_list_unpack(const char *etag, uint64_t size, const void *data, size_t len,
			       struct chunk_list **ret);

/* ---- as JSON ---- */

/* Appends {"etag", "size", "chunkSize", "algorithm", "digests": ["hex", ...]}. */
MUST_USE int chunk_list_print(const char *etag, const struct chunk_list *l, struct buf *ret);
/* Bytes that such a text has at most, of a blob of that size, with room for white space. */
uint64_t chunk_list_text_max(uint64_t size);
/* Reads such a text: the list is owned. Members it does not know are left alone. -EBADMSG: it is no
 * digest list; ERR_PROTO: it is one, but not of this blob, or not of its chunks. -ENOMEM. Pure. */
MUST_USE int chunk_list_parse(const char *text, size_t len, const char *etag, uint64_t size,
			      struct chunk_list **ret);

#endif
