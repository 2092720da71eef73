/* SPDX-License-Identifier: Apache-2.0 */
/* The blobs that are being fetched right now, as a list for people. Threads: any. */
#ifndef MATRIXFS_TRANSFERS_H
#define MATRIXFS_TRANSFERS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/model/manifest.h"
#include "daemon/model/repo_id.h"
#include "daemon/fetch/urgency.h"

struct pulls;

struct transfer {
	struct repo_id repo;
	char commit[COMMIT_HEX + 1];
	char path[MANIFEST_PATH_MAX + 1];
	char etag[DIGEST_HEX_MAX + 1];
	char source[256];       /* of its last bytes, "" before the first */
	uint64_t size, present; /* bytes; present counts those of chunks under way as well */
	uint64_t bytes_s;       /* lately */
	uint64_t asked, queued; /* bytes that were asked for and have not come / yet to be asked */
	unsigned readers;       /* open handles */
	unsigned waiting;       /* parked requests */
	unsigned requests;      /* under way */
	int64_t waiting_ms;     /* how long the first of them has waited */
	int64_t silent_ms;      /* since bytes of it last came, or since it asked for the first, be
				   there newer requests or not; -1: none is under way */
	enum urgency urgency;   /* of the most urgent part */
	bool verified_only;     /* nothing is served before its digest was right */
};

/* Calls fn for each blob that has runs or waiters, on copies, no lock held, until it returns
 * non-zero, and returns that. -ENOMEM. */
int transfers_each(struct pulls *all, int (*fn)(void *arg, const struct transfer *t), void *arg);
/* The one of this blob; false if it is not being fetched. */
bool transfers_get(struct pulls *all, const char *etag, struct transfer *ret);

#endif
