/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories that are hosted here: which there are, what their refs name, and their git objects.
 * All calls run inside a transaction of db, so that what belongs together comes at one moment.
 * Objects have git's ids and hold git's bytes; those of one repository are found by no other. Of
 * a file's bytes there is but the size: they lie where blobs do, by their etag. Threads: any. */
#ifndef MATRIXFS_REGISTRY_H
#define MATRIXFS_REGISTRY_H

#include <stdint.h>

#include "admin/account/accounts.h"
#include "admin/db.h"
#include "admin/git/gitobject.h"
#include "admin/registry/objects.h"
#include "daemon/model/manifest.h"
#include "daemon/model/repo_id.h"

#define REGISTRY_UID 24 /* hex digits */
#define REGISTRY_TEXT_MAX 1024
#define REGISTRY_MAIN "refs/heads/main"
#define REGISTRY_BRANCHES "refs/heads/"
#define REGISTRY_TAGS "refs/tags/"
#define REGISTRY_REF_MAX (sizeof(REGISTRY_BRANCHES) - 1 + REVISION_MAX)

/* Whether its files are for those alone who were let in, who may be all who ask. */
enum registry_gating { REGISTRY_OPEN, REGISTRY_GATED_AUTO, REGISTRY_GATED_MANUAL };

struct registry_repo {
	struct repo_id id;          /* as it is written */
	char uid[REGISTRY_UID + 1]; /* its own for ever */
	char creator[ACCOUNT_NAME_MAX + 1];
	char sdk[ACCOUNT_NAME_MAX + 1];          /* of a Space, or "" */
	char description[REGISTRY_TEXT_MAX + 1]; /* "" : none */
	int64_t created_s;
	enum registry_gating gating;
	bool discussions_disabled;
};

/* The one of that name, in whatever letters. -ENOENT; ERR_CORRUPT. */
MUST_USE int registry_get(struct db_txn *t, const struct repo_id *id, struct registry_repo *ret);
/* Makes it, with a uid that it has already, or -EEXIST; or changes it. In another namespace than
 * before ERR_QUOTA, if that may not hold its files (holdings.h). */
MUST_USE int registry_add(struct db_txn *t, const struct registry_repo *repo);
MUST_USE int registry_change(struct db_txn *t, const struct registry_repo *repo);
/* Its row is found by another name, which no other has: see renaming.h. */
MUST_USE int registry_rename(struct db_txn *t, struct registry_repo *repo,
			     const struct repo_id *to);
/* "auto", "manual", or NULL: it is open. */
const char *registry_gating_word(enum registry_gating gating);
/* It goes with its refs and objects, all that is said of them, and with who was let in. Whether it
 * may: refs.h. */
MUST_USE int registry_remove(struct db_txn *t, const struct registry_repo *repo);
MUST_USE int registry_remove_rows(struct db_txn *t, const char *uid);
typedef int (*registry_fn)(void *arg, const struct registry_repo *repo);
/* Calls fn for each, by its name, until it returns non-zero, and returns that. fn may read. */
MUST_USE int registry_each(struct db_txn *t, registry_fn fn, void *arg);
/* The same for those of one namespace. */
MUST_USE int registry_each_in(struct db_txn *t, const char *namespace, registry_fn fn, void *arg);
/* What the one of that uid is called now, in small letters. -ENOENT. */
MUST_USE int registry_name(struct db_txn *t, const char *uid, struct repo_id *ret);
/* It, as it is now, whatever was found before the transaction began. ERR_NOREPO: it is gone. */
MUST_USE int registry_now(struct db_txn *t, const char *uid, struct registry_repo *ret);
/* Hex digits that no other repository has. -EIO. */
MUST_USE int registry_make_uid(char ret[static REGISTRY_UID + 1]);

/* What "refs/heads/main" names, -ENOENT. To delete what is absent is no failure. The next two ask
 * no lock: a ref changes by ref_change (refs.h) alone. A commit that a ref names no longer, and
 * that is no parent of the next one, is remembered: left_commits.h. */
MUST_USE int registry_ref(struct db_txn *t, const char *uid, const char *ref,
			  char ret[static COMMIT_HEX + 1]);
MUST_USE int registry_put_ref(struct db_txn *t, const char *uid, const char *ref,
			      const char *commit);
MUST_USE int registry_drop_ref(struct db_txn *t, const char *uid, const char *ref);
typedef int (*registry_ref_fn)(void *arg, const char *ref, const char *commit);
/* Calls fn for each that begins so, in their order, until it returns non-zero, and returns that. */
MUST_USE int registry_each_ref(struct db_txn *t, const char *uid, const char *prefix,
			       registry_ref_fn fn, void *arg);
/* The commit that a revision names: a branch, a tag, a ref written out, or the beginning of a
 * commit's id, seven digits at least. ERR_NOREV. */
MUST_USE int registry_find(struct db_txn *t, const char *uid, const char *revision,
			   char ret[static COMMIT_HEX + 1]);

/* The bytes of an object, appended. -ENOENT, also if it is of another kind. */
MUST_USE int registry_object(struct db_txn *t, const char *uid, enum registry_kind kind,
			     const uint8_t id[static GIT_ID], struct buf *ret);
/* Adds it if it is not there, or in the place of what is gone. ERR_QUOTA: objects.h. */
MUST_USE int registry_put_object(struct db_txn *t, const char *uid, enum registry_kind kind,
				 const uint8_t id[static GIT_ID], const void *data, size_t len);
typedef int (*registry_object_fn)(void *arg, enum registry_kind kind,
				  const uint8_t id[static GIT_ID], const char *data, size_t len);
/* Calls fn for each of a repository, by its id, until it returns non-zero, and returns that. */
MUST_USE int registry_each_object(struct db_txn *t, const char *uid, registry_object_fn fn,
				  void *arg);
/* A commit, whose texts lie in `room`. ERR_NOREV if there is none. */
MUST_USE int registry_commit(struct db_txn *t, const char *uid, const char *commit,
			     struct buf *room, struct git_commit *ret);
/* The same of a commit that another object names. ERR_CORRUPT if there is none. */
MUST_USE int registry_commit_of(struct db_txn *t, const char *uid, const uint8_t id[static GIT_ID],
				struct buf *room, struct git_commit *ret);
/* What the id of a file in a tree stands for. -ENOENT if it was deleted for good; ERR_CORRUPT if it
 * is not there. */
MUST_USE int registry_file(struct db_txn *t, const char *uid, const uint8_t id[static GIT_ID],
			   struct manifest_file *ret);
/* What stands in git for one that was deleted for good. -ENOENT if it was not. */
MUST_USE int registry_gone(struct db_txn *t, const char *uid, const uint8_t id[static GIT_ID],
			   struct manifest_file *ret);

#endif
