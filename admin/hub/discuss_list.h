/* SPDX-License-Identifier: Apache-2.0 */
/* Which discussions and pull requests a repository has. */
#ifndef MATRIXFS_DISCUSS_LIST_H
#define MATRIXFS_DISCUSS_LIST_H

#include "admin/hub/ask.h"

/* GET .../discussions?p=&type=&status=&author= */
int discuss_list(struct ask *a);

#endif
