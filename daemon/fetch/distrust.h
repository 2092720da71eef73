/* SPDX-License-Identifier: Apache-2.0 */
/* Which blobs had a wrong digest lately. Nobody needs to have them open: who opens one again is
 * served only verified bytes. A bounded memory, the oldest is forgotten first. Not locked: the
 * owner's lock guards it. Zeroed memory remembers nothing. */
#ifndef MATRIXFS_DISTRUST_H
#define MATRIXFS_DISTRUST_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/digest.h"

#define DISTRUST_MAX 256

#define DISTRUST_BAR_MS (30 * 1000)

/* Bits of sources: bit i is source i, at most 64. */
struct distrust {
	unsigned strikes;        /* wrong digests in a row; 0: trusted */
	int64_t barred_until_ms; /* nobody is left to ask until then: ERR_DIGEST at once */
	uint64_t once, twice;    /* sources that were part of so many wrong digests */
	int64_t twice_until_ms;  /* those are not asked until then */
	bool unverified;         /* readers had bytes that were not kept, and so not digested */
	bool trimmed;            /* or that were kept, but not until they were digested */
};

/* The digest of bytes that these sources gave was wrong, now: whoever was part of it once is not
 * asked while another is left, whoever was twice not for DISTRUST_BAR_MS. */
void distrust_blame(struct distrust *d, uint64_t used, unsigned source_count, int64_t now_ms);
/* The sources that are not to be asked now; all of them while the blob is barred. */
uint64_t distrust_shunned(const struct distrust *d, unsigned source_count, int64_t now_ms);
/* Those of them that are not to be asked even if no other has the blob; likewise. */
uint64_t distrust_twice(const struct distrust *d, unsigned source_count, int64_t now_ms);

struct distrusts {
	struct {
		char etag[DIGEST_HEX_MAX + 1]; /* "": free */
		struct distrust what;
	} entries[DISTRUST_MAX];
	unsigned next; /* entry to be taken next */
	unsigned live; /* entries in use: as a rule none, and then nobody has to look */
};

/* What is held against a blob; zero if nothing. */
struct distrust distrusts_get(const struct distrusts *all, const char *etag);
/* Remembers it, or forgets the blob if it is zero. */
void distrusts_put(struct distrusts *all, const char *etag, const struct distrust *what);

#endif
