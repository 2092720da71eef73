/* SPDX-License-Identifier: Apache-2.0 */
/* Admin API: the repositories that are known here, and what of them is in the cache. No hub is
 * asked. Handlers as api_fn says. */
#ifndef MATRIXFS_ADMINAPI_REPOS_H
#define MATRIXFS_ADMINAPI_REPOS_H

#include "admin/adminapi/adminapi_call.h"

extern const struct api_shape api_repo_shape, api_repo_info_shape, api_repo_change_shape;
extern const struct api_shape api_freed_shape;

/* GET /repos. */
int api_repos(struct api_call *c);
/* GET and PATCH /repos/{type}/{repo}. */
int api_repo(struct api_call *c);
int api_repo_change(struct api_call *c);
/* DELETE /repos/{type}/{repo}/cache. */
int api_repo_evict(struct api_call *c);

#endif
