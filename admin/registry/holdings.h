/* SPDX-License-Identifier: Apache-2.0 */
/* Which namespaces hold which blobs, and how many bytes that is. A namespace holds a blob once for
 * each of its repositories whose objects have it, and once for each it was brought for and that has
 * not committed it yet; its bytes count once. What nobody holds is needed by nobody: the rows are
 * written in the transactions that bring and remove what holds, so they are right in each
 * transaction, and a collector that removes a blob inside one cannot be late. All calls run inside
 * a transaction of db. A damaged row keeps nobody: one of a blob counts as none until the collector
 * counts it anew; one of a namespace is counted anew, and its limit is gone. Those that read say
 * nothing of it; those that write mend it, and log that, since nobody above sees it. Threads:
 * any. */
#ifndef MATRIXFS_HOLDINGS_H
#define MATRIXFS_HOLDINGS_H

#include <stdint.h>

#include "admin/account/accounts.h"
#include "admin/db.h"

/* No account can have that name: it holds what accounts brought for others that are gone since. */
#define HOLDINGS_NOBODY "-"

struct holdings_use {
	uint64_t bytes, files; /* that it holds, each blob once */
	uint64_t limit;        /* of bytes; 0: none */
};

/* The namespace of a repository's key ("models/Org/name"), in small letters. "" if it has none. */
void holdings_namespace(const char *repo_key, char ret[static ACCOUNT_NAME_MAX + 1]);
/* Who holds bytes of a repository of that namespace: the one that pays for them in its place, or,
 * if that is NULL or "", it. */
static inline const char *holdings_payer(const char *payer, const char *namespace)
{
	return payer && *payer ? payer : namespace;
}

/* One more holds it. ERR_QUOTA if the namespace held it not yet, and may not hold so much. */
MUST_USE int holdings_add(struct db_txn *t, const char *namespace, const char *etag, uint64_t size);
/* One less. What is not held stays so. */
MUST_USE int holdings_drop(struct db_txn *t, const char *namespace, const char *etag);
/* So many hold it, whatever was noted, and whatever the limit: what was counted anew. */
MUST_USE int holdings_set(struct db_txn *t, const char *namespace, const char *etag, uint64_t size,
			  uint64_t count);
/* How many do; 0 is none. */
MUST_USE int holdings_count(struct db_txn *t, const char *namespace, const char *etag,
			    uint64_t *ret);
/* 1 if anybody holds it, else 0. */
MUST_USE int holdings_any(struct db_txn *t, const char *etag);
typedef int (*holdings_fn)(void *arg, const char *etag, const char *namespace, uint64_t count,
			   uint64_t size);
/* Calls fn for each behind that key (of `key_ret`, as fn was last called with; "": from the first)
 * by etag, until it returns non-zero, and returns that. */
MUST_USE int holdings_each(struct db_txn *t, struct db_key after, holdings_fn fn, void *arg);
/* The key of one, in `room`. */
struct db_key holdings_key(struct buf *room, const char *etag, const char *namespace);

/* What a namespace holds and may; all zero of one nobody spoke of. */
MUST_USE int holdings_use(struct db_txn *t, const char *namespace, struct holdings_use *ret);
/* ERR_QUOTA if so many bytes more would be too many, as far as can be told before they come. */
MUST_USE int holdings_check(struct db_txn *t, const char *namespace, uint64_t more);
/* 0: no limit. Who holds more than that keeps it, and gets nothing more. */
MUST_USE int holdings_limit(struct db_txn *t, const char *namespace, uint64_t bytes);
typedef int (*holdings_use_fn)(void *arg, const char *namespace, const struct holdings_use *use);
/* Calls fn for each namespace behind `after` (NULL: from the first) by name, likewise. */
MUST_USE int holdings_each_use(struct db_txn *t, const char *after, holdings_use_fn fn, void *arg);

/* Appends the sentence for who is refused: what is used, what may be, and what to do. */
void holdings_complain(const char *namespace, const struct holdings_use *use, struct buf *ret);

#endif
