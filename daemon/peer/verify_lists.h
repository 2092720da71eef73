/* SPDX-License-Identifier: Apache-2.0 */
/* Digest lists of hubs that members contradict: once the hub itself has given such a chunk its
 * bytes are compared with its list, on a thread of their own, and the list is refuted if they
 * differ. What does not come soon is left to the digest of the whole, and so is what comes when too
 * much waits. Threads: any. */
#ifndef MATRIXFS_VERIFY_LISTS_H
#define MATRIXFS_VERIFY_LISTS_H

#include "daemon/peer/verify.h"

#define VERIFY_LISTS_MAX 64 /* chunks that are waited for */

struct verify_lists;

/* Nothing is compared yet. -ENOMEM. */
MUST_USE int verify_lists_new(struct verify_lists **ret);
/* It is from now on; both are borrowed until verify_lists_stop. -ENOMEM, -EAGAIN (no thread). */
MUST_USE int verify_lists_start(struct verify_lists *all, const struct verify_conf *conf,
				struct store *s);
/* False if it is still at work after a while: then all stays until the process ends. */
MUST_USE bool verify_lists_stop(struct verify_lists *all);
void verify_lists_free(struct verify_lists *all);

/* Members contradict a hub's list in chunk i, which that hub is asked for now. Does not wait. */
void verify_lists_add(struct verify_lists *all, const struct source_blob *what, uint32_t i);
/* Nothing of a blob is to be compared any more. */
void verify_lists_forget(struct verify_lists *all, const char *etag);

#endif
