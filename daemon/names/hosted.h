/* SPDX-License-Identifier: Apache-2.0 */
/* Interface: repositories that are hosted here, so that no upstream is asked for them. Where they
 * are kept is the business of whoever gives this. Calls may read a disk, but wait for nobody.
 * Threads: any. */
#ifndef MATRIXFS_HOSTED_H
#define MATRIXFS_HOSTED_H

#include <stdint.h>

#include "daemon/model/manifest.h"
#include "daemon/model/repo_id.h"

typedef int (*hosted_repo_fn)(void *arg, const struct repo_id *id);
typedef int (*hosted_ref_fn)(void *arg, const char *ref, const char *commit);

struct hosted {
	/* Calls fn for the name of each repository, then for each that one had, until it returns
	 * non-zero, and returns that. */
	int (*each)(void *arg, hosted_repo_fn fn, void *to);
	/* Calls fn for each branch and tag, by the names that revisions have; a branch comes after
	 * a tag of its name, and counts. *ret_id becomes the name as it is written: another one, if
	 * the repository was called so once. -ENOENT: there is no such repository. */
	int (*refs)(void *arg, const struct repo_id *id, struct repo_id *ret_id, hosted_ref_fn fn,
		    void *to);
	/* The commit that something else names: "refs/heads/main", the beginning of its id.
	 * ERR_NOREV. */
	int (*find)(void *arg, const struct repo_id *id, const char *revision,
		    char ret[static COMMIT_HEX + 1]);
	/* The date and the files of a commit, owned. ERR_NOREV; ERR_CORRUPT. */
	int (*files)(void *arg, const struct repo_id *id, const char *commit, int64_t *ret_date_s,
		     struct manifest **ret);
	void *arg;
};

#endif
