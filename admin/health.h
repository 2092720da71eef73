/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the hub can do all that it should. Threads: any. */
#ifndef MATRIXFS_HEALTH_H
#define MATRIXFS_HEALTH_H

#include "admin/server.h"

struct health {
	int index;      /* 0, or why the index of the data cannot be read */
	int read_only;  /* 0, or why nothing can be changed: ERR_READ_ONLY, or what the disk says */
	int audit;      /* 0, or why the audit trail cannot be written */
	unsigned lost;  /* blobs of people that are damaged or missing */
	unsigned names; /* given up, of which damage keeps what is said of who may see them */
	unsigned rules; /* about tags, whose rows are damaged: they hold, and let nobody promote */
	uint64_t disk_bytes, disk_free_bytes;
	unsigned upstreams, upstreams_down;
};

/* Looks now, but for rules, which are counted when they change and now and then, and for names,
 * which are those of the last start. */
void health_check(const struct server *s, struct health *ret);
/* What everything that changes something asks first: 0, or a failure to answer with. Reads go on:
 * what cannot be kept is given past the cache. */
MUST_USE int server_read_only(const struct server *s);
/* The same for who brings so many bytes: what is only kept for speed goes, if need be.
 * ERR_READ_ONLY without room for them. */
MUST_USE int server_room(struct server *s, uint64_t bytes);

#endif
