/* SPDX-License-Identifier: Apache-2.0 */
/* Which tags the repositories have that who asks may see, in small letters, as lists take them. */
#ifndef MATRIXFS_TAGLIST_H
#define MATRIXFS_TAGLIST_H

#include "admin/hub/ask.h"

/* GET /api/{models|datasets}-tags-by-type. */
int taglist_models(struct ask *a);
int taglist_datasets(struct ask *a);

#endif
