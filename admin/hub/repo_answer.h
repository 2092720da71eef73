/* SPDX-License-Identifier: Apache-2.0 */
/* What is answered about where a repository is, when it was made, moved, or was there already. */
#ifndef MATRIXFS_REPO_ANSWER_H
#define MATRIXFS_REPO_ANSWER_H

#include "admin/hub/ask.h"
#include "admin/registry/registry.h"

/* 200: it is there now; what else it is, unless repo is NULL. */
int repo_answer_there(struct ask *a, const struct repo_id *id, const struct registry_repo *repo,
		      bool is_private);
/* 409, where clients that do not mind read where it is. */
int repo_answer_exists(struct ask *a, const struct repo_id *id);

#endif
