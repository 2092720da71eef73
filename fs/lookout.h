/* SPDX-License-Identifier: Apache-2.0 */
/* Looks through the mount as anybody would, and tells whether there is an answer. A process of its
 * own looks: a thread of this one that waits for this one's answer could not be killed, and the
 * process, whose end is what would end that wait, not either. One thread at a time,
 * but for lookout_stop. */
#ifndef MATRIXFS_LOOKOUT_H
#define MATRIXFS_LOOKOUT_H

#include <stdint.h>

#include "daemon/base/own.h"

struct lookout;

/* Starts the other process: before this one has threads or secrets, and before anything is mounted.
 * It ends with lookout_free, or with this process. -EAGAIN, -ENOMEM and the like. */
MUST_USE int lookout_start(struct lookout **ret);
/* 0: somebody answered on this mount point. ERR_TIMEOUT: nobody did until deadline_ms (clock_ms());
 * the next one waits for the same answer. Else what statvfs(3) says, or ERR_STOPPING if the process
 * is gone, or after lookout_stop. */
int lookout_ask(struct lookout *l, const char *mountpoint, int64_t deadline_ms);
/* Ends the wait for an answer, which does not come from a mount that nobody serves. Any thread.
 * NULL is none. */
void lookout_stop(struct lookout *l);
/* Waits for no answer, and but a moment for the process. NULL is none. */
void lookout_free(struct lookout *l);

#endif
