/* SPDX-License-Identifier: Apache-2.0 */
/* Shards, by which a client of a Xet store says what files are made of: ranges of chunks of xorbs,
 * which it has brought before. One that comes is read piece by piece, and what it says of files is
 * kept; that the xorbs are as it says nobody has to believe. Pure. */
#ifndef MATRIXFS_XET_SHARD_H
#define MATRIXFS_XET_SHARD_H

#include <stdbool.h>

#include "daemon/base/buf.h"
#include "daemon/base/digest.h"
#include "daemon/xet/xet_hash.h"

#define XET_SHARD_VERSION 2
#define XET_SHARD_BYTES_MAX (256 * 1024 * 1024)
#define XET_SHARD_FILES_MAX 100000
#define XET_SHARD_TERMS_MAX 200000 /* of all files */

/* What each begins with. */
extern const uint8_t xet_shard_tag[XET_HASH];

/* Chunks [from, to) of a xorb. */
struct xet_term {
	uint8_t xorb[XET_HASH];
	uint8_t range[XET_HASH]; /* of their hashes: see xet_hash_range */
	uint32_t bytes, from, to;
};

struct xet_file {
	uint8_t hash[XET_HASH];
	char sha256[DIGEST_HEX_MAX + 1]; /* "": it does not say */
	uint32_t first, count;           /* its terms */
};

struct xet_shard {
	struct buf files, terms; /* of those */
	const char *why;         /* what was wrong, in a few words; static */
	/* How far it came. */
	enum xet_shard_part {
		XET_SHARD_HEAD,
		XET_SHARD_FILE,
		XET_SHARD_TERM,
		XET_SHARD_RANGE,
		XET_SHARD_SHA256,
		XET_SHARD_XORB,
		XET_SHARD_CHUNK,
		XET_SHARD_REST,
	} part;
	uint32_t left; /* records of this part */
	bool has_sha256;
	uint64_t bytes;
	size_t have;
	uint8_t in[48];
};

/* Frees what it holds. Zeroed it is empty. */
void xet_shard_fini(struct xet_shard *s);
/* The next bytes. -EBADMSG: they are no shard's, as `why` says; -ENOMEM. */
MUST_USE int xet_shard_add(struct xet_shard *s, const void *data, size_t len);
/* All came. -EBADMSG. */
MUST_USE int xet_shard_end(struct xet_shard *s);
/* How many files; one of them, and its terms; borrowed until it is freed. */
size_t xet_shard_count(const struct xet_shard *s);
const struct xet_file *xet_shard_file(const struct xet_shard *s, size_t i);
const struct xet_term *xet_shard_terms(const struct xet_shard *s, const struct xet_file *f);
/* The bytes of a file, as its terms say. */
uint64_t xet_shard_size(const struct xet_shard *s, const struct xet_file *f);
/* How many terms all files have, and one of them. */
size_t xet_shard_term_count(const struct xet_shard *s);
const struct xet_term *xet_shard_term(const struct xet_shard *s, size_t i);

#endif
