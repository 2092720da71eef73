/* SPDX-License-Identifier: Apache-2.0 */
/* Who likes a repository, and what somebody likes: of that, what who asks may see. */
#ifndef MATRIXFS_LIKERS_H
#define MATRIXFS_LIKERS_H

#include "admin/hub/ask.h"

/* POST and DELETE .../like; GET .../likers. */
int likers_add(struct ask *a);
int likers_remove(struct ask *a);
int likers_list(struct ask *a);
/* Answers with a page of what a user likes. */
int likers_liked(struct ask *a, const char *user);
/* How much of that there is, among the first LIKERS_LOOKED: it is for anybody, and each is looked
 * at. db_read's, rights_look's. */
#define LIKERS_LOOKED 1000
MUST_USE int likers_count(struct ask *a, const char *user, uint64_t *ret);

#endif
