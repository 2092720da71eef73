/* SPDX-License-Identifier: Apache-2.0 */
/* A change and the record that tells of it lie in two places, the hub's metadata and the trail. So
 * that no kill parts them, the record that is owed is a row of the transaction that makes the
 * change; once it is durable in the trail the row may go, which one transaction does for many. What
 * is left at a start was owed by who was killed (audit_replay.h). Threads: any, one at a time a
 * debt. */
#ifndef MATRIXFS_AUDIT_DEBT_H
#define MATRIXFS_AUDIT_DEBT_H

#include <stdbool.h>

#include "admin/audit/audit.h"
#include "admin/db.h"
#include "daemon/base/workers.h"

#define AUDIT_DEBT_ACT_MAX 64 /* bytes of an act, which is a word of ours */

/* All that is owed by a hub, and was paid lately. */
struct audit_debts;
/* One change. */
struct audit_debt;

/* All are borrowed, and are there longer. audit NULL: no trail, nothing is owed. */
MUST_USE int audit_debts_new(struct db *db, struct audit *audit, struct workers *workers,
			     struct audit_debts **ret);
/* No debt is left; the rows of what was paid go. NULL is none. */
void audit_debts_free(struct audit_debts *all);

/* What the record says now: its texts stay until it is asked again. It has a number of its request,
 * an act, and is of that act alone in this request. Asked inside the change's transaction, when its
 * function has done its work, and when it is paid. */
typedef void (*audit_tell_fn)(void *arg, struct audit_record *ret);

/* -ENOMEM. */
MUST_USE int audit_debt_new(struct audit_debts *all, struct audit_debt **ret);
/* NULL is none. What was not paid stays owed, to the next start. */
void audit_debt_free(struct audit_debt *d);
/* The db to make the change in that tell() tells of, borrowed until the debt is freed: whatever is
 * written there is written with the record that is owed for it. Another tell() begins another
 * change. */
struct db *audit_debt_db(struct audit_debt *d, audit_tell_fn tell, void *arg);
/* True if a change was made and not paid; also where there is no trail. */
bool audit_debt_made(const struct audit_debt *d);
/* Records the change: as audit_commit without a waiter. If it fails it stays owed. */
MUST_USE int audit_debt_pay(struct audit_debt *d);

/* --- its rows, for who replays them */

/* The row of a record: "number-of-the-request act"; a line of a chain of its own (audit_record.h),
 * whose number is that of the first record that can tell of the change. */
typedef int (*audit_debt_fn)(void *arg, const char *key, const char *line, size_t len);
/* Calls fn with each until it returns non-zero, and returns that. */
MUST_USE int audit_debt_each(struct db *db, audit_debt_fn fn, void *arg);
/* Takes out those whose keys stand in `keys`, each with a newline behind it. */
MUST_USE int audit_debt_forget(struct db *db, const struct buf *keys);

#endif
