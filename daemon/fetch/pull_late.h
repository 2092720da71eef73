/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for bytes of a pull for too long, and what becomes of what it waited for. As in pull.h
 * one lock guards all, and nothing here blocks or calls out. */
#ifndef MATRIXFS_PULL_LATE_H
#define MATRIXFS_PULL_LATE_H

#include "daemon/fetch/pull.h"

/* Who waits for verified bytes is late after timeout_ms of silence, or below this on average. */
#define PULL_VERIFY_BYTES_S (UINT64_C(1) << 20)
/* Settles those who are late with ERR_TIMEOUT, and remembers what they waited for in vain. */
void pull_settle_late_locked(struct pull *p, int64_t now_ms, int64_t timeout_ms,
			     struct waitlist *settled);
/* True if somebody waited in vain for all of [off, off + len) only just now. */
bool pull_was_late_locked(const struct pull *p, uint64_t off, uint64_t len, int64_t now_ms);
/* Demands again what is waited for: a run that was left to bring it may have turned out slow, and
 * who waits for the verdict may need what was there and has gone since. */
void pull_demand_again_locked(struct pull *p, int64_t now_ms);

#endif
