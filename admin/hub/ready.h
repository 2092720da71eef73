/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are ready to go out: texts that were worked out once, and again by each way of
 * packing that clients took. Those used last are kept, as many as there is room for. A text never
 * changes; who has it keeps it. Threads: any. */
#ifndef MATRIXFS_READY_H
#define MATRIXFS_READY_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/base/buf.h"

struct ready;
struct ready_text;

enum ready_packing { READY_PLAIN, READY_GZIP, READY_ZSTD, READY_PACKINGS };

/* What a text says of itself. */
struct ready_note {
	uint64_t version; /* of what else it was told from, see docs.h; 0: of nothing else */
	/* Of a list: where its next page begins, in whatever its maker counts; of conflicts: 1 if
	 * there may be more. */
	uint32_t next;
};

/* All texts together may take max_bytes. -ENOMEM. */
MUST_USE int ready_new(uint64_t max_bytes, struct ready **ret);
/* All texts must have been given back. NULL is fine. */
void ready_free(struct ready *r);
/* The text under a key, to be given back; NULL if there is none. */
struct ready_text *ready_find(struct ready *r, const char *key);
/* Takes a text, which replaces the one under that key, and returns it, to be given back. What is
 * very large is only returned. -ENOMEM. */
MUST_USE int ready_put(struct ready *r, const char *key, struct buf *text,
		       const struct ready_note *note, struct ready_text **ret);
/* Forgets all that is kept: something was told that is not so any more. */
void ready_empty(struct ready *r);
/* How often that was so far; and ready_put of what was worked out from that number on, which is
 * only returned if it was once more: it may be of what is not so any more. */
uint64_t ready_emptied(struct ready *r);
MUST_USE int ready_put_since(struct ready *r, uint64_t emptied, const char *key, struct buf *text,
			     const struct ready_note *note, struct ready_text **ret);
/* Holds it once more (returns its argument); gives it back; NULL is fine for the latter. */
struct ready_text *ready_ref(struct ready_text *t);
void ready_unref(struct ready_text *t);
void ready_unrefp(struct ready_text **t);

/* What it says of itself; borrowed as long as the text is held. */
const struct ready_note *ready_note_of(const struct ready_text *t);
/* A weak entity tag, quotes and all: of the text, however it is packed. */
const char *ready_etag(const struct ready_text *t);
/* Its bytes in that packing, or plain where that is no gain: the packing they have. Borrowed until
 * it is given back. */
enum ready_packing ready_bytes(struct ready_text *t, enum ready_packing wanted, const void **ret,
			       size_t *ret_len);

/* The packing for who sends this Accept-Encoding field (NULL: none). */
enum ready_packing ready_accepted(const char *field);
/* Its name in Content-Encoding, NULL for plain. */
const char *ready_packing_name(enum ready_packing p);

#endif
