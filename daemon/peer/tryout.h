/* SPDX-License-Identifier: Apache-2.0 */
/* Members that were silent, and are tried again: a small question each, so that no reader is the
 * one who finds out that they are silent still. Threads: any; its own begin with the first
 * trial. */
#ifndef MATRIXFS_TRYOUT_H
#define MATRIXFS_TRYOUT_H

#include "daemon/peer/spoken.h"

#define TRYOUT_THREADS 4
#define TRYOUT_MAX 64 /* who wait to be tried; of more, the next request reminds */

struct tryouts;

/* All of who and members are borrowed until tryouts_free. -ENOMEM. */
MUST_USE int tryouts_new(const struct asker *who, struct members *members, struct tryouts **ret);
/* Ends all trials. NULL is fine. */
void tryouts_free(struct tryouts *t);
/* Whoever may ask a member, and would: true if it is doubted and is tried in his place, so that he
 * asks another one. What comes of that is noted of the member. */
MUST_USE bool tryouts_take(struct tryouts *t, struct member *m);

#endif
