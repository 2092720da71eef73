/* SPDX-License-Identifier: Apache-2.0 */
/* Events that are not over lie beside the trail, so that a killed hub tells of them at its next
 * start. Not flushed: a power cut may lose them. So does the number of those that no disk took. One
 * thread at a time. */
#ifndef MATRIXFS_AUDIT_SAVED_H
#define MATRIXFS_AUDIT_SAVED_H

#include "daemon/base/buf.h"

#define AUDIT_SAVED_FILE "open" /* in DIR/audit: lines of a chain of its own */

/* Replaces what is saved by these bodies of records (audit_record_body), each with a newline behind
 * it. None: nothing is saved any more. */
MUST_USE int audit_saved_put(int dirfd, const struct buf *bodies);
/* Calls fn with each body that was saved, as far as they are whole. 0, -errno, or what fn returned
 * that was not 0. */
MUST_USE int audit_saved_each(int dirfd, int (*fn)(void *arg, const char *body, size_t len),
			      void *arg);

/* How many events were lost, and no record says so: in a file that is made once, since a full disk
 * still takes a number in the place of another. Descriptor or -errno. */
#define AUDIT_LOST_FILE "lost"
MUST_USE int audit_lost_open(int dirfd, uint64_t *ret);
/* Replaces the number, durably. */
MUST_USE int audit_lost_put(int fd, uint64_t lost);

#endif
