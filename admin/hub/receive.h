/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a request on its way to a worker. It comes on a thread of the server, which must not
 * wait; it goes on, in pieces, on one that may wait for the disk. Two buffers lie between them, and
 * a client that is faster than the worker has to wait. */
#ifndef MATRIXFS_RECEIVE_H
#define MATRIXFS_RECEIVE_H

#include "daemon/base/httpd_pieces.h"
#include "daemon/base/workers.h"

/* Takes the next bytes. Negative: it wants no more. */
typedef int (*receive_fn)(void *arg, const void *data, size_t len);

struct receive_conf {
	struct workers *workers; /* borrowed; it takes one piece of work at a time for each body */
	receive_fn take;         /* on a worker, one call after another */
	/* Called once, on a worker: 0 when all was taken, what take() failed with, or ERR_CUT. Then
	 * the request is to be answered. Without memory it may be a thread of the server. */
	void (*end)(void *end_arg, int r);
	void *arg, *end_arg;
};

/* Takes the body of a request that is handled with HTTPD_PIECES, of that length (-1: unknown).
 * -ENOMEM: nothing is going to be called. */
MUST_USE int receive_start(struct httpd_request *q, int64_t length,
			   const struct receive_conf *conf);

#endif
