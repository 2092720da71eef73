/* SPDX-License-Identifier: Apache-2.0 */
/* Which objects of a repository its refs reach: the others are the collector's. What is found holds
 * as long as the refs stay as they were, since objects never change; so it is found in one
 * transaction, and each that takes something away asks first whether they did. 22 bytes of memory
 * an object. Threads: its owner's. */
#ifndef MATRIXFS_REACH_H
#define MATRIXFS_REACH_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/registry/registry.h"

#define REACH_OBJECTS_MAX (4 * 1024 * 1024)

struct reach_object {
	uint8_t id[GIT_ID];
	char kind; /* enum registry_kind */
	bool reached;
};

/* Zeroed, but for uid and left_s. */
struct reach {
	const char *uid;    /* borrowed */
	int64_t left_s;     /* commits that refs left since that second count as if they had not */
	struct buf objects; /* struct reach_object, by id */
	uint64_t refs_digest;
};

/* Inside a transaction: finds them anew. ERR_CORRUPT if something that is reached is not there, or
 * damaged; -E2BIG if there are more than REACH_OBJECTS_MAX. */
MUST_USE int reach_find(struct db_txn *t, struct reach *r);
/* Inside a later one: 1 if all that was found holds, 0 if not. */
MUST_USE int reach_holds(struct db_txn *t, const struct reach *r);
size_t reach_count(const struct reach *r);
const struct reach_object *reach_object(const struct reach *r, size_t i);
void reach_fini(struct reach *r);

#endif
