/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from what witnesses say of one chunk. One of them may lie, alone: what two say
 * counts, or what this node had from a hub itself. Pure. */
#ifndef MATRIXFS_QUORUM_H
#define MATRIXFS_QUORUM_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/own.h"

enum quorum {
	QUORUM_OPEN,       /* another one is to be heard */
	QUORUM_RIGHT,      /* it is as the witness says */
	QUORUM_FIRST_LIED, /* likewise, and the first one had said something else */
};

/* Digests of SHA-256, borrowed. */
struct quorum_sayings {
	const uint8_t *here;    /* as it is here, or NULL: it is not */
	const uint8_t *vouched; /* by the owner of its segment; all zero: it says nothing */
	const uint8_t *first;   /* what another witness said before, or NULL */
	const uint8_t *told;    /* what this one says */
	bool gave;              /* who gave the chunk: it may say what another says, no more */
	bool is_own;            /* it is this node */
};

/* Nobody has lied because others say so: of those only one need be honest. */
MUST_USE enum quorum quorum(const struct quorum_sayings *s);

#endif
