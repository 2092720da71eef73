/* SPDX-License-Identifier: Apache-2.0 */
/* A hosted repository whose history is written in words: for tests of what reads commits and trees.
 * A commit is "a=1 dir/b=2 -c": a file gets a text, or goes. Threads: any. */
#ifndef MATRIXFS_HISTORY_H
#define MATRIXFS_HISTORY_H

#include "admin/registry/registry.h"
#include "tests/hub_db.h"

#define HISTORY_UID "aaaaaaaaaaaaaaaaaaaaaaaa"

/* cmocka fixture: *state is a struct hub_db, with the repository org/a that has no commit yet; its
 * teardown is hub_db's. */
int history_setup(void **state);

/* Makes a commit, the first one of a branch that is not there. */
void history_commit(struct hub_db *h, const char *branch, const char *words,
		    char ret[static COMMIT_HEX + 1]);
/* A ref names a commit. */
void history_ref(struct hub_db *h, const char *ref, const char *commit);
/* The tree of a commit; and what lies by a path in it. */
void history_tree(struct hub_db *h, const char *commit, uint8_t ret[static GIT_ID]);
void history_find(struct hub_db *h, const char *commit, const char *path,
		  uint8_t ret[static GIT_ID]);
/* Takes an object away, as a disk that is damaged may. */
void history_lose(struct hub_db *h, const uint8_t id[static GIT_ID]);

#endif
