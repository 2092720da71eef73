/* SPDX-License-Identifier: Apache-2.0 */
/* What requests to the Xet store share. */
#ifndef MATRIXFS_XET_PRIV_H
#define MATRIXFS_XET_PRIV_H

#include "admin/hub/ask.h"
#include "admin/hub/xet_token.h"
#include "admin/registry/recipes.h"
#include "admin/registry/registry.h"
#include "admin/registry/xorb_rows.h"

/* To be asked first: the request becomes one of whom its token was given to, for the repository
 * that it names, where they may bring files. 0; ANSWERED; PARKED; as admit_ask. */
MUST_USE int xet_enter(struct ask *a);
/* Answers with a token of who asks for that repository, and the address of the store that has that
 * number. */
MUST_USE int xet_give_token(struct ask *a, struct registry_repo *repo, bool reads, uint32_t number);
/* The token that the request bears, the caller's to free. ANSWERED: none of ours, or an old one. */
MUST_USE int xet_read_bearer(struct ask *a, struct xet_token *ret);
/* The request becomes one of whom that was given to, by the token it was given for and no other one
 * of that name. ERR_TOKEN; auth_recall's. */
MUST_USE int xet_recall(struct ask *a, const struct xet_token *t);
/* Records and answers that they may not be so many; ANSWERED. */
int xet_over_quota(struct ask *a, const char *payer);
/* Records and answers that what was sent cannot be taken, in that sentence; ANSWERED. The same of
 * what is no such thing, in a few words. */
int xet_refuse(struct ask *a, const char *sentence);
int xet_refuse_as(struct ask *a, const char *what, const char *why);
/* Records and answers that there is no room for what is sent, so that no client tries on and on;
 * ANSWERED. */
int xet_refuse_full(struct ask *a);

/* 0 if who asks may have the files of that repository now. What xet_is_no() is true of; db_read's.
 */
MUST_USE int xet_may_have(struct ask *a, const struct repo_id *id);
/* What of that xorb who asks may use; they are that user, and bring files to that repository.
 * xorb_rights_get's. */
MUST_USE int xet_find_xorb(struct ask *a, const struct xorb_owner *owner,
			   const uint8_t xorb[static XET_HASH], struct xorb_map *ret);
/* The same of whoever was given that, and the repository, as it is now, which is *ret: the request
 * becomes theirs. */
MUST_USE int xet_may_read(struct ask *a, const struct xet_token *by, struct registry_repo *ret);
/* True of failures that mean that somebody may not, or that it is not there. */
bool xet_is_no(int r);
/* 0 if a commit of that repository has the file, or had it. -ENOENT. */
MUST_USE int xet_find_file(struct db_txn *t, const char *uid, const struct recipe *f);

#endif
