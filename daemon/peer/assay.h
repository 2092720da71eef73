/* SPDX-License-Identifier: Apache-2.0 */
/* While a blob comes from members and no hub publishes its digest list: each segment that is there
 * is compared with what its owner had (inquiry.h), on a thread of its own, so that wrong bytes are
 * found before the digest of the whole can tell. One question a segment; what cannot be asked now
 * is left to that digest, and so is what comes when too much waits. Threads: any. */
#ifndef MATRIXFS_ASSAY_H
#define MATRIXFS_ASSAY_H

#include "daemon/fetch/fetch.h"
#include "daemon/peer/inquiry.h"

#define ASSAY_MAX 512           /* segments that wait, or whose owner's word is kept */
#define ASSAY_REFUTED 16        /* owners that are remembered for what was not so */
#define ASSAY_REFUTED_MS 600000 /* so long they are not asked */

struct assay;

struct assay_conf {
	const struct trial_conf *trials; /* borrowed until assay_stop, like all below */
	struct fetch *fetch;
	struct store *store;
	struct httpc *http; /* to end what it asks at the stop */
};

/* It compares nothing yet. -ENOMEM. */
MUST_USE int assay_new(struct assay **ret);
/* It does from now on. -ENOMEM, -EAGAIN (no thread). */
MUST_USE int assay_start(struct assay *a, const struct assay_conf *conf);
/* False if it is still at work after a while: then all stays until the process ends. NULL is
 * fine. */
MUST_USE bool assay_stop(struct assay *a);
void assay_free(struct assay *a);

/* Chunk i of a blob has come from a member. Does not wait. */
void assay_came(struct assay *a, const struct source_blob *what, uint32_t i);
/* A hub has published the digests of a blob: what members gave of it before is compared with that,
 * so that it is passed on no longer if it is wrong. Does not wait. */
void assay_listed(struct assay *a, const struct source_blob *what);
/* Nothing of a blob is to be compared any more. */
void assay_forget(struct assay *a, const char *etag);

#endif
