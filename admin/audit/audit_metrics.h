/* SPDX-License-Identifier: Apache-2.0 */
/* What Prometheus is told of the audit trail. */
#ifndef MATRIXFS_AUDIT_METRICS_H
#define MATRIXFS_AUDIT_METRICS_H

#include "admin/audit/audit.h"

/* Appends its samples; nothing with no trail. Any thread. */
void audit_metrics(struct audit *a, struct buf *ret);

#endif
