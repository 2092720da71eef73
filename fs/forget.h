/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the kernel to forget pages, on a thread of its own: the kernel waits there for the
 * READs that are under way, and those may wait for the very thread that found the bytes wrong.
 * No FUSE in here. Threads: any. */
#ifndef MATRIXFS_FORGET_H
#define MATRIXFS_FORGET_H

#include <stdint.h>

#include "daemon/base/own.h"

struct forget;

/* Starts the thread, which calls fn for each number, one after another. */
MUST_USE int forget_start(void (*fn)(void *arg, uint64_t number), void *arg, struct forget **ret);
/* Queues a number; returns at once. */
void forget_add(struct forget *f, uint64_t number);
/* Waits for what is under way, drops what is queued, joins the thread, frees. No READ may be
 * parked any more. */
void forget_stop(struct forget *f);

#endif
