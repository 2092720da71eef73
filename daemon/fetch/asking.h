/* SPDX-License-Identifier: Apache-2.0 */
/* What a run asks of whom, how fast that is, and whether who is asked may as well have failed. A
 * hub is one of those that have bytes from nobody else; each has a number.
 *
 * Of what was asked of a hub much is on its way, in buffers of both ends and of all between, and is
 * lost if somebody who wants the middle of a slow run gets one of his own. Where nodes share what
 * they bring there is always somebody. So there a hub is asked for no more than what will have come
 * soon, as fast as requests were lately: a run that has more to bring asks again, and what it has
 * not asked for yet can be given to another one at no cost.
 *
 * Not locked: the lock of the schedule guards all of it. */
#ifndef MATRIXFS_ASKING_H
#define MATRIXFS_ASKING_H

#include "daemon/fetch/schedule.h"

#define ASKING_HANGS_MS 3000 /* a hub that gives nothing for so long may as well have failed */

/* A run is about to ask somebody for what it has not from `off` on: up to where it should. */
uint64_t asking_begin(struct run *run, uint64_t off, unsigned who, bool is_hub, int64_t now_ms);
/* Word has come from who is asked: all up to `pos` is in the file. */
void asking_heard(struct run *run, uint64_t pos, int64_t now_ms);
/* Its request has ended, and brought so much. */
void asking_end(struct run *run, uint64_t bytes, int64_t took_ms);
/* True if it was failed, and has brought nothing since, or a hub lets it wait: one that gives other
 * runs bytes meanwhile does not. */
bool asking_fails(const struct run *run, int64_t now_ms);

#endif
