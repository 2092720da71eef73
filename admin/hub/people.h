/* SPDX-License-Identifier: Apache-2.0 */
/* Who somebody is, as answers tell it of users and organisations. Threads: any. */
#ifndef MATRIXFS_PEOPLE_H
#define MATRIXFS_PEOPLE_H

#include "admin/account/accounts.h"
#include "daemon/base/jwrite.h"

/* Writes an id that stays the same, also on another hub that answers for the same accounts: of an
 * account, or of whatever else has a name. */
void people_write_id(struct jwrite *w, const char *key, const char *what);
/* Writes how somebody is called: the name, as that member, and in full. */
void people_write_name(struct jwrite *w, const char *key, const struct account *a);
/* Writes an object with what anybody may know of a user; nothing if there is none of that name, as
 * of one who is gone. Inside a transaction. */
MUST_USE int people_write(struct db_txn *t, struct jwrite *w, const char *key, const char *name);

#endif
