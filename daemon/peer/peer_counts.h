/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted of all peers together. Bytes are those of files. Zeroed memory has counted
 * nothing. Threads: any. */
#ifndef MATRIXFS_PEER_COUNTS_H
#define MATRIXFS_PEER_COUNTS_H

#include "daemon/metrics.h"

struct peer_counts {
	metric bytes_in;    /* that members gave, and the cache took */
	metric bytes_wrong; /* that were not those of the blob */
	metric bytes_twice; /* on their way when somebody else was asked for them */
	metric asked;       /* requests to members */
	metric passed;      /* ranges that were left to hubs: nobody else was to have them */
	metric bytes_out;   /* given to members */
	metric answers;     /* requests of members that got bytes */
	metric waits;       /* that were told to ask again, the bytes being on their way */
	metric redirects;   /* that were told who else has them */
	metric refused;     /* wrong key, too busy, not here */
};

#endif
