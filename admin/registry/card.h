/* SPDX-License-Identifier: Apache-2.0 */
/* What a README.md says of its repository, checked as the public hub checks it, and told in its
 * words: clients show them. Keys that are not known are allowed. Pure. */
#ifndef MATRIXFS_CARD_H
#define MATRIXFS_CARD_H

#include "daemon/base/buf.h"
#include "daemon/model/repo_id.h"

/* Appends {"errors":[{"message":...}],"warnings":[...]} and, if there is an error, the first one's
 * sentence to `first`: it is empty then and only then if the card may be kept. -ENOMEM. */
MUST_USE int card_check(const char *text, size_t len, enum repo_type type, struct buf *ret,
			struct buf *first);

#endif
