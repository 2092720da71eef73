/* SPDX-License-Identifier: Apache-2.0 */
/* Collections: lists of repositories that a user or an organization makes. Who may make
 * repositories in a namespace changes its collections; a private one is for those who may read
 * there. Of a repository that is not for who asks, nothing is told. */
#ifndef MATRIXFS_COLLECTIONS_H
#define MATRIXFS_COLLECTIONS_H

#include "admin/hub/ask.h"

/* GET ?owner=&item=&limit=&p= and POST /api/collections. */
int collections_list(struct ask *a);
int collections_add(struct ask *a);
/* GET, PATCH and DELETE of one, by a slug it has or had; POST .../items, PATCH and DELETE of
 * .../items/ID. */
int collections_show(struct ask *a);
int collections_change(struct ask *a);
int collections_remove(struct ask *a);
int collections_add_item(struct ask *a);

#endif
