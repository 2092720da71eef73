/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what to which repository: the one place where that is decided. A repository somebody
 * may not read is, for that person, not there.
 *
 * It is asked for by all its names. What is said of a name it had holds as far as that keeps it
 * private, and as rules and grants about it name it; namespaces are its own for the name it has.
 *
 * A repository is private if its own row says so; or, without a row, if its namespace is private
 * by default, or it is hosted here, or an upstream calls it private or gated (it was brought with
 * the hub's token); else it is public. A private one is for the administrators, the user whose
 * name its namespace is, the members of the organisation whose name it is, and those a rule names
 * (rules.h). A token does no more than its user may, nor than its own role or grants say. Whoever
 * may read, with a token that may write there, may say something of it. Threads: any. */
#ifndef MATRIXFS_RIGHTS_H
#define MATRIXFS_RIGHTS_H

#include <stdatomic.h>

#include "admin/account/auth.h"
#include "admin/db.h"
#include "admin/registry/gate.h"
#include "daemon/model/repo_id.h"

struct rights {
	struct db *db;
	struct heard *heard; /* what is not in it yet, or NULL */
	atomic_bool closed;  /* nobody reads without a token */
	/* Upstreams are asked with a token: what they did not speak of is private. Any thread. */
	atomic_bool guarded;
};

/* VISIBILITY_GATED is what only upstreams say; here it is as private. */
enum visibility { VISIBILITY_UNSAID, VISIBILITY_PUBLIC, VISIBILITY_PRIVATE, VISIBILITY_GATED };
#define VISIBILITY_WORDS "public|private" /* what the hub itself can say */

/* 0 if it may be done. *visibility (or NULL) is what an upstream has just said of the
 * repository, if any, and becomes what it is. ERR_NOREPO if it is not there for `who`;
 * ERR_FORBIDDEN if it is, but that much is not allowed. `role` is ROLE_READ, ROLE_SPEAK,
 * ROLE_WRITE or ROLE_ADMIN. */
MUST_USE int rights_check(const struct rights *r, const struct identity *who,
			  const struct repo_names *names, enum role role,
			  enum visibility *visibility);
/* The same of the user, whatever the token may. */
MUST_USE int rights_check_user(const struct rights *r, const struct identity *who,
			       const struct repo_names *names, enum role role);
/* 0 if who may read of a repository that is hosted here may have its files, too; ERR_GATED if it is
 * gated, and they were not let in: *ret says how far they have come. Others are nobody's to gate:
 * 0. */
MUST_USE int rights_pass(const struct rights *r, const struct identity *who,
			 const struct repo_names *names, enum gate_status *ret);
/* One of many repositories; the last two are answers. */
struct rights_row {
	struct repo_names names;
	bool sees;       /* it is there for who asks */
	bool is_private; /* what lists say of it */
};
/* What lists ask about their rows: the same as rights_check for reading, of all at one
 * moment. -ENOMEM, db_read's. */
MUST_USE int rights_look(const struct rights *r, const struct identity *who,
			 struct rights_row *rows, size_t count);
/* Where there may be more for `who` than what is for everybody: at most that; whether it is, only
 * rights_look tells. */
struct rights_reach {
	bool all;
	struct buf namespaces; /* in small letters, a line each */
	struct buf repos;      /* keys of repositories, by whatever name a rule has, a line each */
};
void rights_reach_fini(struct rights_reach *reach);
MUST_USE int rights_reach(const struct rights *r, const struct identity *who,
			  struct rights_reach *ret);
/* 0 if `who` is an administrator of the hub, else ERR_FORBIDDEN. */
MUST_USE int rights_admin(const struct identity *who);
/* 0 if `who` has that role in a namespace, by whatever repositories it has, else ERR_FORBIDDEN. */
MUST_USE int rights_namespace(const struct rights *r, const struct identity *who,
			      const char *namespace, enum role role);
/* The same for making repositories there. */
MUST_USE int rights_create(const struct rights *r, const struct identity *who,
			   const char *namespace);

/* What the hub itself says of a repository, in the place of what it said of any of its names;
 * VISIBILITY_UNSAID takes that back. */
MUST_USE int rights_set_visibility(struct db *db, const struct repo_names *names,
				   enum visibility visibility);
/* The same inside a transaction, of one that has that name alone. */
MUST_USE int rights_put_visibility(struct db_txn *t, const struct repo_id *repo,
				   enum visibility visibility);
/* The same is said of another name, too: that it is private, if nothing is. */
MUST_USE int rights_move_visibility(struct db_txn *t, const struct repo_id *from,
				    const struct repo_id *to);
/* A name was given up (renaming.h), and everybody knows: what is said of who may see it goes, and
 * the rules about it, unless another repository has it by now. */
MUST_USE int rights_forget_name(struct db_txn *t, const struct repo_id *name);
/* The same of each that a hub which was killed could not forget. Before anybody asks. Of so many as
 * *ret_kept something is damaged: that is logged, and what is said of them stays. */
MUST_USE int rights_forget_names(struct db *db, unsigned *ret_kept);
/* What counts for it now; *ret_why gets the reason in a few words, static. */
MUST_USE int rights_visibility(const struct rights *r, const struct repo_names *names,
			       enum visibility *ret, const char **ret_why);
/* An upstream has said what it is. It counts from now on, and what is new is written by and by: see
 * heard.h. -ENOMEM, db_read's. */
MUST_USE int rights_learn(const struct rights *r, const struct repo_id *repo,
			  enum visibility visibility);

#endif
