/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a mount away. Threads: any. */
#ifndef MATRIXFS_UNMOUNT_H
#define MATRIXFS_UNMOUNT_H

#include "daemon/base/own.h"

/* Takes away what is mounted there, without asking it: who is inside stays until he leaves. Users
 * without the right to may have it, by fusermount3. -EPERM; ERR_TIMEOUT: that does not end, and was
 * killed; -ENOMEM; and what umount2(2) says. */
int unmount_detach(const char *mountpoint);

#endif
