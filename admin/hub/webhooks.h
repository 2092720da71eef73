/* SPDX-License-Identifier: Apache-2.0 */
/* What a user wants to be told of, and where: kept here, each user's own. A secret is kept apart,
 * for whoever delivers, and is in no answer. */
#ifndef MATRIXFS_WEBHOOKS_H
#define MATRIXFS_WEBHOOKS_H

#include "admin/hub/ask.h"

/* GET and POST /api/settings/webhooks. */
int webhooks_list(struct ask *a);
int webhooks_add(struct ask *a);
/* GET, POST and DELETE of one: .../ID, and POST of .../ID/{enable,disable}. */
int webhooks_show(struct ask *a);
int webhooks_change(struct ask *a);
int webhooks_remove(struct ask *a);

#endif
