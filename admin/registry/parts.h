/* SPDX-License-Identifier: Apache-2.0 */
/* Files that come in parts, in any order and some of them at once, perhaps over several runs of the
 * hub: OWN/incoming/parts-... holds the bytes at their places, and beside them the sum of each part
 * that is there. When all are, the file is staged as any other (intake.h), whose id is the judge.
 * What is left lying is removed. Threads: any, but one at
 * a time for each part that is coming; all wait for the disk. */
#ifndef MATRIXFS_PARTS_H
#define MATRIXFS_PARTS_H

#include <stdint.h>

#include "admin/registry/intake.h"

struct parts;
struct part;

#define PARTS_MAX 10000
#define PARTS_SUM_HEX 16

/* Which file, and for whom: what came for one repository is none of another's. Borrowed. */
struct parts_of {
	const char *repo, *oid; /* a SHA-256 in hex */
	uint64_t size, part_bytes;
};

/* -ENOMEM. */
MUST_USE int parts_new(struct intake *in, struct parts **ret);
/* No part is coming any more. */
void parts_free(struct parts *p);
/* How many parts it has, and the bytes of one of them: 1 ... count. */
uint32_t parts_count(const struct parts_of *of);
uint64_t parts_len(const struct parts_of *of, uint32_t number);

/* A part begins to come, perhaps once more. -EBUSY: the file is being joined; ERR_READ_ONLY. */
MUST_USE int parts_begin(struct parts *p, const struct parts_of *of, uint32_t number,
			 struct part **ret);
/* ERR_SIZE: too many bytes, or at the end too few; its sum in ret. */
MUST_USE int part_add(struct part *w, const void *data, size_t len);
MUST_USE int part_end(struct part *w, char ret[static PARTS_SUM_HEX + 1]);
/* Frees it. NULL is none. */
void part_drop(struct part *w);

/* Makes a blob of parts that are all there with these sums, one for each, perhaps in quotes.
 * -ENODATA: *ret_number is missing, or another; ERR_DIGEST: then all are gone; -EBUSY: some are
 * coming. */
MUST_USE int parts_join(struct parts *p, const struct parts_of *of, const char *const *sums,
			uint32_t *ret_number);
/* Removes files of which no part has come since that second. */
void parts_sweep(struct parts *p, int64_t before_s);
/* True if a part of some file of that repository has. */
bool parts_coming(struct parts *p, const char *repo, int64_t since_s);

#endif
