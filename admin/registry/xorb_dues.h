/* SPDX-License-Identifier: Apache-2.0 */
/* What waits of xorbs, and who pays for it: bytes that came and are in no file yet are on the disk,
 * and in nobody's holdings. In memory alone: what a former run left is told anew. Threads: any. */
#ifndef MATRIXFS_XORB_DUES_H
#define MATRIXFS_XORB_DUES_H

#include <stdint.h>

#include "daemon/base/own.h"

struct xorb_dues;

/* -ENOMEM. */
MUST_USE int xorb_dues_new(struct xorb_dues **ret);
/* NULL is none. */
void xorb_dues_free(struct xorb_dues *d);
/* That one waits of those that `owner` brought, or, negative, does not any more. `payer` pays for
 * all of that owner from now on; NULL: who did before. Without memory it is not counted. */
void xorb_dues_add(struct xorb_dues *d, const char *owner, const char *payer, int64_t bytes,
		   int files);
/* What waits of all that one pays for. */
void xorb_dues_of(struct xorb_dues *d, const char *payer, uint64_t *ret_bytes, uint64_t *ret_files);

#endif
