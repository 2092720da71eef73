/* SPDX-License-Identifier: Apache-2.0 */
/* A job as JSON, the same wherever it is told of. Pure. */
#ifndef MATRIXFS_JOB_JSON_H
#define MATRIXFS_JOB_JSON_H

#include "daemon/base/jdoc.h"
#include "daemon/base/jwrite.h"
#include "daemon/job.h"

/* Writes an object. */
void job_write(const struct job_progress *p, struct jwrite *w);
/* Only the members that say how far it is, into an open one. */
void job_write_state(const struct job_progress *p, struct jwrite *w);
/* Reads of another node's job how far it is: id, state, whether it waits, files, bytes; its error,
 * if it tells one, is ERR_SERVER in its words. -EINVAL if it is none. */
MUST_USE int job_read(const struct jval *v, struct job_progress *ret);

#endif
