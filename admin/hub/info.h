/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of repositories and their commits (hf-contract §1.2–1.4). */
#ifndef MATRIXFS_INFO_H
#define MATRIXFS_INFO_H

#include "admin/hub/ask.h"
#include "daemon/base/jwrite.h"

#define EXPANDS_MAX 64 /* of "expand" in one query; more are not looked at */

/* GET /api/{type}/{repo}[/revision/{rev}]. */
int info_repo(struct ask *a);
/* GET /api/{type}/{repo}/refs: branches and tags that are known here. */
int info_refs(struct ask *a);
/* GET /api/{type}/{repo}/commits/{rev}. */
int info_commits(struct ask *a);
/* GET /api/{type}/{repo}/auth-check: 200 if it can be read. */
int info_check(struct ask *a);

/* Writes what every answer about a repository begins with: if it was said what is wanted, its ids
 * alone, and the author if that is. */
void info_write_names(struct jwrite *w, const struct repo_id *id);
void info_write_ids(struct jwrite *w, const struct repo_id *id);
void info_write_author(struct jwrite *w, const struct repo_id *id);
/* True for the members that info_write_names writes, and for "sha" and "siblings". */
bool info_is_named(const char *name);
/* The tail of its document about a commit. */
MUST_USE int info_tail(const char *commit, struct buf *ret);
/* True if each "expand" in the query is a member that hubs have; else that is refused, as hubs
 * do. */
bool info_may_expand(struct ask *a);

#endif
