/* SPDX-License-Identifier: Apache-2.0 */
/* What all requests have in common that change a repository which is hosted here: on which thread
 * they run, what they bring, and what is recorded of them. */
#ifndef MATRIXFS_WRITING_H
#define MATRIXFS_WRITING_H

#include "admin/catalogue/commitfacts.h"
#include "admin/hub/ask.h"
#include "admin/registry/committing.h"
#include "daemon/base/jdoc.h"

/* To be asked first by a handler: true if it may go on, on a thread that may wait for the disk, and
 * changes are taken. Else it returns *ret. Changes of one repository run one after another. */
MUST_USE bool writing_begin(struct ask *a, int *ret);
/* True if the request's repository is hosted here; else that was answered. */
MUST_USE bool writing_hosted(struct ask *a);
/* Finds the row of the request's repository. ERR_NOREPO; ANSWERED if it is not hosted here. */
MUST_USE int writing_repo(struct ask *a, struct registry_repo *ret);
/* What becomes of a repository as a whole is for those who may make others beside it: 0, or
 * ERR_FORBIDDEN. */
MUST_USE int writing_namespace(struct ask *a, const struct repo_id *id);
/* Gives the name of one that is to be the spelling of its account; *ret_hides: without a word its
 * repositories are private. -ENOENT: nobody is called so; ERR_FORBIDDEN: who asks may not make any
 * there. */
MUST_USE int writing_owner(struct ask *a, struct repo_id *id, bool *ret_hides);
/* True unless an upstream's repository is known by that name: it stays that one's, so that whoever
 * reads it does not get something else some day. */
bool writing_name_free(const struct ask *a, const struct repo_id *id);
/* Parses the body, an object; nothing is an empty one. ANSWERED: it is none. */
MUST_USE int writing_body(struct ask *a, struct jdoc **ret);
/* What a change of a repository as a whole begins with: writing_repo, writing_namespace and
 * writing_body. */
MUST_USE int writing_whole(struct ask *a, struct registry_repo *ret, struct jdoc **ret_body);

/* writing_begin for what is no repository's: true also needs a token that may write. */
MUST_USE bool writing_begin_own(struct ask *a, int *ret);

/* 0 if who asks has that right to the request's repository; rights_check's. */
MUST_USE int writing_may(const struct ask *a, enum role role);
/* The same for what turns out to need it: it is what admit_again asks for then. */
MUST_USE int writing_needs(struct ask *a, enum role role);

/* What is recorded. `act` is "repo.create" and the like; the others may be NULL: a change without
 * a repository is of who asks. */
struct writing_act {
	const char *act;
	const struct repo_id *repo;
	const char *commit, *note;
};
/* The db to make the change in that `what` tells of, which stays until it was recorded: its record
 * is owed from the moment on at which the change is made. After writing_begin. */
struct db *writing_db(struct ask *a, const struct writing_act *what);
/* True if that was made: what is done already is not done, nor recorded, again. */
bool writing_made(const struct ask *a);
/* It was made: becomes known here, then is recorded. 0, or the failure to answer with. */
MUST_USE int writing_done(struct ask *a, const struct writing_act *what);
/* A name was given up, and the node knows: until then, what is said of who may see it must
 * stand. What was told under it is for nobody who gets it. */
MUST_USE int writing_forget_name(struct ask *a, const struct repo_id *name);
/* Answers that it was made, where there is nothing to tell. */
void writing_answer_done(const struct ask *a);
/* writing_done, and if that went well writing_answer_done. */
MUST_USE int writing_done_and_answered(struct ask *a, const struct writing_act *what);
/* Records that it was not made, because of r; returns r. */
int writing_note_failure(struct ask *a, const struct writing_act *what, int r);
/* Records and answers a refusal with that status and message; returns 0. */
int writing_refuse(struct ask *a, const struct writing_act *what, int status, const char *fmt, ...)
	PRINTF(4, 5);
/* The same in words of the caller's, with the status and the code that clients know of r. */
int writing_refuse_as(struct ask *a, const struct writing_act *what, int r, const char *message);

/* Which namespace holds what who asks brings for the request's repository: 0, that one's; or 1,
 * their own, since they may not write there, but bring it for a pull request. */
MUST_USE int writing_payer(const struct ask *a, char ret[static ACCOUNT_NAME_MAX + 1]);
/* How many bytes more that namespace may hold; UINT64_MAX: any. db_read's. */
MUST_USE int writing_left(const struct ask *a, const char *namespace, uint64_t *ret);
/* Refuses because that namespace may hold no more; returns 0. */
int writing_over_quota(struct ask *a, const char *namespace);
/* It was not made because the namespace that pays for that repository's files, or, if `payer` is
 * NULL or "", its own, may hold no more: recorded, and refused likewise. */
int writing_refuse_full(struct ask *a, const struct writing_act *what, const struct repo_id *id,
			const char *payer);

/* What a change of a repository tells the catalogue, in the transaction that makes it. Zeroed it
 * is none yet. */
struct writing_shelf {
	struct commitfacts facts;
	enum repo_type type;
	const struct commit_plan *plan; /* borrowed, or NULL */
	struct ask *ask; /* of the plan; borrowed: its `revives` is set inside the transaction */
};
/* Frees what it holds. */
void writing_shelf_fini(struct writing_shelf *s);
/* By a commit. The shelf is the plan's as long as that is used. */
void writing_shelve(struct ask *a, enum repo_type type, struct writing_shelf *s,
		    struct commit_plan *p);
/* By anything else, after which the main branch of a repository holds what a revision holds now, or
 * less. */
struct writing_change {
	const struct writing_act *act;
	db_fn fn; /* makes it, in a transaction */
	void *arg;
	enum repo_type type;
	const char *uid;      /* of the repository, once it is made */
	const char *from_uid; /* whose revision it is; NULL: the same one's */
	const char *revision; /* NULL: the main branch stays as it is, and nothing is told */
	bool loses;           /* commits lose files, and stay what they are */
};
/* Makes that change in writing_db; what the catalogue is to be told of its files is read ahead, so
 * that nobody waits meanwhile. Fails as fn; ERR_NOREPO. */
MUST_USE int writing_change(struct ask *a, const struct writing_change *c);
/* Whose commit it is going to be: of who asks. */
void writing_author(const struct ask *a, struct commit_plan *p);
/* Keeps the bytes of a file that is not of git-lfs: durable when it returns 0. */
MUST_USE int writing_put(struct ask *a, const void *data, size_t len, struct manifest_file *ret);
/* Appends the bytes of a file, which is as small as those are. */
MUST_USE int writing_read(struct ask *a, const struct manifest_file *f, struct buf *ret);
/* Appends the address of the repository for this client: "http://hub/datasets/ns/name". */
int writing_url(const struct ask *a, const struct repo_id *id, struct buf *ret);

#endif
