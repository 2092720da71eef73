/* SPDX-License-Identifier: Apache-2.0 */
/* Discussions of repositories: what can be said, by whom. Whoever may read a repository may say
 * something; the author of a discussion, and those who may write to the repository, say what
 * becomes of it; a comment is changed by who wrote it. */
#ifndef MATRIXFS_DISCUSS_H
#define MATRIXFS_DISCUSS_H

#include "admin/hub/writing.h"
#include "admin/registry/discussions.h"

/* GET .../discussions/N?diff=1. */
int discuss_show(struct ask *a);
/* POST .../discussions, and .../discussions/N/{comment,title,status}. */
int discuss_open(struct ask *a);
int discuss_comment(struct ask *a);
int discuss_rename(struct ask *a);
int discuss_status(struct ask *a);
/* POST .../discussions/N/comment/ID/{edit,hide}. */
int discuss_edit(struct ask *a);

#endif
