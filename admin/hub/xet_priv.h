/* SPDX-License-Identifier: Apache-2.0 */
/* What requests to the Xet store share. */
#ifndef MATRIXFS_XET_PRIV_H
#define MATRIXFS_XET_PRIV_H

#include "admin/hub/ask.h"
#include "admin/hub/xet_token.h"
#include "admin/registry/recipes.h"
#include "admin/registry/registry.h"

/* To be asked first: the request becomes one of whom its token was given to, for the repository
 * that it names, where they may bring files. 0; ANSWERED; PARKED; as admit_ask. */
MUST_USE int xet_enter(struct ask *a);
/* Answers with a token, and the address of the store that has that number. */
int xet_answer_token(struct ask *a, const struct xet_token *t, const char *text,
		     uint32_t generation);
/* The token that the request bears, the caller's to free. ANSWERED: none of ours, or an old one. */
MUST_USE int xet_read_bearer(struct ask *a, struct xet_token *ret);
/* Answers that what was sent cannot be taken, in that sentence; ANSWERED. */
int xet_refuse(struct ask *a, const char *sentence);
/* Answers that there is no room for what is sent; ANSWERED. */
int xet_refuse_full(struct ask *a);

/* 0 if whoever was given that may have the files of its repository now, which is *ret, and called
 * as it says: the request becomes theirs. What xet_is_no() is true of; db_read's. */
MUST_USE int xet_may_read(struct ask *a, const struct xet_token *by, struct registry_repo *ret);
/* True of failures that mean that they may not, or that it is not there. */
bool xet_is_no(int r);
/* 0 if a commit of that repository has the file, or had it. -ENOENT. */
MUST_USE int xet_find_file(struct db_txn *t, const char *uid, const struct recipe *f);

#endif
