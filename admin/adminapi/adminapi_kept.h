/* SPDX-License-Identifier: Apache-2.0 */
/* The admin API's part about what is kept of uploads: collecting it, and how much there may be. */
#ifndef MATRIXFS_ADMINAPI_KEPT_H
#define MATRIXFS_ADMINAPI_KEPT_H

#include "admin/adminapi/adminapi_call.h"

extern const struct api_shape api_backup_shape, api_scrubbed_shape, api_collect_shape,
	api_collected_shape, api_quota_shape, api_quota_change_shape;

/* Handlers: see the routes. */
int api_collect(struct api_call *c);
int api_collected(struct api_call *c);
int api_backup(struct api_call *c);
int api_backup_end(struct api_call *c);
int api_scrub(struct api_call *c);
int api_scrubbed(struct api_call *c);
int api_quotas(struct api_call *c);
int api_quota_put(struct api_call *c);

#endif
