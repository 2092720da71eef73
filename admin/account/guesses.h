/* SPDX-License-Identifier: Apache-2.0 */
/* Wrong tokens, by the address they come from: who tries one after the other is slowed down, and
 * those beside them hardly. An address (of IPv6 a /64) may send GUESSES_FREE different wrong
 * tokens at once and one more each GUESSES_MS. Beyond that a token is not even looked at, so
 * that a right guess is no answer either; but those that were right from that address lately
 * are, at once, and so are the wrong ones that it keeps repeating, which cost nothing: a
 * forgotten client with an expired token is no attack. Memory is bounded: the address heard of
 * longest ago is forgotten. Threads: any. */
#ifndef MATRIXFS_GUESSES_H
#define MATRIXFS_GUESSES_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/own.h"

#define GUESSES_FREE 50
#define GUESSES_MS 2000
#define GUESSES_RIGHT 16 /* right tokens that are remembered of one address */
#define GUESSES_WRONG 32 /* and wrong ones */

struct guesses;

/* -ENOMEM, or what the system says that has no random bytes. */
MUST_USE int guesses_new(struct guesses **ret);
void guesses_free(struct guesses *g);
/* True if the token of that number (the same for the same token) from that address ("192.0.2.1",
 * "2001:db8::1", or any word) may be looked at. now_ms: clock_ms(). */
bool guesses_may_try(struct guesses *g, const char *address, uint64_t token, int64_t now_ms);
/* It was looked at. */
void guesses_note(struct guesses *g, const char *address, uint64_t token, bool right,
		  int64_t now_ms);

#endif
