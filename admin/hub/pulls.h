/* SPDX-License-Identifier: Apache-2.0 */
/* Pull requests: the commits that open them and go on with them, and their merging, as one commit
 * onto the branch they are for. */
#ifndef MATRIXFS_PULLS_H
#define MATRIXFS_PULLS_H

#include "admin/hub/writing.h"
#include "admin/registry/discussions.h"

/* POST .../discussions/N/merge. */
int pull_merge(struct ask *a);

/* A commit for a pull request. */
struct pull_commit {
	/* Of the one it goes on with; 0: it opens one, or has opened it a moment ago, whose number
	 * this becomes. */
	unsigned num;
	const char *user;
	char comment[REGISTRY_UID + 1], commit[REGISTRY_UID + 1]; /* ids of its events */
};

/* Makes the commit of a plan one for a pull request: what its branch is then says where it goes, or
 * what it is for. The commit is borrowed, and stays until that was made. -EIO. */
MUST_USE int pull_commit_plan(struct pull_commit *c, struct commit_plan *p);
/* 0 if who asks may go on with the request's pull request of that number, which is not merged; else
 * it returns ANSWERED, which was answered, or the failure. */
MUST_USE int pull_may_commit(struct ask *a, const struct registry_repo *repo, unsigned num);

#endif
