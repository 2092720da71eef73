/* SPDX-License-Identifier: Apache-2.0 */
/* The repository of tagged_repo.h with a history that is written in words: for tests of what reads
 * or changes commits and trees. A commit is "a=1 dir/b=2 c#3 -d": a file gets a text, or does so as
 * one of git-lfs, or goes. Threads: any. */
#ifndef MATRIXFS_HISTORY_H
#define MATRIXFS_HISTORY_H

#include "admin/registry/registry.h"
#include "tests/tagged_repo.h"

#define HISTORY_UID TAGGED_UID

/* cmocka fixture: *state is a struct hub_db with that repository, which has no ref yet. What
 * tears down is tagged_repo's. */
int history_setup(void **state);

/* Makes a commit, the first one of a ref that is not there. */
void history_commit(struct hub_db *h, const char *ref, const char *words,
		    char ret[static COMMIT_HEX + 1]);
/* What a ref of the repository of that uid names, or "". */
void history_at(struct hub_db *h, const char *uid, const char *ref,
		char ret[static COMMIT_HEX + 1]);
/* Whether that one has a file with the text of a word. */
bool history_has(struct hub_db *h, const char *uid, const char *word);
/* The SHA-256 of a text. */
void history_sum(const char *text, uint8_t ret[static 32]);

/* The tree of a commit; and what lies by a path in it. */
void history_tree(struct hub_db *h, const char *commit, uint8_t ret[static GIT_ID]);
void history_find(struct hub_db *h, const char *commit, const char *path,
		  uint8_t ret[static GIT_ID]);
/* Takes an object away, as a disk that is damaged may. */
void history_lose(struct hub_db *h, const uint8_t id[static GIT_ID]);

#endif
