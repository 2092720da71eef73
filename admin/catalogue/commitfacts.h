/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a commit that is hosted here say of their repository (facts.h), and how many
 * bytes they have: read, parsed and counted ahead of the transaction that wants to know, so that
 * nobody waits for it meanwhile. Threads: the owner's. */
#ifndef MATRIXFS_COMMITFACTS_H
#define MATRIXFS_COMMITFACTS_H

#include "admin/catalogue/extracts.h"
#include "admin/catalogue/facts.h"
#include "admin/registry/committing.h"
#include "admin/registry/registry.h"

/* What is known already. All zero but for extracts.intake: nothing is known yet. */
struct commitfacts {
	struct extracts extracts;
	struct facts facts; /* of the files that `of` lists; empty: of none yet */
	struct buf of;
	uint64_t made; /* facts, so far */
	/* A tree, and how many bytes all its files have; -1: that cannot be known. */
	bool counted;
	uint8_t tree[GIT_ID];
	int64_t bytes;
	uint64_t looked; /* files whose sizes were looked up to count them, so far */
};

/* Frees what it holds. */
void commitfacts_fini(struct commitfacts *x);
/* How many bytes of memory that is, more or less. */
size_t commitfacts_held(const struct commitfacts *x);

/* Inside db_write: x->facts are those of that commit, and *ret_bytes is how many bytes its files
 * have; anew: all of them are counted, or else only what is not as in a commit whose bytes are
 * known. What is not known yet is read while others wait. Files that cannot be read are passed
 * over, and so are texts of git-lfs, which are not for everybody who hears of the repository; if it
 * is a row of theirs, or of a directory, that cannot, *ret_bytes is -1. */
MUST_USE int commitfacts_make(struct db_txn *t, struct commitfacts *x,
			      const struct registry_repo *repo, const struct git_commit *commit,
			      bool anew, int64_t *ret_bytes);

/* What a transaction is going to make of a revision. */
struct commitfacts_ahead {
	enum repo_type type;
	const char *uid, *revision;
	const struct change *changes;
	size_t count;
};
/* Finds out ahead of it what commitfacts_make will want then; without changes also how many bytes
 * there are. A revision that is not there has no files. */
MUST_USE int commitfacts_ahead(struct db *db, struct commitfacts *x,
			       const struct commitfacts_ahead *what);
/* Inside db_write, before a repository may lose the name by which the catalogue has it: how many
 * bytes there are is what that knows by now, if it is of the same commit. */
void commitfacts_correct(struct db_txn *t, struct commitfacts *x, const char *uid);

#endif
