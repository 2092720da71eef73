/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of repositories (hf-contract §1.3): those that are hosted here, and those of upstreams that
 * were asked for here, and so are here also when no upstream is. What is told of the latter, and
 * what they are found and sorted by, is what the upstreams said when they were last asked about
 * their main branch. */
#ifndef MATRIXFS_LIST_H
#define MATRIXFS_LIST_H

#include "admin/hub/ask.h"

/* GET /api/{type}. */
int list_repos(struct ask *a);
/* GET /api/spaces/semantic-search: those whose names have all words of "q". */
int list_found_spaces(struct ask *a);

#endif
