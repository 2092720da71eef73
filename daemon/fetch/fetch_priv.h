/* SPDX-License-Identifier: Apache-2.0 */
/* What fetch.c (start, stop, reading) and fetch_open.c (handles) share. Nobody else includes this.
 * */
#ifndef MATRIXFS_FETCH_PRIV_H
#define MATRIXFS_FETCH_PRIV_H

#include "daemon/fetch/fetch.h"
#include "daemon/fetch/pull.h"
#include "daemon/fetch/throttle.h"
#include "daemon/fetch/make_way.h"

struct fetch {
	struct fetch_conf conf;
	struct pulls pulls;
	struct throttle throttle;
	struct streams *streams;
	struct sealer *sealer;
	struct cond parked; /* a reader was parked, or stop; guarded by pulls.lock */
	bool anybody;       /* parked since the clock last looked; guarded by pulls.lock */
	pthread_t clock;
	bool clock_runs;
	struct make_way make_way;
};

#endif
