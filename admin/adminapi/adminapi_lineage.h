/* SPDX-License-Identifier: Apache-2.0 */
/* Admin API: what models were made from. Handlers as api_fn says. */
#ifndef MATRIXFS_ADMINAPI_DESCENT_H
#define MATRIXFS_ADMINAPI_DESCENT_H

#include "admin/adminapi/adminapi_call.h"

extern const struct api_shape api_lineage_shape;

/* GET /lineage/{repo}: of a model. */
int api_lineage(struct api_call *c);

#endif
