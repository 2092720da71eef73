/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets that clients of the hub come in by. */
#ifndef MATRIXFS_DOORS_H
#define MATRIXFS_DOORS_H

#include "admin/hubconf.h"
#include "daemon/base/httpd.h"
#include "daemon/base/notify.h"

/* Those the service manager passed to this process, or else those of the parameter "listen". Of the
 * passed ones those named "http" speak plain HTTP, those named "https" TLS, all others what the
 * certificate says. Sentences in why, and those that are open already stay counted. */
MUST_USE int doors_open(const struct hubconf *c, notify_env *env,
			struct httpd_door ret[static HTTPD_DOORS_MAX], unsigned *ret_count,
			struct buf *why);
void doors_close(const struct httpd_door *doors, unsigned count);
/* Appends where they listen, with commas between them. */
void doors_tell(const struct httpd_door *doors, unsigned count, struct buf *ret);

#endif
