/* SPDX-License-Identifier: Apache-2.0 */
/* Which blobs had a wrong digest lately. Nobody needs to have them open: who opens one again is
 * served only verified bytes. A bounded memory, the oldest is forgotten first. Not locked: the
 * owner's lock guards it. Zeroed memory remembers nothing. */
#ifndef MATRIXFS_DISTRUST_H
#define MATRIXFS_DISTRUST_H

#include <stdint.h>

#include "daemon/base/digest.h"

#define DISTRUST_MAX 256

struct distrust {
	unsigned strikes;        /* wrong digests in a row; 0: trusted */
	int64_t barred_until_ms; /* ERR_DIGEST at once until then */
	uint64_t sources_bad;    /* bit i: source i was part of a wrong digest */
};

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
