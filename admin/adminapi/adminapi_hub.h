/* SPDX-License-Identifier: Apache-2.0 */
/* Admin API: how the hub is, and long work: pulls and other jobs. Handlers as api_fn says. */
#ifndef MATRIXFS_ADMINAPI_HUB_H
#define MATRIXFS_ADMINAPI_HUB_H

#include "admin/adminapi/adminapi_call.h"

extern const struct api_shape api_status_shape, api_job_shape, api_pull_shape, api_nodes_shape;

/* GET /status. */
int api_status(struct api_call *c);
/* POST /pull: starts the job, or finds the one that does it. */
int api_pull(struct api_call *c);
/* GET /jobs, GET /jobs/{job}, POST /jobs/{job}/cancel. */
int api_jobs(struct api_call *c);
int api_job(struct api_call *c);
/* GET /jobs/{job}/nodes. */
int api_job_nodes(struct api_call *c);
int api_job_cancel(struct api_call *c);

#endif
