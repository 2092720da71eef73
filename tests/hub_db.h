/* SPDX-License-Identifier: Apache-2.0 */
/* A hub's metadata in a directory of its own, whose writes run twice and count once: for the tests
 * of all that stands on it. */
#ifndef MATRIXFS_HUB_DB_H
#define MATRIXFS_HUB_DB_H

#include "admin/account/accounts.h"
#include "admin/db.h"
#include "admin/registry/holdings.h"
#include "daemon/model/repo_id.h"
#include "tests/workdir.h"

struct commit_plan;

struct hub_db {
	struct workdir dir;
	struct db *db;
	struct buf why;
};

/* cmocka fixtures: *state is a struct hub_db. */
int hub_db_setup(void **state);
int hub_db_teardown(void **state);
/* Opens the same directory anew, as a second process would find it. */
void hub_db_reopen(struct hub_db *h);
/* A row is there, and its sum is wrong. The directory is opened anew. */
void hub_db_damage(struct hub_db *h, enum db_table table, struct db_key key);
/* Adds users and organisations that are just there. */
void hub_db_user(struct hub_db *h, const char *name);
void hub_db_admin(struct hub_db *h, const char *name);
void hub_db_org(struct hub_db *h, const char *name);
/* What a namespace holds. */
struct holdings_use hub_db_use(struct hub_db *h, const char *namespace);
/* commit_make_first in a transaction of its own; the plan stays the caller's. */
int hub_db_first_commit(struct db *db, struct commit_plan *plan, char ret[static COMMIT_HEX + 1]);

#endif
