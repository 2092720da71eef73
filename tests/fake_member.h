/* SPDX-License-Identifier: Apache-2.0 */
/* A member that has the key and is asked for digests: it says what it is told to say. */
#ifndef MATRIXFS_TESTS_FAKE_MEMBER_H
#define MATRIXFS_TESTS_FAKE_MEMBER_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/peer/cluster_key.h"
#include "daemon/peer/wire.h"

enum fake_role { FAKE_VOUCHER, FAKE_WITNESS, FAKE_HOLDER, FAKE_ROLES };

struct fake_member {
	char address[MEMBER_ADDRESS_MAX + 1];
	struct wire_digests says[FAKE_ROLES]; /* nothing at all: 404 */
	atomic_uint asked[FAKE_ROLES];
	atomic_uint full; /* it has no connection free for so many questions: unsigned 503 */
	/* Its own. */
	struct cluster_key *key;
	int listener;
	pthread_t thread;
	atomic_bool stopping;
};

/* Zeroed memory becomes one, which answers from now on; the key is borrowed. */
void fake_member_start(struct fake_member *m, struct cluster_key *key);
void fake_member_stop(struct fake_member *m);

#endif
