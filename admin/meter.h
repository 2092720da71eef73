/* SPDX-License-Identifier: Apache-2.0 */
/* What the hub counts of its requests, by route and status. Threads: any. */
#ifndef MATRIXFS_METER_H
#define MATRIXFS_METER_H

#include "daemon/base/buf.h"
#include "daemon/base/httpd.h"
#include "daemon/metrics.h"

#define METER_ROUTES_MAX 160
#define METER_STATUSES 32

/* Zeroed memory has counted nothing. Route 0 is what fits none. */
struct meter {
	metric requests[METER_ROUTES_MAX][METER_STATUSES];
	struct metrics_histogram answer_time[METER_ROUTES_MAX];
	metric sent_bytes, broken;
	metric stale; /* answers that were too old, since no upstream could be asked */
};

/* A request has ended. */
void meter_end(struct meter *m, unsigned route, const struct httpd_end *end);
/* Appends it for Prometheus; label_of gives the name of a route that was counted. */
void meter_write(const struct meter *m, const char *(*label_of)(unsigned route), struct buf *ret);

#endif
