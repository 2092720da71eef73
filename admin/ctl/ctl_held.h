/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds a mount, so that it outlives its daemon, by what /v1/status says. Pure. */
#ifndef MATRIXFS_CTL_HELD_H
#define MATRIXFS_CTL_HELD_H

#include "daemon/base/buf.h"
#include "daemon/base/jdoc.h"

enum ctl_held {
	CTL_HELD_UNTOLD, /* no mount, or a daemon that does not tell */
	CTL_HELD_BY_NOBODY,
	CTL_HELD_BY_MANAGER, /* systemd */
	CTL_HELD_BY_HOLDER,  /* a process */
};

/* Who holds it; *ret_takeovers is how many daemons took it over since it was mounted. */
enum ctl_held ctl_held_by(const struct jval *status, int64_t *ret_takeovers);
/* Appends who it is, and how the daemon is replaced: "process 812 (kill -USR2 812 replaces the
 * daemon)". */
void ctl_held_print(const struct jval *status, struct buf *ret);

#endif
