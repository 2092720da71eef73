/* SPDX-License-Identifier: Apache-2.0 */
/* The rules by which a node answers a member that asks for bytes. The simulation of many nodes runs
 * them, too. Times are the caller's, in ms. Threads: any. */
#ifndef MATRIXFS_DECIDE_H
#define MATRIXFS_DECIDE_H

#include "daemon/peer/fanout.h"
#include "daemon/peer/members.h"
#include "daemon/peer/placement_cache.h"
#include "daemon/peer/segment_notes.h"

/* A node that is asked; all borrowed. */
struct decide_here {
	const struct membership *members;
	struct placement_cache *placement;
	struct segment_notes *notes;
	struct fanout *fanout;
};

/* Who asks, and for what. */
struct decide_ask {
	struct segment segment;
	uint64_t size;          /* of the blob, in bytes */
	uint64_t guest, zone;   /* keys of who asks, and of its zone */
	const uint64_t *failed; /* keys of those it was sent to in vain; borrowed */
	unsigned failed_count;
	/* Its number among those who want the segment (segment_notes.h), if another member sent it
	 * here; else 0. */
	uint32_t number;
	uint64_t origin; /* that it names: see wire_origin */
	bool bring;      /* what is not here may be brought for it */
};

/* What this node has of the bytes asked for. */
struct decide_held {
	bool present; /* the first of them are here */
	bool hidden;  /* but none are given before all of the blob is known to be right */
	bool failing; /* upstream fails whatever is to bring them */
	bool full;    /* what is not here would not be kept: the disk takes nothing */
};

enum decision {
	DECIDE_GIVE,     /* what is there */
	DECIDE_WAIT,     /* until it is: it is being brought, or is to be */
	DECIDE_COMING,   /* the guest has waited as long as it may, and is to ask again */
	DECIDE_FAILED,   /* likewise: upstream fails, for this node or as others say */
	DECIDE_NOT_HERE, /* and it is not brought for this guest */
	DECIDE_FULL,     /* it would be brought, and cannot be kept */
};

/* Whom the guest is to ask instead of this node: indexes in here->members, in this order, and as
 * *ret_number the guest's number then. Only for who was not sent here, and if this node is to
 * arrange who gives the segment to whom: it owns it, or would be asked for it if the owners were
 * not there. 0: this node decides by decide_bytes. */
unsigned decide_others(const struct decide_here *here, const struct decide_ask *ask, int64_t now_ms,
		       uint32_t ret[static FANOUT_NAMES_MAX], uint32_t *ret_number);
/* What becomes of a question that is not sent elsewhere; `late`: the guest has waited as long as it
 * asked to. *ret_number: the guest's number, if it gets the bytes from here. */
enum decision decide_bytes(const struct decide_here *here, const struct decide_ask *ask,
			   const struct decide_held *held, bool late, int64_t now_ms,
			   uint32_t *ret_number);
/* For how long, in ms, no bytes have come that lead to those a guest waits for: neither to this
 * node, where the run that is to bring them last got some at run_ms (or was begun then; 0: not
 * known), nor to whom it waits for, as far as it was told. -1: nothing is known. Because it is an
 * age, and what is passed on of others grows older on its way, those who wait in a ring tell each
 * other nothing new. */
int64_t decide_quiet_ms(struct segment_notes *notes, struct segment segment, int64_t run_ms,
			int64_t now_ms);

#endif
