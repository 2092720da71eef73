/* SPDX-License-Identifier: Apache-2.0 */
/* Full text: repositories in whose names, tags and cards all words are. */
#ifndef MATRIXFS_QUICKSEARCH_H
#define MATRIXFS_QUICKSEARCH_H

#include "admin/hub/ask.h"

/* GET /api/quicksearch?q=&type=&limit=: of each kind (or of that one) those downloaded most. */
int quicksearch(struct ask *a);

#endif
