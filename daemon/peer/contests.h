/* SPDX-License-Identifier: Apache-2.0 */
/* Digest lists of hubs that members contradict: once the hub itself has given such a chunk its
 * bytes are compared with its list, on a thread of their own, and the list is refuted if they
 * differ. What does not come soon is left to the digest of the whole, and so is what comes when too
 * much waits. Threads: any. */
#ifndef MATRIXFS_CONTESTS_H
#define MATRIXFS_CONTESTS_H

#include "daemon/peer/trial.h"

#define CONTESTS_MAX 64 /* chunks that are waited for */

struct contests;

/* Nothing is compared yet. -ENOMEM. */
MUST_USE int contests_new(struct contests **ret);
/* It is from now on; both are borrowed until contests_stop. -ENOMEM, -EAGAIN (no thread). */
MUST_USE int contests_start(struct contests *c, const struct trial_conf *conf, struct store *s);
/* False if it is still at work after a while: then all stays until the process ends. */
MUST_USE bool contests_stop(struct contests *c);
void contests_free(struct contests *c);

/* Members contradict a hub's list in chunk i, which that hub is asked for now. Does not wait. */
void contests_add(struct contests *c, const struct source_blob *what, uint32_t i);
/* Nothing of a blob is to be compared any more. */
void contests_forget(struct contests *c, const char *etag);

#endif
