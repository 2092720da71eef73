/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens for the Xet store: clients send them there in the place of their own. What one lets its
 * bearer do stands in it, sealed (capability.h): to bring files for one repository, or to read
 * those of it, until a time, as the user and with the token it was given for, which is not another
 * one of that name that was made since. Pure. */
#ifndef MATRIXFS_XET_TOKEN_H
#define MATRIXFS_XET_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/hub/capability.h"

#define XET_TOKEN_S 900      /* how long one is good for: clients ask for the next in time ... */
#define XET_TOKEN_LATE_S 300 /* ... by their own clocks, which may be so much behind */

struct xet_token {
	/* Owned, or borrowed where it is printed: the repository's uid; who; the token's name; and
	 * when that was made, in digits; the last three are "" for nobody. */
	char *uid, *user, *token, *made;
	int64_t expires_s;
	bool reads; /* it is for reading alone */
};

/* Frees the texts of one that was read. */
void xet_token_fini(struct xet_token *t);
/* Appends it as text. -ENOMEM, -EIO. */
MUST_USE int xet_token_print(const uint8_t key[static CAPABILITY_KEY], const struct xet_token *t,
			     struct buf *ret);
/* Reads the one that an Authorization field (NULL: none) bears. -EACCES with a sentence in why if
 * it is none of ours, or old. */
MUST_USE int xet_token_read(const uint8_t key[static CAPABILITY_KEY], const char *authorization,
			    int64_t now_s, struct xet_token *ret, struct buf *why);

#endif
