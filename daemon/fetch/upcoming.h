/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are brought before anybody opens them: heads, tails and wholes, in the order in which
 * they were asked for. Each is open here until its bytes are there, so that what is under way
 * ends soon after it is given up. Little is asked for at a time, and asked again only while there
 * is room. Threads: the owner's. */
#ifndef MATRIXFS_UPCOMING_H
#define MATRIXFS_UPCOMING_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/fetch/fetch.h"
#include "daemon/model/snapshot.h"

struct upcoming_item;

enum upcoming_part {
	UPCOMING_HEAD,  /* the first MiB */
	UPCOMING_TAIL,  /* the last MiB */
	UPCOMING_WHOLE, /* all, and sealed */
};

struct upcoming {
	struct fetch *fetch; /* borrowed until upcoming_drop */
	/* True if so many bytes more do not drive others out of the cache. */
	bool (*has_room)(void *arg, uint64_t bytes);
	void *arg;
	struct upcoming_item *first; /* zero at first, as is what follows */
	unsigned count, open;
};

/* Asks for a part of a file. The wholes of one cause other than 0 come one after another. What is
 * asked for already, and what would be too much, is left out. */
void upcoming_add(struct upcoming *u, struct snapshot *s, uint32_t file, enum upcoming_part part,
		  uint64_t cause);
/* The cause has gone: its wholes are given up, unless they are there so many milliseconds later. */
void upcoming_end(struct upcoming *u, uint64_t cause, int64_t linger_ms);
/* Gives all up. */
void upcoming_drop(struct upcoming *u);
/* Moves all on; true if there is anything to come back for. */
bool upcoming_step(struct upcoming *u);

#endif
