/* SPDX-License-Identifier: Apache-2.0 */
/* A process that goes to the background when it is ready, while who started it waits. No threads
 * yet. */
#ifndef MATRIXFS_BACKGROUND_H
#define MATRIXFS_BACKGROUND_H

#include <stdbool.h>

#include "daemon/base/own.h"

/* Splits off the process that will serve, in which it returns 0; the parent waits for its word and
 * exits with its status. *ret_fd is for background_tell. -EAGAIN and the like. */
MUST_USE int background_go(int *ret_fd);
/* The parent exits with this status. The descriptor, if it is not -1, is closed and becomes -1. */
void background_tell(int *fd, unsigned char status);
/* Lets go of the terminal: standard error goes to a file beside the cache. Not before it is
 * mounted: an automounter lets nobody see the mount point meanwhile but its own process group.
 * Unless it stays, of the directory it was started in, too. */
void background_leave_terminal(const char *cache_dir, bool stays);

#endif
