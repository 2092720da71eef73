/* SPDX-License-Identifier: Apache-2.0 */
/* Whether what an author of that name said is the word of who asks: a name goes with its account,
 * and may be given again as an administrator says. */
#ifndef MATRIXFS_AUTHORSHIP_H
#define MATRIXFS_AUTHORSHIP_H

#include "admin/hub/ask.h"

/* Since when who asks has his name: milliseconds since 1970. -ENOENT: nobody has it any more. */
MUST_USE int authorship_since(const struct ask *a, int64_t *ret_ms);
/* 0: what was said at that time is his; ERR_FORBIDDEN: it is not. */
MUST_USE int authorship_is(const struct ask *a, const char *author, int64_t at_ms);
/* Likewise for what is also theirs who may write to the repository. */
MUST_USE int authorship_or_write(const struct ask *a, const char *author, int64_t at_ms);

#endif
