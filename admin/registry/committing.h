/* SPDX-License-Identifier: Apache-2.0 */
/* Commits that are made here: what changes from one commit to the next, worked out as git objects,
 * and brought in by one transaction, which compares what the branch names. Blobs must be there
 * before. Threads: a plan's owner. */
#ifndef MATRIXFS_COMMITTING_H
#define MATRIXFS_COMMITTING_H

#include "admin/registry/intake.h"
#include "admin/registry/registry.h"

enum change_kind {
	CHANGE_FILE,    /* it is put there */
	CHANGE_DROP,    /* a file goes, or a directory, as at the public hub */
	CHANGE_DROP_DIR /* a directory goes, with all below it */
};

struct change {
	enum change_kind kind;
	char *path;                /* owned */
	struct manifest_file file; /* kind, size and digest: of one that is put */
};

struct commit_plan;
typedef int (*commit_beside_fn)(struct db_txn *t, struct commit_plan *p, const char *base,
				const char *commit);
typedef int (*commit_again_fn)(struct db_txn *t, struct commit_plan *p, const char *base,
			       const uint8_t tree[static GIT_ID], char ret[static COMMIT_HEX + 1]);

/* What is to be done; zeroed but for what is known. */
struct commit_plan {
	/* Where the bytes of its files are: looked into by the transaction that brings it in, since
	 * what was there before may have been collected. NULL: nobody collects. */
	struct intake *blobs;
	char uid[REGISTRY_UID + 1];
	const char *repo; /* the key by which uploads know it */
	/* Of its files (objects.h): who proposes it and may not write, or NULL: the repository. */
	const char *payer;
	char branch[REGISTRY_REF_MAX + 1]; /* "refs/heads/main" */
	char parent[COMMIT_HEX + 1];       /* what it must name; "": whatever it does */
	const char *name;                  /* of who does it */
	const char *act;                   /* if the branch moves as by no commit: see refs.h */
	char email[ACCOUNT_NAME_MAX + sizeof("@users.noreply")];
	struct buf message;
	struct change *changes;
	size_t count, cap;
	/* What else comes in the same transaction, or NULL; and what is read for it right before,
	 * while nobody waits, unless a repository is just made. */
	int (*also)(struct db_txn *t, void *arg);
	int (*ahead)(struct db *db, void *arg);
	void *also_arg;
	/* What else the transaction does that brings it in, or NULL; it may run again. */
	commit_beside_fn beside;
	/* Finds one of that tree, made of that base, which this one is again, or -ENOENT; or NULL:
	 * what the branch has is looked at, if anything. */
	commit_again_fn again;
	void *beside_arg; /* of both */
	/* The commit is made from `parent`, or what the branch names, which then stays as it is:
	 * another ref gets it, which beside() names here. */
	bool apart;
	char ref[REGISTRY_REF_MAX + 1];
	bool fresh; /* it is none that was made just now, even if it looks so */
	/* Told to also(): a file came again that had been deleted for good, so that commits show it
	 * again which stayed what they were. */
	bool revives;
};

/* Frees what it holds. */
void commit_plan_fini(struct commit_plan *p);
/* 0 if a file may have that path; else ERR_HOSTILE, with a sentence. */
MUST_USE int commit_check_path(const char *path, struct buf *why);
/* Adds what is done next. ERR_HOSTILE if nothing may have that path; -ENOMEM. */
MUST_USE int commit_plan_add(struct commit_plan *p, enum change_kind kind, const char *path,
			     const struct manifest_file *file, struct buf *why);
/* Title and description as git has them. */
MUST_USE int commit_plan_say(struct commit_plan *p, const char *title, const char *description);

/* 0 if a commit could be made now, by what a plan says but for its changes, so that it is worth
 * while to bring these; and the same when they are known, so that it is to make them durable. Fails
 * as below. The commit itself asks again, here and there. */
MUST_USE int commit_check_base(struct db *db, struct commit_plan *p);
MUST_USE int commit_check(struct db *db, struct commit_plan *p, struct buf *why);
/* 0 if a plan may put its files of git-lfs somewhere, from the change of that number on: each was
 * brought for the repository, or is in it; else -ENODATA, and `why` gets the path of the first. */
MUST_USE int commit_check_lfs(struct db *db, const struct commit_plan *p, size_t first,
			      struct buf *why);
/* Makes the commit; it is durable when this returns 0. If the branch has just got the same one, and
 * no other one since unless the parent is said, it is that one again: clients repeat a commit whose
 * answer they did not get. ERR_NOREV: there is no such branch; -ESTALE: it names another commit
 * than the parent, or never stops moving;
 * ERR_NOENTRY: there is nothing to take away by a name, which `why` gets; -ENODATA: a file of
 * git-lfs, whose path it gets, was not brought for this repository; ERR_BUSY: another file's bytes
 * are gone: they may be sent again; ERR_QUOTA: holdings.h; ERR_HOSTILE: `why` says what cannot
 * be; ERR_TAG_LOCKED: what is locked; ERR_FORBIDDEN: what was deleted for good, and is not for the
 * payer to bring again. */
MUST_USE int commit_make(struct db *db, struct commit_plan *p, char ret[static COMMIT_HEX + 1],
			 struct buf *why);
/* Inside a transaction, of a repository that was just made there. */
MUST_USE int commit_make_first(struct db_txn *t, struct commit_plan *p,
			       char ret[static COMMIT_HEX + 1], struct buf *why);

#endif
