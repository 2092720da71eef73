/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the hubs what is not known yet, in their order of preference, and notes the answers in
 * `known`. "No such repository" counts only when every hub said so; a hub that could not be asked
 * makes the answer unknown. Blocking: run by flight's workers, never by a reader's thread.
 * Threads: any. */
#ifndef MATRIXFS_DISCOVER_H
#define MATRIXFS_DISCOVER_H

#include "daemon/names/flight.h"
#include "daemon/names/hosted.h"
#include "daemon/hub/hub.h"
#include "daemon/names/known.h"

/* What follows when the hubs say that something is gone which was known. */
enum discover_gone {
	DISCOVER_GONE_REFS,  /* a ref goes; of a repository that went, what is known stands */
	DISCOVER_GONE_GOES,  /* it is gone here, too */
	DISCOVER_GONE_STAYS, /* it stands as it was */
};

struct discover {
	struct known *known;     /* borrowed, like the hubs */
	struct hub *const *hubs; /* in order of preference; none when offline */
	unsigned hub_count;
	const struct hosted *hosted; /* or NULL; whose repositories no hub is asked for */
	enum discover_gone gone;
	bool renames;        /* a repository that was known goes by its new name when it has one */
	int64_t patience_ms; /* with a silent hub, before others are asked; 0: no limit */
	int64_t give_up_ms;  /* for one call below, all hubs and pauses together */
};

/* Finds a repository, and its main ref with it. While the hubs cannot be asked, one that is known
 * by a name in other letters (Org/Name) is that one. Errors: hub.h's, ERR_OFFLINE. */
MUST_USE int discover_repo(const struct discover *d, struct flight_job *job,
			   const struct repo_id *id);
/* The last of it alone: 0 if there is one. For who cannot ask. */
MUST_USE int discover_repo_like(const struct discover *d, const struct repo_id *id);
/* What who may not see a repository is answered: the failure that looking for a name has which no
 * hub knows, found by the same questions to all hubs, whatever they say to them. Nothing is noted.
 * 0 only if `open_counts` and the first hub that has it says that it is for everybody; then that
 * nobody can have it counts as well (discover_is_gone). */
MUST_USE int discover_nothing(const struct discover *d, struct flight_job *job,
			      const struct repo_id *id, bool open_counts);
/* True for the hubs' own word that nobody can have it. That they do not take our token says nothing
 * about the thing. */
bool discover_is_gone(int r);
/* Asks which commit a ref is now, and makes that commit's files known. When the hubs cannot be
 * asked and an old answer is known, that is 0: the old answer stands, marked as tried. Also
 * 0 if it is no ref but the directory of others (known_is_ref_dir). ERR_NOREV: it is gone. */
MUST_USE int discover_ref(const struct discover *d, struct flight_job *job, struct repo *repo,
			  const char *ref);
/* Lists the files of a commit; also of a repository that is hosted here. */
MUST_USE int discover_commit(const struct discover *d, struct flight_job *job, struct repo *repo,
			     const char *commit);
/* What the first hub that can tells at the repository's tail: see hub_get_doc. */
MUST_USE int discover_doc(const struct discover *d, struct flight_job *job, struct repo *repo,
			  const char *tail, struct jdoc **ret, struct buf *ret_next);

#endif
