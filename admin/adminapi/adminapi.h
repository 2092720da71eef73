/* SPDX-License-Identifier: Apache-2.0 */
/* The admin API: the table of what it answers, for administrators alone. Its OpenAPI document is
 * made of that table and served as /openapi.json. */
#ifndef MATRIXFS_ADMINAPI_H
#define MATRIXFS_ADMINAPI_H

#include "admin/hub/ask.h"

/* All below /api/admin/v1, for whom the table of routes lets through. */
int adminapi_run(struct ask *a);

#endif
