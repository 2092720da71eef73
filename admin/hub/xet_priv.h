/* SPDX-License-Identifier: Apache-2.0 */
/* What requests to the Xet store share. */
#ifndef MATRIXFS_XET_PRIV_H
#define MATRIXFS_XET_PRIV_H

#include "admin/hub/ask.h"

/* To be asked first: the request becomes one of whom its token was given to, for the repository
 * that it names, where they may bring files. 0; ANSWERED; PARKED; as admit_ask. */
MUST_USE int xet_enter(struct ask *a);
/* Records and answers that they may not be so many; ANSWERED. */
int xet_over_quota(struct ask *a, const char *payer);
/* Answers that what was sent cannot be taken, in that sentence; ANSWERED. */
int xet_refuse(struct ask *a, const char *sentence);
/* Answers that there is no room for what is sent; ANSWERED. */
int xet_refuse_full(struct ask *a);

#endif
