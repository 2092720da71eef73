/* SPDX-License-Identifier: Apache-2.0 */
/* A chunk that a member is asked for on a thread of its own, while another one that was asked
 * before goes on. Its bytes are kept in memory, for nobody has compared them, and the other may
 * come first. Threads: all but the question itself belong to who began it. */
#ifndef MATRIXFS_RACE_H
#define MATRIXFS_RACE_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/peer/peer_get.h"

enum race_state {
	RACE_NONE, /* or nothing of use came of it: see race_end */
	RACE_RUNS,
	RACE_WON, /* it is over, and all of the chunk has come */
};

/* Zeroed memory is none. */
struct race {
	enum race_state state;
	/* Its own. The question's lower half, and the bytes, are anybody's after race_end. */
	struct peer_get question;
	char *bytes;
	size_t size;
	atomic_size_t have; /* of them */
	int64_t began_ms;
	const struct asker *who;
	struct wire_ask ask;
	struct httpc_cancel cancel;
	pthread_t thread;
	atomic_bool ended;
	int result;
};

/* Asks that member; what `ask` points to is borrowed until race_end. -ENOMEM, -EAGAIN. */
MUST_USE int race_begin(struct race *r, struct member *member, const struct wire_ask *ask,
			int64_t patience_ms, int64_t connect_ms, const struct asker *who);
/* True if race_end would not have to end it. */
bool race_has_ended(const struct race *r);
/* Ends one that runs, if need be: what peer_get_run said. r->state tells whether it has won; then,
 * too, race_fini is to follow. */
int race_end(struct race *r);
/* Lets go of the bytes, and is none. */
void race_fini(struct race *r);

#endif
