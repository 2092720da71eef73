/* SPDX-License-Identifier: Apache-2.0 */
/* Admin API: rules of promotions. Handlers as api_fn says. */
#ifndef MATRIXFS_ADMINAPI_PROMOTIONS_H
#define MATRIXFS_ADMINAPI_PROMOTIONS_H

#include "admin/adminapi/adminapi_call.h"

extern const struct api_shape api_promotion_shape, api_promotion_new_shape;

/* GET, PUT and DELETE /promotion-rules. */
int api_promotions(struct api_call *c);
int api_promotion_put(struct api_call *c);
int api_promotion_remove(struct api_call *c);

#endif
