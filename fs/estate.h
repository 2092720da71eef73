/* SPDX-License-Identifier: Apache-2.0 */
/* What a process leaves to the one that takes its place, however it ends: records in memory that
 * lives as long as somebody holds its descriptor, and here somebody else does, too. A record is
 * there from one instruction to the next, so a kill leaves none by half. What records of a kind
 * hold is said where the kind is used; a change of that is a new ESTATE_VERSION. Most processes
 * leave nothing: for NULL instead of an estate nothing is written. No FUSE in here. Threads: any;
 * what is in a record is its owner's. */
#ifndef MATRIXFS_ESTATE_H
#define MATRIXFS_ESTATE_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/base/own.h"

#define ESTATE_VERSION 2

struct estate;

/* Numbers stay what they are. */
enum estate_kind {
	ESTATE_NOTHING = 0,
	ESTATE_SESSION = 1, /* handshake.h */
	ESTATE_NAME = 2,    /* heritage.h, like the next two */
	ESTATE_TEXT = 3,
	ESTATE_INODE = 4,
	ESTATE_OPEN = 5, /* openfile.h */
	ESTATE_NODE = 6, /* scratch_left.h, like the next two */
	ESTATE_ENTRY = 7,
	ESTATE_BYTES = 8,
};

/* An empty one. */
MUST_USE int estate_new(struct estate **ret);
/* The one that a process left; the descriptor stays the caller's. ERR_FORMAT: another version's;
 * ERR_CORRUPT. */
MUST_USE int estate_inherit(int fd, struct estate **ret);
void estate_free(struct estate *e);
/* Its descriptor, borrowed. */
int estate_fd(const struct estate *e);
/* From now on nothing that happens here is for the next process. */
MUST_USE int estate_leave(struct estate *e);

/* A record with these bytes (data NULL: zeros). *ret is its number, never 0; 0 if e is NULL.
 * -ENOMEM: there is no room, or it is of 4 GiB or more. */
MUST_USE int estate_add(struct estate *e, enum estate_kind kind, const void *data, size_t len,
			uint32_t *ret);
/* Takes a record away, and nothing of it stays readable; 0 is none. */
void estate_del(struct estate *e, uint32_t id);
/* The bytes of a record, at an address that is a multiple of 16; borrowed until it is taken away.
 * NULL for 0. */
void *estate_at(struct estate *e, uint32_t id);
/* The same of one that another process wrote: NULL unless there is one of that kind, with at least
 * so many bytes. */
void *estate_check(struct estate *e, uint32_t id, enum estate_kind kind, size_t min_len,
		   size_t *ret_len);
/* Calls fn for each record of a kind until it returns non-zero, and returns that. fn must not add;
 * it may take away the one it is called with. */
typedef int (*estate_each_fn)(void *arg, uint32_t id, void *data, size_t len);
int estate_each(struct estate *e, enum estate_kind kind, estate_each_fn fn, void *arg);

#endif
