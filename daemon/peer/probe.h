/* SPDX-License-Identifier: Apache-2.0 */
/* Probes of members that did not answer: before anybody asks such a one for bytes again it gets a
 * small request from here, so that no reader has to wait to learn that it is still silent.
 * Threads: any; its own begin with the first probe. */
#ifndef MATRIXFS_PROBE_H
#define MATRIXFS_PROBE_H

#include "daemon/peer/peer_request.h"
#include "daemon/peer/wire.h"

#define PROBE_TARGET WIRE_JOBS "0" /* there is no such job, which is an answer */
#define PROBE_THREADS 4
#define PROBE_MAX 64 /* members that wait for their probe; of more, the next request reminds */

struct probes;

/* All of who and members are borrowed until probes_free. -ENOMEM. */
MUST_USE int probes_new(const struct asker *who, struct members *members, struct probes **ret);
/* Ends all probes. NULL is fine. */
void probes_free(struct probes *t);
/* To be called when a member is about to be asked, as member_may_ask has allowed. False: ask it.
 * True: its last request failed, so it is probed instead, which is noted of it; ask another. */
MUST_USE bool probes_take(struct probes *t, struct member *m);
/* The same of one that nobody is about to ask: it may be this node under another name. */
void probes_meet(struct probes *t, const struct member *m);

#endif
