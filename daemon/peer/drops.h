/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks that were dropped lately, and what they were: the latest of them, and of which blobs older
 * ones were forgotten. Pure. Not locked. */
#ifndef MATRIXFS_DROPS_H
#define MATRIXFS_DROPS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/digest.h"
#include "daemon/cache/chunk_list.h"

#define DROPS_MAX 256
#define DROPS_AT_ONCE_MAX 64 /* of one blob, so that others are remembered */
#define DROPS_LOST_MAX 64    /* blobs of which it is remembered that drops were forgotten */

struct drop {
	char etag[DIGEST_HEX_MAX + 1];
	uint32_t chunk;
	uint8_t was[CHUNK_LIST_DIGEST]; /* all zero: not known */
	bool proven;                    /* that it was wrong */
};

/* Zeroed memory has none. */
struct drops {
	struct drop of[DROPS_MAX];
	unsigned count; /* that there were */
	char lost[DROPS_LOST_MAX][DIGEST_HEX_MAX + 1];
	unsigned lost_count;
};

/* Chunk i was dropped, once or again. */
void drops_note(struct drops *d, const char *etag, uint32_t i,
		const uint8_t was[static CHUNK_LIST_DIGEST], bool proven);
/* All chunks of a blob were, that are not as in the other list, which is as long. */
void drops_note_unlike(struct drops *d, const char *etag, const struct chunk_list *was,
		       const struct chunk_list *other, bool proven);
/* Not all that was dropped of a blob is remembered. */
void drops_lose(struct drops *d, const char *etag);
bool drops_is_lost(const struct drops *d, const char *etag);
/* Those that were as in this list are forgotten: it is right. */
void drops_forget_right(struct drops *d, const char *etag, const struct chunk_list *right);
/* True if chunk i was dropped; if it was, as this, proven wrong; if it was otherwise than this. */
bool drops_has(const struct drops *d, const char *etag, uint32_t i);
bool drops_has_wrong(const struct drops *d, const char *etag, uint32_t i, const uint8_t *is);
bool drops_has_other(const struct drops *d, const char *etag, uint32_t i, const uint8_t *is);

#endif
