/* SPDX-License-Identifier: Apache-2.0 */
/* Members that gave a wrong chunk, as was seen when it came, or since: each is asked, on threads of
 * their own, what it holds and vouches for, since it may have passed on what it was given before it could
 * compare it. Who contradicts what it gave, or vouches for it, is banned. What does not fit is left
 * out: whose bytes are wrong once more is asked then. Threads: any. */
#ifndef MATRIXFS_VERIFY_GIVERS_H
#define MATRIXFS_VERIFY_GIVERS_H

#include "daemon/peer/source_peer.h"
#include "daemon/peer/verify.h"

#define VERIFY_GIVERS_MAX 32 /* members that wait to be asked */

struct verify_givers;

/* Nobody is asked yet. -ENOMEM. */
MUST_USE int verify_givers_new(struct verify_givers **ret);
/* They are from now on. Both are borrowed until verify_givers_stop; of http what they are asked is
 * ended at the stop. -ENOMEM, -EAGAIN (no thread). */
MUST_USE int verify_givers_start(struct verify_givers *g, const struct verify_conf *conf,
				 struct httpc *http);
/* False if it is still at work after a while: then all stays until the process ends. */
MUST_USE bool verify_givers_stop(struct verify_givers *g);
void verify_givers_free(struct verify_givers *g);

/* This one is to be asked, unless it waits for that already. Copied. Does not wait. */
void verify_givers_add(struct verify_givers *g, const struct source_refused *r);

#endif
