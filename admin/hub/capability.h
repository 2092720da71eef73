/* SPDX-License-Identifier: Apache-2.0 */
/* Links that let whoever has them do one thing until a time, for clients that send no token with
 * it. What the thing is stands elsewhere in the link, for anybody to read; here is its seal, an
 * HMAC-SHA256 under a key that only the hub has. Pure but for the making of a key. */
#ifndef MATRIXFS_CAPABILITY_H
#define MATRIXFS_CAPABILITY_H

#include <stdint.h>

#include "daemon/base/buf.h"

#define CAPABILITY_KEY 32 /* bytes of a key */
#define CAPABILITY_MAX 85 /* of a capability's text, without its NUL */

/* A key that nobody guesses; -errno. */
MUST_USE int capability_make_key(uint8_t ret[static CAPABILITY_KEY]);

/* Appends the text that lets its bearer do `what` up to and with that second since 1970: digits,
 * a dot, hex digits, fit for a URL as they are. `what` is a list that ends with NULL, of texts that
 * say all that is allowed (method, repository, id, size); lists differ where texts do, however they
 * read in a row. -ENOMEM, -EIO. */
MUST_USE int capability_print(const uint8_t key[static CAPABILITY_KEY], const char *const *what,
			      int64_t expires_s, struct buf *ret);
/* 0 if text lets its bearer do `what` at now_s; -EACCES with a sentence in why if it is no
 * capability, is one for something else or of another key, or has expired. The time it takes
 * does not tell how much of it was right. */
MUST_USE int capability_check(const uint8_t key[static CAPABILITY_KEY], const char *const *what,
			      const char *text, int64_t now_s, struct buf *why);

#endif
