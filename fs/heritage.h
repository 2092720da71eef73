/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes as records of an estate, and places from them. A number that the kernel knows from the
 * process before this one becomes an inode when it is used. No FUSE in here. Threads: the table of
 * inodes guards it, but for heritage_place. */
#ifndef MATRIXFS_HERITAGE_H
#define MATRIXFS_HERITAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/map.h"
#include "fs/estate.h"
#include "fs/view.h"

/* What an ESTATE_INODE holds. Each field changes by itself. */
struct heir {
	uint64_t number, lookups;
	/* ESTATE_NAME "REPOSITORY COMMIT" << 32 | node; a number of the scratch; or 0. */
	uint64_t where;
	uint64_t recent; /* of a blob: likewise, where it was looked up last; or 0 */
	uint64_t unused_1;
	uint32_t repo; /* ESTATE_NAME "REPOSITORY", or 0 */
	uint32_t name; /* ESTATE_TEXT: the place's, of its own; or 0 */
	int32_t backing_id;
	uint8_t kind, type, shared;
	uint8_t unused_2[9];
};

struct heritage {
	struct estate *estate;
	const struct view *view;
	struct map names; /* of repositories and commits, by their text */
};

/* Of an estate (NULL: of none) and a view, both borrowed; with the names that are in there.
 * -ENOMEM. fini in any case. */
MUST_USE int heritage_init(struct heritage *h, struct estate *e, const struct view *v);
void heritage_fini(struct heritage *h);
/* A record for the inode of a place; *ret is 0 if there is no estate. -ENOMEM. */
MUST_USE int heritage_add(struct heritage *h, uint64_t number, const struct place *p,
			  uint32_t *ret);
void heritage_del(struct heritage *h, uint32_t record);
/* A blob was looked up there. That it could not be noted does no harm. */
void heritage_recent(struct heritage *h, uint32_t record, const struct place *p);
/* True if that record is about the inode of that place. */
bool heritage_is(struct heritage *h, const struct heir *heir, const struct place *p);
/* The place of a record, and of a blob where it was looked up last (else *ret_recent is of no
 * snapshot); owned. -ESTALE: there is no such place any more. Waits for no hub. */
MUST_USE int heritage_place(const struct heritage *h, const struct heir *heir, struct place *ret,
			    struct place *ret_recent);

#endif
