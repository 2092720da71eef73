/* SPDX-License-Identifier: Apache-2.0 */
/* Work that may end its process, done in a short-lived child: reading what may be garbage with a
 * library that trusts it. Other programs, and the end of other children, with a deadline. */
#ifndef MATRIXFS_CHILD_H
#define MATRIXFS_CHILD_H

#include <stdint.h>
#include <sys/types.h>

#include "daemon/base/buf.h"

/* Runs fn in a copy of this process and returns what it returned (0 ... CHILD_RESULT_MAX), or
 * ERR_CORRUPT if the child died, was still running after timeout_ms (it is killed then), or wrote
 * a file of more than file_bytes_max. -EAGAIN and the like if there can be no child. What fn
 * writes to memory stays in the child, but for mappings that are shared; it takes no locks that
 * other threads may hold, and starts no thread. */
#define CHILD_RESULT_MAX 63
MUST_USE int child_run(int (*fn)(void *arg), void *arg, int64_t timeout_ms,
		       uint64_t file_bytes_max);

/* Waits for another child until then, by clock_ms: 0 with its status as waitpid(2) tells it,
 * ERR_TIMEOUT, or -ECHILD. */
MUST_USE int child_wait(pid_t pid, int64_t until_ms, int *ret_status);
/* Kills it, and waits until then for its end: for one that the kernel keeps no longer than that. */
void child_kill(pid_t pid, int64_t until_ms);

/* Runs a program, looked for in PATH if its name has no slash, with no signal blocked: its exit
 * status (0 ... 255), with what it says on standard error appended to *ret_said (what is too much
 * is left out); what it says otherwise is dropped. ERR_TIMEOUT if it has not ended after
 * timeout_ms: it is killed. -EIO: it died. -ENOENT and the like: it cannot be run. Threads: any. */
MUST_USE int child_say(const char *program, char *const argv[], int64_t timeout_ms,
		       struct buf *ret_said);

#endif
