/* SPDX-License-Identifier: Apache-2.0 */
/* A member that has the key and is asked for digests: it says what it is told to say. */
#ifndef MATRIXFS_TESTS_FAKE_MEMBER_H
#define MATRIXFS_TESTS_FAKE_MEMBER_H

#include "daemon/peer/wire.h"
#include "tests/stand_in.h"

enum fake_role { FAKE_VOUCHER, FAKE_WITNESS, FAKE_HOLDER, FAKE_ROLES };

struct fake_member {
	const char *address;
	struct wire_digests says[FAKE_ROLES]; /* nothing at all: 404 */
	atomic_uint asked[FAKE_ROLES];
	atomic_uint chunks;     /* for which it was asked as a witness last, bit i; 0: for all */
	atomic_uint full;       /* it has no connection free for so many questions: unsigned 503 */
	atomic_bool stalls;     /* as a voucher it says that it is finding out: 202 */
	atomic_bool hides;      /* likewise as a holder */
	atomic_bool strange;    /* its key is another one */
	atomic_bool raves;      /* what it tells are no digests */
	struct stand_in played; /* its own */
};

/* Zeroed memory becomes one, which answers from now on; the key is borrowed. */
void fake_member_start(struct fake_member *m, struct cluster_key *key);
void fake_member_stop(struct fake_member *m);

#endif
