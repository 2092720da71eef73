/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what to files clients wrote. What lies in hub/ is metadata that all share: anybody
 * may write it, as lock files must be. What lies beside it (HF_HOME's tokens and modules) is
 * its owner's: mode bits count, and directories are sticky, as in /tmp. Nothing else is asked
 * here: what is shown may be read by all, and written by nobody. Supplementary groups are not
 * known. Source: path_resolution(7). */
#ifndef MATRIXFS_PERMIT_H
#define MATRIXFS_PERMIT_H

#include <sys/types.h>

#include "fs/place.h"

struct permit_who {
	uid_t uid;
	gid_t gid;
};

/* 0 or -EACCES: may `who` do that (R_OK, W_OK, X_OK) to the place? */
MUST_USE int permit_access(const struct permit_who *who, const struct place *p, int mask);
/* 0, -EACCES or -EPERM: may `who` remove or rename `entry` of the directory `dir`? */
MUST_USE int permit_remove(const struct permit_who *who, const struct place *dir,
			   const struct place *entry);
/* 0 or -EPERM: may `who` change its mode, owner or times? */
MUST_USE int permit_change(const struct permit_who *who, const struct place *p);

#endif
