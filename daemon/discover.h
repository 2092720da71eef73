/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the hubs what is not known yet, in their order of preference, and notes the answers in
 * `known`. "No such repository" counts only when every hub said so; a hub that could not be asked
 * makes the answer unknown. Blocking: run by flight's workers, never by a reader's thread.
 * Threads: any. */
#ifndef MATRIXFS_DISCOVER_H
#define MATRIXFS_DISCOVER_H

#include "daemon/flight.h"
#include "daemon/hub.h"
#include "daemon/known.h"

struct discover {
	struct known *known;     /* borrowed, like the hubs */
	struct hub *const *hubs; /* in order of preference; none when offline */
	unsigned hub_count;
	int64_t give_up_ms; /* for one call below, all hubs and pauses together */
};

/* Finds a repository, and its main ref with it. Errors: hub.h's, ERR_OFFLINE. */
MUST_USE int discover_repo(const struct discover *d, struct flight_job *job,
			   const struct repo_id *id);
/* Asks which commit a ref is now, and makes that commit's files known. When the hubs cannot be
 * asked and an old answer is known, that is 0: the old answer stands, marked as tried. Also
 * 0 if it is no ref but the directory of others (known_is_ref_dir). ERR_NOREV: it is gone. */
MUST_USE int discover_ref(const struct discover *d, struct flight_job *job, struct repo *repo,
			  const char *ref);
/* Lists the files of a commit. */
MUST_USE int discover_commit(const struct discover *d, struct flight_job *job, struct repo *repo,
			     const char *commit);

#endif
