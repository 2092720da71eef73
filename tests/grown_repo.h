/* SPDX-License-Identifier: Apache-2.0 */
/* The repository of tagged_repo.h with commits that hold files, in place of those that hold none:
 * for the tests of what is done to a history as a whole. */
#ifndef MATRIXFS_GROWN_REPO_H
#define MATRIXFS_GROWN_REPO_H

#include "admin/registry/registry.h"
#include "tests/tagged_repo.h"

/* cmocka fixtures: *state is a struct hub_db with that repository, which has no ref yet. */
int grown_repo_setup(void **state);
int grown_repo_teardown(void **state);

/* A file. */
struct grown_file {
	const char *path, *text;
	bool lfs;
};

/* The ref goes on by a commit with that file, or begins with it; the commit's id. */
void grown_repo_commit(struct hub_db *h, const char *ref, const struct grown_file *f,
		       char ret[static COMMIT_HEX + 1]);
/* The SHA-256 of a text. */
void grown_repo_sum(const char *text, uint8_t ret[static 32]);
/* Whether the repository of that uid has a file with these bytes. */
bool grown_repo_has(struct hub_db *h, const char *uid, const struct grown_file *f);
/* What a ref of that uid names, or "". */
void grown_repo_at(struct hub_db *h, const char *uid, const char *ref,
		   char ret[static COMMIT_HEX + 1]);

#endif
