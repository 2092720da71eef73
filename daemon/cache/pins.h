/* SPDX-License-Identifier: Apache-2.0 */
/* What is pinned: a commit of a repository, under the revision it was asked with, and so every
 * blob of that commit's manifest. Kept in the catalog. A pin stays on its commit when the ref
 * moves on: what was deployed stays at hand, and nothing large is fetched unasked. Pinning the same
 * revision again moves the pin. Threads: any. */
#ifndef MATRIXFS_PINS_H
#define MATRIXFS_PINS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/cache/catalog.h"
#include "daemon/model/repo_id.h"

struct pins;

struct pin {
	char key[REPO_KEY_MAX + 1];  /* the repository: repo_id_key() of its canonical name */
	char revision[256];          /* as it was asked for */
	char commit[COMMIT_HEX + 1]; /* what that was then; "" while no hub could be asked */
	int64_t since_s;             /* wall clock */
};

/* Reads the pins; the catalog is borrowed until pins_free. */
MUST_USE int pins_new(struct catalog *catalog, struct pins **ret);
void pins_free(struct pins *p);

/* Remembers a pin, in the place of one with the same repository and revision. If its commit's files
 * are known, their blobs are pinned when this returns. ERR_TOO_LARGE, and nothing is changed, if
 * all pinned blobs would take more than `most` bytes of the disk together. */
MUST_USE int pins_put(struct pins *p, const struct pin *pin, uint64_t most);
/* Forgets it; -ENOENT if there is none. */
MUST_USE int pins_del(struct pins *p, const char *key, const char *revision);
/* The pin of that repository and revision; -ENOENT. */
MUST_USE int pins_get(struct pins *p, const char *key, const char *revision, struct pin *ret);
/* Calls fn on a copy of each, no lock held, until it returns non-zero, and returns that. */
int pins_each(struct pins *p, int (*fn)(void *arg, const struct pin *pin), void *arg);
/* True if a pinned commit has this blob. */
bool pins_have(struct pins *p, const char *etag);

#endif
