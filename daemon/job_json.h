/* SPDX-License-Identifier: Apache-2.0 */
/* A job as JSON, the same wherever it is told of. Pure. */
#ifndef MATRIXFS_JOB_JSON_H
#define MATRIXFS_JOB_JSON_H

#include "daemon/base/jwrite.h"
#include "daemon/job.h"

/* Writes an object. */
void job_write(const struct job_progress *p, struct jwrite *w);

#endif
