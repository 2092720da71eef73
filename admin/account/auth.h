/* SPDX-License-Identifier: Apache-2.0 */
/* Who is asking. A token is looked up by its SHA-256: how long that takes tells how two digests
 * differ, which nobody can steer without knowing the token. Who guesses is slowed down, by address
 * (guesses.h). Threads: any. */
#ifndef MATRIXFS_AUTH_H
#define MATRIXFS_AUTH_H

#include <stdbool.h>

#include "admin/account/tokens.h"
#include "daemon/base/buf.h"

struct auth;
struct workers;

/* Zeroed: somebody who has not said who. */
struct identity {
	bool known;
	bool is_hub_admin; /* the user is an administrator of the hub: as far as the token lets */
	char user[ACCOUNT_NAME_MAX + 1];
	struct token token; /* owned: its name is for records, never its value */
};

#define AUTH_ADMIN_FILE "admin.token" /* in the data directory */

/* Reads the administrator's token from its file in `dir`, or makes both: *ret_made tells. It is a
 * token of ACCOUNT_ADMIN in db like any other, in the place of the one the file held before. The
 * db is borrowed until auth_close; so are the workers, who write down when tokens are used.
 * Sentences in why. */
MUST_USE int auth_open(const char *dir, struct db *db, struct workers *workers, struct auth **ret,
		       bool *ret_made, struct buf *why);
/* Writes down the last uses. The workers have been stopped. */
void auth_close(struct auth *a);
/* Who sends this Authorization field (NULL: none) from this address: "Bearer TOKEN", or, as git has
 * it, "Basic ...", a user's name and a token of theirs in the place of a password. ERR_TOKEN if it
 * holds no token that is taken: unknown, expired, taken back, of another user, or of a disabled
 * one, which are all the same. ERR_GUESSING: too many wrong ones came from there, and this one was
 * not looked at. */
MUST_USE int auth_check(struct auth *a, const char *field, const char *address,
			struct identity *ret);
/* Who that user is today, by the token of that name: as if it had come again, but for its value.
 * ERR_TOKEN. */
MUST_USE int auth_recall(struct auth *a, const char *user, const char *token, struct identity *ret);
/* True if that is what it says of the credentials; else it could not be found out who asks. */
bool auth_refuses(int r);
void identity_fini(struct identity *who);

#endif
