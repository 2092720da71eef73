/* SPDX-License-Identifier: Apache-2.0 */
/* A chunk that a member is asked for on a thread of its own, while another one that was asked
 * before goes on. Its bytes are kept in memory, for nobody has compared them, and the other may
 * come first. Threads: all but the question itself belong to who began it. */
#ifndef MATRIXFS_RACE_H
#define MATRIXFS_RACE_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/peer/peer_get.h"

/* Zeroed memory is none. */
struct race {
	bool runs;
	/* Its own. The question's lower half, and the bytes, are anybody's after race_end. */
	struct peer_get question;
	char *bytes;
	size_t size;
	atomic_size_t have; /* of them; */
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
/* Ends it, if need be: what peer_get_run said. */
int race_end(struct race *r);
/* True if all of the chunk has come, of one that ended with `result`. */
bool race_has_all(const struct race *r, int result);
/* Lets go of the bytes. */
void race_fini(struct race *r);

#endif
