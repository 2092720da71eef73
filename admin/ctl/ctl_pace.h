/* SPDX-License-Identifier: Apache-2.0 */
/* How fast something comes, as it is looked at again and again: what was there at the first look
 * came before, and counts for nothing. Pure. Zeroed memory has seen nothing. */
#ifndef MATRIXFS_CTL_PACE_H
#define MATRIXFS_CTL_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/rate.h"

struct ctl_pace {
	struct rate rate;
	uint64_t seen; /* bytes at the last look */
	bool begun;
};

/* Notes that so many bytes are there now (clock_ms()); bytes a second of the last few seconds. */
uint64_t ctl_pace_look(struct ctl_pace *p, int64_t now_ms, uint64_t bytes);

#endif
