/* SPDX-License-Identifier: Apache-2.0 */
/* Writes one JSON text, piece by piece, into a buf; commas come by themselves. `key` is the
 * member's name inside an object and NULL elsewhere. Bytes that are no UTF-8 become U+FFFD, so
 * that what comes out can always be parsed. A failed append is kept in the buf. Pure. */
#ifndef MATRIXFS_JWRITE_H
#define MATRIXFS_JWRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/buf.h"

struct jwrite {
	struct buf *to;
	bool more; /* a comma comes before the next value */
};

/* Begin and end an object or an array. */
void jwrite_object(struct jwrite *w, const char *key);
void jwrite_object_end(struct jwrite *w);
void jwrite_array(struct jwrite *w, const char *key);
void jwrite_array_end(struct jwrite *w);
/* One value. A NULL text is null; a number that is none (NaN) as well. */
void jwrite_text(struct jwrite *w, const char *key, const char *text);
void jwrite_uint(struct jwrite *w, const char *key, uint64_t value);
void jwrite_int(struct jwrite *w, const char *key, int64_t value);
void jwrite_number(struct jwrite *w, const char *key, double value);
void jwrite_bool(struct jwrite *w, const char *key, bool value);
/* A moment as ISO 8601 has it: milliseconds since 1970. */
void jwrite_time(struct jwrite *w, const char *key, int64_t ms);
/* What is a JSON text already. */
void jwrite_json(struct jwrite *w, const char *key, const char *text);
void jwrite_null(struct jwrite *w, const char *key);

#endif
