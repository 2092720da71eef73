/* SPDX-License-Identifier: Apache-2.0 */
/* The table of what the hub answers. */
#ifndef MATRIXFS_ROUTES_H
#define MATRIXFS_ROUTES_H

#include "admin/server.h"
#include "daemon/base/httpd.h"

/* Answers a request, now or later; `server` is a struct server. Any thread. */
void routes_handle(void *server, struct httpd_request *q);
/* A request has ended, and is counted and told of: httpd_conf's ended. */
void routes_ended(void *server, const struct httpd_request *q, const struct httpd_end *end);
/* How much of a body a request may bring: httpd_conf's body_max. */
ssize_t routes_body_max(void *server, const struct httpd_request *q);

#endif
