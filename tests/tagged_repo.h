/* SPDX-License-Identifier: Apache-2.0 */
/* A repository models/acme/m in a hub's metadata, without files, whose refs are moved as by
 * somebody called ann: for the tests of all that holds them. Sentences go to `why` of hub_db. */
#ifndef MATRIXFS_TAGGED_REPO_H
#define MATRIXFS_TAGGED_REPO_H

#include "admin/registry/refs.h"
#include "tests/hub_db.h"

#define TAGGED_UID "aaaaaaaaaaaaaaaaaaaaaaaa"
#define TAGGED_C1 "1111111111111111111111111111111111111111"
#define TAGGED_C2 "2222222222222222222222222222222222222222"
#define TAGGED_C3 "3333333333333333333333333333333333333333"

/* cmocka fixtures: *state is a struct hub_db with that repository, whose main names TAGGED_C1. */
int tagged_repo_setup(void **state);
int tagged_repo_teardown(void **state);

/* Moves a ref, or takes it away (commit NULL), as ref_change says. */
int tagged_repo_move(struct hub_db *h, const char *ref, const char *commit);
/* Locks a tag by itself; releases it. */
int tagged_repo_lock(struct hub_db *h, const char *tag);
int tagged_repo_release(struct hub_db *h, const char *tag);
/* A rule that locks tags: of the namespace "acme" (or another), of the repository if it is NULL. */
void tagged_repo_rule(struct hub_db *h, const char *namespace, const char *tags);
/* A rule of promotions of the repository; what it does not say is filled in. */
void tagged_repo_promotion(struct hub_db *h, const struct promotion_rule *rule);
/* The commit a ref names, "" if it is not there; the first digit is enough to tell them apart. */
char tagged_repo_at(struct hub_db *h, const char *ref);
/* Appends "act was>commit" of each of its moves, a digit each, "-" for none. */
void tagged_repo_log(struct hub_db *h, const char *ref, struct buf *ret);

#endif
