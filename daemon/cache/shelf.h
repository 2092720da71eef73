/* SPDX-License-Identifier: Apache-2.0 */
/* Documents as they are kept: in memory what is noted of each, in the order of use; their texts in
 * the catalog, or in memory if a full disk does not take them. When they get too many, those go
 * that were used longest ago. A document is called by a digest of what was asked. Nothing is read
 * before the first question. Threads: any. */
#ifndef MATRIXFS_SHELF_H
#define MATRIXFS_SHELF_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/cache/catalog_docs.h"

struct shelf;

/* What is noted of a document. */
struct shelf_note {
	int64_t age_ms;     /* since a hub said so; CLOCK_FOREVER if that is not known */
	int64_t checked_ms; /* the same as a clock_ms() value; 0 if it is not known */
	int64_t failed_ms;  /* no hub could be asked since, or 0 */
	int64_t asked_ms;   /* hubs are being asked since, or 0 */
	uint64_t version;   /* another for each text that was ever kept, as long as we run */
};

/* The catalog is borrowed until shelf_free, which notes when each was used last. All may take
 * max_bytes of the index, and 32 MiB of the memory. */
MUST_USE int shelf_new(struct catalog *catalog, uint64_t max_bytes, struct shelf **ret);
void shelf_free(struct shelf *s);

/* What is noted of a document. -ENOENT, or why the index cannot be read. */
MUST_USE int shelf_find(struct shelf *s, const char *name, struct shelf_note *ret);
/* The last version there was: it grows with each text that comes or goes. */
uint64_t shelf_versions(struct shelf *s);
/* It was of use, though nobody reads its text. */
void shelf_use(struct shelf *s, const char *name);
/* Appends it, and counts as a use. -ENOENT, also if its row is damaged. */
MUST_USE int shelf_get(struct shelf *s, const char *name, struct buf *ret_text,
		       struct buf *ret_next);
/* A hub says so, now. It is kept when this returns; what has not changed costs the disk nothing. */
MUST_USE int shelf_put(struct shelf *s, const char *name, const struct buf *text,
		       const struct buf *next);
/* A hub says that there is no such thing. */
MUST_USE int shelf_drop(struct shelf *s, const char *name);
/* Hubs are asked about it from now on, or could not be. False if there is no such document. */
bool shelf_asks(struct shelf *s, const char *name);
bool shelf_failed(struct shelf *s, const char *name);

#endif
