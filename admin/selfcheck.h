/* SPDX-License-Identifier: Apache-2.0 */
/* The hub asks itself, as a client would. Threads: one at a time. */
#ifndef MATRIXFS_SELFCHECK_H
#define MATRIXFS_SELFCHECK_H

#include "daemon/base/httpd.h"
#include "daemon/base/own.h"

struct selfcheck;

/* By the address of that door, which is looked at now. -ENOMEM. */
MUST_USE int selfcheck_new(const struct httpd_door *door, struct selfcheck **ret);
/* 0 if there is an answer, whatever it says: that it is not well, too, tells somebody. Else
 * ERR_TIMEOUT and the like, within half a minute. */
int selfcheck_ask(struct selfcheck *s);
/* NULL is none. */
void selfcheck_free(struct selfcheck *s);

#endif
