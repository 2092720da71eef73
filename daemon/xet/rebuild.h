/* SPDX-License-Identifier: Apache-2.0 */
/* What a Xet store answers to the question of what a range of a file is made of: terms, which are
 * chunks of xorbs in the order of the file, and the parts of xorbs that have those. Nothing in it
 * is believed that can be checked: each term lies in a part, together they are long enough. Pure.
 * Source: research "mounts" §2.2. */
#ifndef MATRIXFS_REBUILD_H
#define MATRIXFS_REBUILD_H

#include "daemon/base/buf.h"
#include "daemon/base/jdoc.h"
#include "daemon/xet/xet_hash.h"

#define REBUILD_MAX 4096 /* terms, or parts, of one answer: a range of some MiB has fewer */

/* Chunks [from, to) of a xorb, which are `bytes` of the file. */
struct rebuild_term {
	uint32_t part, from, to;
	uint64_t bytes;
};
/* Chunks [from, to) of a xorb, and its bytes from `first` to and with `last`, as it travels. */
struct rebuild_part {
	uint8_t xorb[XET_HASH];
	uint32_t from, to;
	uint64_t first, last;
	const char *url; /* to be asked for just these; borrowed from the answer */
};
/* Zeroed it is empty. */
struct rebuild {
	uint64_t skip;    /* so many bytes of the first term are in front of the range */
	struct buf terms; /* struct rebuild_term: those that have bytes of the range */
	struct buf parts; /* struct rebuild_part */
	struct jdoc *doc;
};

/* Frees what it holds. */
void rebuild_fini(struct rebuild *b);
/* Reads an answer of the first or the second version about a range of so many bytes. ERR_PROTO if
 * it makes no sense, is about less, or about more pieces than REBUILD_MAX; -ENOMEM. */
MUST_USE int rebuild_parse(const char *text, size_t text_len, uint64_t len, struct rebuild *ret);
size_t rebuild_term_count(const struct rebuild *b);
size_t rebuild_part_count(const struct rebuild *b);
const struct rebuild_term *rebuild_term(const struct rebuild *b, size_t i);
const struct rebuild_part *rebuild_part(const struct rebuild *b, size_t i);

#endif
