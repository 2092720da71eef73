/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the door to libcurl share. */
#ifndef MATRIXFS_HTTPC_PRIV_H
#define MATRIXFS_HTTPC_PRIV_H

#include "daemon/base/httpc.h"

struct curl_slist;

struct httpc_response {
	void *easy; /* libcurl's, during or after a transfer */
};

/* The lines of a request's head that are not libcurl's own: owned, also after a failure. -EINVAL,
 * -ENOMEM. */
MUST_USE int httpc_lines(const struct httpc_request *q, struct curl_slist **ret);
/* Wipes them first: some are secret. */
void httpc_lines_free(struct curl_slist *lines);

#endif
