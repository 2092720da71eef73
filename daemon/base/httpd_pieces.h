/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of requests that go to their handlers piece by piece, while they come: for what no memory
 * holds. Who has no room for more makes the client wait. */
#ifndef MATRIXFS_HTTPD_PIECES_H
#define MATRIXFS_HTTPD_PIECES_H

#include "daemon/base/httpd.h"

/* What httpd_conf's body_max says of them: the request is handled when its head has come. If it is
 * answered without its body, that is thrown away, or its connection ends. */
#define HTTPD_PIECES (-2)

struct httpd_pieces {
	/* Takes the first of these bytes: how many. If not all, it is called again with the rest
	 * after httpd_wake. On a thread of the server; not once the request was answered. */
	size_t (*take)(void *arg, const void *data, size_t len);
	/* Called once, with 0 when all has come; or ERR_CUT when no more will, and nobody waits for
	 * the answer, which is to be given all the same; perhaps after the answer was given. */
	void (*end)(void *arg, int r);
	void *arg;
};
/* Takes the body of a request that was handled with HTTPD_PIECES; `end` may be called at once. */
void httpd_receive(struct httpd_request *q, const struct httpd_pieces *p);
/* Bytes of the body, as its head says; -1 if it does not say. Until handle() returns. */
int64_t httpd_body_length(const struct httpd_request *q);
/* True if its client does not wait for the answer any more: it closed its side, or was sent away.
 * It is to be answered still. Any thread, until it was. */
bool httpd_left(struct httpd_request *q);

#endif
