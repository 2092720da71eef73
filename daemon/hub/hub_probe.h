/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a hub can be asked now, as who, and what time it has there. */
#ifndef MATRIXFS_HUB_PROBE_H
#define MATRIXFS_HUB_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/hub/hub.h"

struct hub_probe {
	int status;      /* of its answer; negative: there was none */
	bool token;      /* one was sent */
	int64_t took_ms; /* until the end of the answer */
	int64_t ahead_s; /* its clock before ours, if has_date */
	bool has_date;
	char why[HUB_ERROR_MAX + 1]; /* "" if it answered */
};

/* Asks who we are (/api/whoami-v2), also of a hub that is left alone; its health is not changed.
 * Waits until deadline_ms (clock_ms()) at most. Threads: any. */
void hub_probe(struct hub *h, int64_t deadline_ms, struct hub_probe *ret);

#endif
