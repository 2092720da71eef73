/* SPDX-License-Identifier: Apache-2.0 */
/* A chunk that comes from a member. Its bytes are laid where they belong as they come, but for the
 * last ones, which are given when all of it was compared with what is known of it: until then
 * nobody sees any. Where there is no place for them, or less than the whole chunk is wanted, it is
 * kept in memory meanwhile. Whom to blame is the caller's to say. Threads: one per chunk_in. */
#ifndef MATRIXFS_CHUNK_IN_H
#define MATRIXFS_CHUNK_IN_H

#include "daemon/base/digest.h"
#include "daemon/hub/source.h"
#include "daemon/peer/provenance.h"

struct chunk_in {
	const struct source_ask
		*ask; /* borrowed, like the next; both are set, the rest is zeroed */
	struct provenance *provenance;
	/* The one that comes, or came last. */
	uint64_t pos, end; /* wanted of it */
	size_t size, have; /* its bytes; those that came */
	bool comes;
	enum provenance_trust trust; /* how it is known what it must be */
	bool wrong;                  /* it was, and had this digest */
	uint8_t is[DIGEST_BYTES_MAX];
	/* Its own. */
	struct digest *digest; /* of those that came; NULL: nothing is known of it */
	char *kept;            /* those that came; NULL: they are laid */
};

/* The chunk of the byte at pos comes now; what is wanted lies between pos and end. What is known of
 * it by now is what counts: nothing, and it is not digested. -ENOMEM, -EIO. */
MUST_USE int chunk_in_begin(struct chunk_in *c, uint64_t pos, uint64_t end);
/* Takes bytes of it, not the last ones. What lay says, or -EIO. */
MUST_USE int chunk_in_add(struct chunk_in *c, const void *data, size_t len);
/* Compares all of it; these are its last bytes. ERR_DIGEST, -EIO. */
MUST_USE int chunk_in_compare(struct chunk_in *c, const void *data, size_t len);
/* Gives what is wanted of it, after chunk_in_compare of the same bytes. What the sink says. */
MUST_USE int chunk_in_give(struct chunk_in *c, const void *data, size_t len);
/* No more comes of it, if it is not whole: what was laid is taken back. */
void chunk_in_end(struct chunk_in *c);

#endif
