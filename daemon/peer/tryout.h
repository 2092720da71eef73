/* SPDX-License-Identifier: Apache-2.0 */
/* Probes of members that did not answer: before anybody asks such a one for bytes again it gets a
 * small request from here, so that no reader has to wait to learn that it is still silent.
 * Threads: any; its own begin with the first probe. */
#ifndef MATRIXFS_TRYOUT_H
#define MATRIXFS_TRYOUT_H

#include "daemon/peer/spoken.h"

#define TRYOUT_THREADS 4
#define TRYOUT_MAX 64 /* members that wait for their probe; of more, the next request reminds */

struct tryouts;

/* All of who and members are borrowed until tryouts_free. -ENOMEM. */
MUST_USE int tryouts_new(const struct asker *who, struct members *members, struct tryouts **ret);
/* Ends all probes. NULL is fine. */
void tryouts_free(struct tryouts *t);
/* To be called when a member is about to be asked, as member_may_ask has allowed. False: ask it.
 * True: its last request failed, so it is probed instead, which is noted of it; ask another. */
MUST_USE bool tryouts_take(struct tryouts *t, struct member *m);

#endif
