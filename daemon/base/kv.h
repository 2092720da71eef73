/* SPDX-License-Identifier: Apache-2.0 */
/* Door to LMDB: one environment, named tables, short transactions. Values are copied out before a
 * transaction ends. A full map is enlarged and the write run again, unseen by the caller. A
 * commit is durable (fdatasync) when kv_write returns. Threads: any; writes run one after
 * another. */
#ifndef MATRIXFS_KV_H
#define MATRIXFS_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/buf.h"

#define KV_TABLES_MAX 8
#define KV_KEY_MAX 511

struct kv;
struct kv_txn;

struct kv_conf {
	const char *dir;           /* must exist */
	const char *const *tables; /* names; the index in this array names a table below */
	unsigned table_count;      /* <= KV_TABLES_MAX */
	uint64_t map_bytes;        /* first size of the map; it doubles when full */
	/* Each row carries an XXH3 of its key and value. One whose sum is wrong is ERR_CORRUPT for
	 * kv_get, and left out by kv_each. */
	bool sums;
};

struct kv_key {
	const void *data;
	size_t len; /* <= KV_KEY_MAX, LMDB's limit */
};

typedef int (*kv_txn_fn)(struct kv_txn *t, void *arg);
typedef int (*kv_each_fn)(void *arg, const struct kv_key *key, const void *val, size_t val_len);

/* 0; -ENOENT and the like as for files; ERR_CORRUPT if it is no LMDB environment. */
MUST_USE int kv_open(const struct kv_conf *conf, struct kv **ret);
void kv_close(struct kv *kv);

/* Appends the value to ret. -ENOENT if the key is not there. */
MUST_USE int kv_get(struct kv *kv, unsigned table, struct kv_key key, struct buf *ret);
/* Calls fn for each key that begins with prefix (len 0: all), in key order, inside a read
 * transaction: fn copies what it keeps and calls nothing of this module. Non-zero from fn ends
 * and is returned. */
MUST_USE int kv_each(struct kv *kv, unsigned table, struct kv_key prefix, kv_each_fn fn, void *arg);
/* Runs fn in a read transaction: all it reads is of one moment. */
MUST_USE int kv_read(struct kv *kv, kv_txn_fn fn, void *arg);
/* Runs fn in a write transaction and commits if it returns 0. fn may run again after a map
 * growth, so it must have no other effect. */
MUST_USE int kv_write(struct kv *kv, kv_txn_fn fn, void *arg);
/* Inside kv_write. del of an absent key is 0. */
MUST_USE int kv_txn_put(struct kv_txn *t, unsigned table, struct kv_key key, const void *val,
			size_t len);
MUST_USE int kv_txn_del(struct kv_txn *t, unsigned table, struct kv_key key);
/* Inside kv_read or kv_write: as kv_get and kv_each. `after` (len 0: none) begins behind that
 * key, there or not; fn may read with the same transaction, but not write. */
MUST_USE int kv_txn_get(struct kv_txn *t, unsigned table, struct kv_key key, struct buf *ret);
MUST_USE int kv_txn_each(struct kv_txn *t, unsigned table, struct kv_key prefix,
			 struct kv_key after, kv_each_fn fn, void *arg);
/* The same with the damaged rows among them: they have no value (NULL, 0). */
MUST_USE int kv_txn_each_all(struct kv_txn *t, unsigned table, struct kv_key prefix, kv_each_fn fn,
			     void *arg);
/* The same from the last key to the first; `before` (len 0: none) begins in front of that key. */
MUST_USE int kv_txn_each_back(struct kv_txn *t, unsigned table, struct kv_key prefix,
			      struct kv_key before, kv_each_fn fn, void *arg);
/* One put or del in a transaction of its own. */
MUST_USE int kv_put(struct kv *kv, unsigned table, struct kv_key key, const void *val, size_t len);
MUST_USE int kv_del(struct kv *kv, unsigned table, struct kv_key key);
/* An environment that may be damaged, opened only to be read: LMDB trusts its pages, so that any
 * of these calls may end the process (see child.h). One thread, no other user of `dir`. */
struct kv_old;
MUST_USE int kv_old_open(const char *dir, struct kv_old **ret);
void kv_old_close(struct kv_old *old);
/* Appends the value as it is stored, a sum included. -ENOENT. */
MUST_USE int kv_old_get(struct kv_old *old, const char *table, struct kv_key key, struct buf *ret);
/* The same without its sum, which was right; else ERR_CORRUPT. */
MUST_USE int kv_old_get_sound(struct kv_old *old, const char *table, struct kv_key key,
			      struct buf *ret);
/* Copies the rows of one table of `to` that are sound; all if `sums` says they carry none.
 * *ret_lost counts those that are not there, or not sound. */
MUST_USE int kv_old_copy(struct kv_old *old, struct kv *to, unsigned table, bool sums,
			 uint64_t *ret_lost);

/* Copies all tables, as they are at one moment, into an empty directory, without what is free.
 * Durable when it returns. A write that has to enlarge the map waits for its end. */
MUST_USE int kv_copy(struct kv *kv, const char *dir);

/* Present size of the map, for tests and status. */
uint64_t kv_map_bytes(struct kv *kv);

#endif
