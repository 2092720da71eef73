/* SPDX-License-Identifier: Apache-2.0 */
/* Finds out which chunks of a blob are wrong, when its digest is, and who gave them: by the list
 * that a hub publishes; else by what the owners of its segments say of what others gave; else by
 * witnesses, who have each segment from upstream once more, whoever asks, and only digest it.
 * The witness of a segment follows its owner. Whom a witness contradicts may be right: then a
 * second one is heard, and two of the three have it right. The chunks that are wrong are
 * dropped, who gave them (or gave false witness) is banned, and what the digests must be is
 * remembered. Threads: any. */
#ifndef MATRIXFS_INQUIRY_H
#define MATRIXFS_INQUIRY_H

#include "daemon/fetch/inquest.h"
#include "daemon/peer/evidence.h"
#include "daemon/peer/peer_counts.h"
#include "daemon/peer/places.h"
#include "daemon/peer/published.h"
#include "daemon/peer/question.h"
#include "daemon/peer/testimony.h"
#include "daemon/peer/trails.h"

struct inquiry_conf {
	struct members *members; /* borrowed, like all below */
	struct places *places;
	struct trails *trails;
	struct evidence *evidence;
	struct published *published;
	struct testimony *testimony; /* of this node */
	const struct asker *asker;
	struct peer_counts *counts;
	int64_t give_up_ms; /* after so long without an answer it has nothing to say */
};

/* See struct inquest. */
MUST_USE int inquiry_look(const struct inquiry_conf *conf, const struct doubt *d);

#endif
