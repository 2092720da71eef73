/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of users and organizations: who they are, what of theirs who asks may see. Nobody
 * follows anybody here. */
#ifndef MATRIXFS_PROFILES_H
#define MATRIXFS_PROFILES_H

#include "admin/hub/ask.h"

/* GET /api/users/NAME/{overview,likes,followers,following}. */
int profiles_user(struct ask *a);
/* GET /api/organizations/NAME/{overview,members,followers,settings/repositories}. */
int profiles_org(struct ask *a);

#endif
