/* SPDX-License-Identifier: Apache-2.0 */
/* What upstreams say of repositories, on its way to the disk: it counts from the moment it was
 * heard, and is written by a worker, so that no request waits for that. What cannot be written
 * counts on, and is tried again after a while, and at the stop. Threads: any. */
#ifndef MATRIXFS_HEARD_H
#define MATRIXFS_HEARD_H

#include "admin/db.h"

struct workers;
struct heard;

/* Both are borrowed: the db until heard_free, which is called after workers_stop. -ENOMEM. */
MUST_USE int heard_new(struct db *db, struct workers *workers, struct heard **ret);
void heard_free(struct heard *h);
/* A repository, by the key of its row, is `word` (static; "": nothing is said). -ENOMEM. */
MUST_USE int heard_put(struct heard *h, const char *key, const char *word);
/* The word that is not on the disk yet, or NULL. h: NULL has none. */
const char *heard_get(struct heard *h, const char *key);

#endif
