/* SPDX-License-Identifier: Apache-2.0 */
/* Gated repositories, which anybody may find and whose files are for those who were let in: who has
 * asked for that, and what came of it. A row for each repository and user. All calls run inside a
 * transaction of db. Threads: any. */
#ifndef MATRIXFS_GATE_H
#define MATRIXFS_GATE_H

#include <stdint.h>

#include "admin/registry/registry.h"

#define GATE_FIELDS_MAX 8192 /* bytes of what somebody says of themselves */

enum gate_status {
	GATE_UNASKED,
	GATE_PENDING,
	GATE_ACCEPTED,
	GATE_REJECTED,
	GATE_RESET, /* they are to ask again */
	GATE_STATUS_COUNT
};

struct gate_request {
	char id[REGISTRY_UID + 1];
	char user[ACCOUNT_NAME_MAX + 1]; /* as the account is written */
	enum gate_status status;
	int64_t asked_s, reviewed_s;   /* reviewed_s 0: nobody has looked at it */
	char by[ACCOUNT_NAME_MAX + 1]; /* who let them in, or "" */
	struct buf fields;             /* what they said of themselves, a JSON object; or empty */
};

/* Frees what it holds. */
void gate_request_fini(struct gate_request *r);
/* "pending" and its like, and the inverse: GATE_UNASKED if it is none. */
const char *gate_word(enum gate_status status);
enum gate_status gate_status_of(const char *word);

/* The request of a user, -ENOENT. ret is zeroed before, or holds one: it is to be freed in any
 * case. */
MUST_USE int gate_get(struct db_txn *t, const char *uid, const char *user,
		      struct gate_request *ret);
/* Adds it, or changes it. */
MUST_USE int gate_put(struct db_txn *t, const char *uid, const struct gate_request *r);
MUST_USE int gate_del(struct db_txn *t, const char *uid, const char *user);
typedef int (*gate_fn)(void *arg, const struct gate_request *r);
/* Calls fn for each behind that user ("": all), by name, until it returns non-zero, and returns
 * that. fn may read. */
MUST_USE int gate_each(struct db_txn *t, const char *uid, const char *after, gate_fn fn, void *arg);
/* The account goes: another one of its name was let in nowhere. */
MUST_USE int gate_forget_user(struct db_txn *t, const char *user);

#endif
