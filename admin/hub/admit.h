/* SPDX-License-Identifier: Apache-2.0 */
/* Who is let in: whether the repository that a request names is there, is not kept back by the
 * rules, and is for who asks. What is not for them is not there. */
#ifndef MATRIXFS_ADMIT_H
#define MATRIXFS_ADMIT_H

#include "admin/hub/ask.h"

/* 0 if the request's handler may run, as its role says; then the repository that its target names
 * was found. For each time it runs: it is looked up once. ERR_NOREPO also if it is not for who
 * asks; ERR_MOVED if it has another name now; ERR_FORBIDDEN; node.h's. PARKED. */
MUST_USE int admit_ask(struct ask *a);
/* What it means that a repository, which is not known here, or not to whoever asks, was not found
 * for that reason: ERR_NOREPO if upstreams are never asked, or cannot be reached and its namespace
 * is one of this hub's accounts; else r. */
int admit_untold(const struct ask *a, int r);

/* Once more, for who has taken long to say what is to be done: they are who they are today, and may
 * what they may now. ERR_TOKEN; as admit_ask: PARKED runs the handler again, which is not to ask
 * again then. */
MUST_USE int admit_again(struct ask *a);

/* For a request that turns out to need more than its route does. As admit_ask. */
MUST_USE int admit_more(struct ask *a, enum role role);

#endif
