/* SPDX-License-Identifier: Apache-2.0 */
/* Who likes which of the repositories that are hosted here. A repository keeps what it has when it
 * gets another name. Inside a transaction of db. Threads: any. */
#ifndef MATRIXFS_LIKES_H
#define MATRIXFS_LIKES_H

#include "admin/registry/registry.h"

/* Once is enough: nothing changes then. */
MUST_USE int like_put(struct db_txn *t, const struct registry_repo *repo, const char *user,
		      int64_t now_s);
/* To take back what was not said is no failure. */
MUST_USE int like_del(struct db_txn *t, const char *uid, const char *user);
/* A repository goes, and all that it has: the catalogue is not told. Here and in the next, what is
 * damaged goes with the rest, and is logged here, since nobody above sees it: it keeps nobody. */
MUST_USE int likes_forget(struct db_txn *t, const char *uid);
/* All that somebody said go. */
MUST_USE int likes_forget_user(struct db_txn *t, const char *user);
/* How many a repository has: one row is read, or, if that is damaged, all of its likes. */
MUST_USE int likes_count(struct db_txn *t, const char *uid, uint64_t *ret);

typedef int (*liker_fn)(void *arg, const char *user);
/* Calls fn for each who likes a repository, by name, from behind `after` on ("": from the first),
 * until it returns non-zero, and returns that. */
MUST_USE int likes_each(struct db_txn *t, const char *uid, const char *after, liker_fn fn,
			void *arg);
/* What somebody likes: the repository as it was called then, and its uid. */
struct liked {
	struct repo_id then;
	char uid[REGISTRY_UID + 1];
	int64_t at_s;
};
typedef int (*liked_fn)(void *arg, const struct liked *liked);
/* Calls fn for each, by uid, as above. */
MUST_USE int likes_of(struct db_txn *t, const char *user, const char *after, liked_fn fn,
		      void *arg);

#endif
