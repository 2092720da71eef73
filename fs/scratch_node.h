/* SPDX-License-Identifier: Apache-2.0 */
/* The tree inside a scratch: which nodes live, under which names, how old they are, and which are
 * forgotten to make room. Knows no paths, checks no rules of POSIX: that is for scratch.c and
 * scratch_look.c, and nobody else sees into a scratch. Threads: all of it needs the scratch's lock,
 * so no name says _locked. */
#ifndef MATRIXFS_SCRATCH_NODE_H
#define MATRIXFS_SCRATCH_NODE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "daemon/base/lock.h"
#include "daemon/base/map.h"
#include "fs/scratch.h"

struct scratch_entry {
	struct scratch_node *dir, *node;
	struct scratch_entry *next; /* another name of the same node */
	uint32_t record;            /* in the estate; 0: none */
	char name[];
};

/* What lies below hub/ is anybody's, and what lies beside it its owner's: neither takes the other's
 * room (scratch_room_for_bytes). */
enum scratch_side { SCRATCH_BESIDE_HUB = 0, SCRATCH_BELOW_HUB = 1, SCRATCH_SIDES };

/* Guarded by the scratch's lock, but for the first five. */
struct scratch_node {
	uint64_t id;
	enum scratch_side side;
	bool mirrors;     /* a directory that is there for what lies in it (scratch_dir) */
	char *target;     /* of a symbolic link */
	atomic_uint refs; /* rises from 0, and falls, only under the lock */

	TAILQ_ENTRY(scratch_node) age;
	struct scratch_entry *names;
	unsigned name_count, open_count;
	bool alive;

	mode_t mode;
	uid_t uid;
	gid_t gid;
	struct timespec atime, mtime, ctime;

	uint8_t *data; /* of a regular file: cap bytes, of which size are its content */
	uint64_t size, cap;
	uint32_t record, bytes; /* in the estate: it, and data; 0: none */

	struct scratch_entry **entries; /* of a directory: room slots, of which count are used */
	size_t count, room;
	unsigned subdir_count;
};

TAILQ_HEAD(scratch_ages, scratch_node);

struct scratch {
	struct scratch_conf conf;
	struct scratch_node *root;
	struct estate *estate; /* or NULL */
	struct lock lock;
	/* Guarded by lock. */
	struct scratch_part {
		struct scratch_ages by_age;
		uint64_t bytes, nodes; /* of the living, the root among them */
	} parts[SCRATCH_SIDES];
	uint64_t last_id;
	struct map by_id; /* all that have not been freed */
};

/* A node with one reference and no life yet. -ENOMEM. */
MUST_USE int scratch_node_new(struct scratch *s, enum scratch_side side, mode_t mode, uid_t uid,
			      gid_t gid, const char *target, struct scratch_node **ret);
void scratch_node_free(struct scratch *s, struct scratch_node *n);
/* Counts a node that came to life, buries one that died, frees one that nobody refers to: a node
 * that is neither named, open nor referred to is gone when this returns. */
void scratch_node_settle(struct scratch *s, struct scratch_node *n);
void scratch_node_unref(struct scratch *s, struct scratch_node *n);
/* Its content changed just now: the node is the youngest. */
void scratch_node_written(struct scratch *s, struct scratch_node *n);
/* True if it has lost its last name: a directory that takes no entries any more. */
bool scratch_node_is_removed(const struct scratch *s, const struct scratch_node *n);

/* The entry of a directory, or NULL; borrowed until it is detached. */
struct scratch_entry *scratch_entry_find(const struct scratch_node *dir, const char *name);
/* On which side a name in a directory is. */
enum scratch_side scratch_entry_side(const struct scratch *s, const struct scratch_node *dir,
				     const char *name);
/* Prepares an entry, and a slot of the directory for it, so that attaching cannot fail. -ENOMEM. */
MUST_USE int scratch_entry_new(struct scratch_node *dir, const char *name,
			       struct scratch_entry **ret);
/* Puts an entry (taken) into its directory as a name of this node. */
void scratch_entry_attach(struct scratch *s, struct scratch_entry *e, struct scratch_node *node);
/* The same of what was there before: nothing has changed by it. And a node that was. */
void scratch_entry_restore(struct scratch_entry *e, struct scratch_node *node);
void scratch_node_restore(struct scratch *s, struct scratch_node *n);
/* Frees an entry. The node stays unsettled: it may be about to get another name. */
void scratch_entry_detach(struct scratch *s, struct scratch_entry *e);

/* Forget the oldest until one more node of a side, for the directory `dir`, or more bytes in the
 * node `grows`, fit: of the same side, but for what the other one has taken beyond its half.
 * -ENOSPC if they cannot fit; for bytes nothing was forgotten then. */
MUST_USE int scratch_room_for_node(struct scratch *s, enum scratch_side side,
				   const struct scratch_node *dir);
MUST_USE int scratch_room_for_bytes(struct scratch *s, const struct scratch_node *grows,
				    uint64_t more);

#endif
