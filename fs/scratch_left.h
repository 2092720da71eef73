/* SPDX-License-Identifier: Apache-2.0 */
/* The scratch as records of an estate: what lives in it is there for the next process, too. Where
 * there is no estate, nothing is written. What a record finds no room for is not left, which nobody
 * here is told. Threads: as scratch_node.h. */
#ifndef MATRIXFS_SCRATCH_LEFT_H
#define MATRIXFS_SCRATCH_LEFT_H

#include "fs/scratch_node.h"

/* What an ESTATE_NODE holds. */
struct scratch_left {
	uint64_t id, size;
	uint64_t last_id;         /* the root's: the highest that was ever given */
	struct timespec times[3]; /* atime, mtime, ctime */
	uint32_t mode, uid, gid;
	uint32_t bytes;  /* ESTATE_BYTES, or 0 */
	uint32_t target; /* ESTATE_TEXT, or 0 */
	uint8_t side, mirrors, unused[2];
};

/* What an ESTATE_ENTRY holds; behind it is the name. */
struct scratch_left_entry {
	uint64_t dir, node;
};

/* A node came to life / died. */
void scratch_left_add(struct scratch *s, struct scratch_node *n);
void scratch_left_del(struct scratch *s, struct scratch_node *n);
/* Something about it is not what it was. */
void scratch_left_note(struct scratch *s, const struct scratch_node *n);
/* A name was put into its directory / is about to go. */
void scratch_left_name(struct scratch *s, struct scratch_entry *e);
void scratch_left_unname(struct scratch *s, const struct scratch_entry *e);
/* Room for so many bytes of content, in which what it has so far stays, as far as that fits; 0:
 * none. -ENOMEM: all is as it was. */
MUST_USE int scratch_left_room(struct scratch *s, struct scratch_node *n, uint64_t cap);

#endif
