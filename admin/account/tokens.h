/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of users. Only the digest of a token's value is kept: the value is shown once, when it
 * is made, and nobody can say it again. A token is known by its user and by a name. Changes
 * refuse what makes no sense with a sentence in why. Threads: any. */
#ifndef MATRIXFS_TOKENS_H
#define MATRIXFS_TOKENS_H

#include "admin/account/accounts.h"
#include "daemon/base/jwrite.h"
#include "daemon/model/repo_id.h"

#define TOKEN_NAME_LETTERS_MAX 96
#define TOKEN_NAME_MAX (4 * TOKEN_NAME_LETTERS_MAX) /* bytes */
#define TOKEN_VALUE_MAX 4096
#define TOKEN_DIGEST 32
#define GRANTS_MAX 256

/* What a fine-grained token may do, and where. */
struct grant {
	char what[REPO_KEY_MAX + 1]; /* "models/ns/name", or "ns": all of the namespace */
	enum role role;              /* ROLE_READ or ROLE_WRITE */
};

struct token {
	char user[ACCOUNT_NAME_MAX + 1], name[TOKEN_NAME_MAX + 1];
	enum role role;       /* what it may do at most; ROLE_NONE: as its grants say */
	struct grant *grants; /* owned; in tokens_add borrowed */
	size_t grant_count;
	int64_t created_s, expires_s; /* wall clock; expires_s 0: never */
	int64_t used_s;               /* about when it was last used, 0: never */
};

typedef int (*token_fn)(void *arg, const struct token *t);

/* Frees what it holds, and zeroes it. */
void token_fini(struct token *t);
/* True for "models/ns/name" (also datasets, spaces) and "ns", as grants and rules name them; ret
 * gets its key, in small letters, unless it is NULL. */
bool token_scope_valid(const char *what, char ret[static REPO_KEY_MAX + 1]);
/* Keeps a token of these fields, made now. `value` is the one it has already elsewhere (1 ...
 * TOKEN_VALUE_MAX printable bytes, no blanks); NULL: one is made. ret_value gets it (NULL: it
 * is not needed). -EEXIST if the user has one of that name, or anybody that value; -ENOENT: no such
 * user; -EINVAL. */
MUST_USE int tokens_add(struct db *db, const struct token *token, const char *value,
			struct buf *ret_value, struct buf *why);
/* -ENOENT. It is taken from nobody from now on. */
MUST_USE int tokens_remove(struct db *db, const char *user, const char *name);
/* Calls fn for each token of a user, by name, until it returns non-zero, and returns that. What it
 * is given is borrowed; it must not call this module. */
MUST_USE int tokens_each(struct db *db, const char *user, token_fn fn, void *arg);

/* The digest by which a token is known. */
MUST_USE int token_digest(const char *value, size_t len, uint8_t ret[static TOKEN_DIGEST]);
/* Writes the member "grants": [{what, role}], as rows and answers have it. */
void token_write_grants(const struct token *t, struct jwrite *w);
/* Appends a new value: "hf_" and as many letters and digits as clients look for. */
MUST_USE int token_make(struct buf *ret);

/* Inside a transaction. The token of that digest, with its last use; -ENOENT. It may have
 * expired. */
MUST_USE int token_get(struct db_txn *t, const uint8_t digest[static TOKEN_DIGEST],
		       struct token *ret);
/* What a token of that user and name is found by. -ENOENT. */
MUST_USE int token_find(struct db_txn *t, const char *user, const char *name,
			uint8_t ret[static TOKEN_DIGEST]);
/* Adds or replaces a token; the caller has looked at its fields. */
MUST_USE int token_put(struct db_txn *t, const uint8_t digest[static TOKEN_DIGEST],
		       const struct token *token);
/* Takes one token away, or all of a user. -ENOENT if there is none of that name. */
MUST_USE int token_del(struct db_txn *t, const char *user, const char *name);
MUST_USE int token_del_all(struct db_txn *t, const char *user);
/* Notes a use. Not where it is waited for: see uses.h. */
MUST_USE int token_put_use(struct db_txn *t, const uint8_t digest[static TOKEN_DIGEST],
			   int64_t at_s);

#endif
