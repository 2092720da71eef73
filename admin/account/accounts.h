/* SPDX-License-Identifier: Apache-2.0 */
/* Who there is: users and organisations, which share one space of names, and who is a member of
 * what. Names are those of namespaces on the Hub; letters of either case are the same name.
 * Changes refuse what makes no sense with a sentence in why. Errors: -EINVAL (a name or value that
 * cannot be), -EEXIST (also a name that was another's), -ENOENT (no such account, or not of that
 * kind), -EBUSY (it is the last administrator). Threads: any. */
#ifndef MATRIXFS_ACCOUNTS_H
#define MATRIXFS_ACCOUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/db.h"

#define ACCOUNT_NAME_MAX 96
#define ACCOUNT_TEXT_MAX 256  /* bytes of a full name or an address */
#define ACCOUNT_ADMIN "admin" /* the user who has the token of the first start */

enum account_kind { ACCOUNT_USER, ACCOUNT_ORG };

/* How much: of a member, of a token, and of whoever asks for something. Each holds those before
 * it. Two are given to nobody: ROLE_SPEAK is for who may read and has a token that may write
 * there; ROLE_HUB is what only administrators of the hub may ask for. */
enum role { ROLE_NONE, ROLE_READ, ROLE_SPEAK, ROLE_WRITE, ROLE_ADMIN, ROLE_HUB };

struct account {
	enum account_kind kind;
	char name[ACCOUNT_NAME_MAX + 1]; /* as it was first written */
	char full_name[ACCOUNT_TEXT_MAX + 1], email[ACCOUNT_TEXT_MAX + 1];
	bool disabled;        /* a user: none of the tokens is taken */
	bool is_admin;        /* a user: may do everything, with a token of that role */
	bool private_default; /* repositories of the namespace are private unless one says else */
	int64_t created_s;
};

#define ROLE_WORDS "read|write|admin" /* what anybody can be given */

/* What a change sets; NULL and -1 leave a field as it is (ACCOUNT_AS_IS leaves all). */
struct account_change {
	const char *full_name, *email;
	int disabled, is_admin, private_default;
	bool again; /* of one that is added: it is who had the name before, see leavers.h */
};
#define ACCOUNT_AS_IS ((struct account_change){ NULL, NULL, -1, -1, -1, false })

/* True if what somebody of that name said at that time is this account's word. */
bool account_is_author(const struct account *a, int64_t at_ms);

typedef int (*account_fn)(void *arg, const struct account *a);
typedef int (*member_fn)(void *arg, const char *name, enum role role);

/* "read", "write", "admin"; "none". And the inverse: false if it is no role. */
const char *role_word(enum role role);
bool role_parse(const char *word, enum role *ret);
/* True if an account can have that name. */
bool account_name_valid(const char *name);
/* The key of a name: in small letters. ret holds as many bytes as text and its NUL. */
void account_key(const char *text, char *ret);

/* One more, made now; a change of one; and what is known of one. */
MUST_USE int accounts_add(struct db *db, enum account_kind kind, const char *name,
			  const struct account_change *with, struct buf *why);
MUST_USE int accounts_change(struct db *db, const char *name, const struct account_change *change,
			     struct buf *why);
MUST_USE int accounts_get(struct db *db, const char *name, struct account *ret);
/* Calls fn for each of that kind behind the name `after` (NULL: from the first), by name, until it
 * returns non-zero, and returns that. fn must not call this module. */
MUST_USE int accounts_each(struct db *db, enum account_kind kind, const char *after, account_fn fn,
			   void *arg);

/* Makes the user a member with that role, or changes it; ROLE_NONE: a member no more. */
MUST_USE int membership_set(struct db *db, const char *org, const char *user, enum role role,
			    struct buf *why);
/* Calls fn for each member of an organisation, or each organisation of a user. As above. */
MUST_USE int memberships_each(struct db *db, const char *name, member_fn fn, void *arg);

/* Inside a transaction. */
MUST_USE int account_get(struct db_txn *t, const char *name, struct account *ret);
MUST_USE int account_put(struct db_txn *t, const struct account *a);
/* With its memberships or members; its name is noted (leavers.h). What else hangs on it is
 * retire.h's. */
MUST_USE int account_del(struct db_txn *t, const char *name, struct buf *why);
/* The role of a user in an organisation, ROLE_NONE if it is no member. */
MUST_USE int member_get(struct db_txn *t, const char *org, const char *user, enum role *ret);
/* As memberships_each. */
MUST_USE int member_each(struct db_txn *t, const char *name, member_fn fn, void *arg);

#endif
