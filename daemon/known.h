/* SPDX-License-Identifier: Apache-2.0 */
/* What we know of the hubs without asking: repositories, their refs, and the snapshots whose
 * files are listed. A copy in memory of the catalog's tables; what is added is in the catalog
 * when the call returns. Repositories live as long as the table; snapshots are counted. Threads:
 * any. */
#ifndef MATRIXFS_KNOWN_H
#define MATRIXFS_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/catalog.h"
#include "daemon/manifest.h"
#include "daemon/repo_id.h"
#include "daemon/snapshot.h"
#include "daemon/source.h"

struct known;

/* What is known of a ref. Times are clock_ms() values, 0 for never. */
struct known_ref {
	char commit[COMMIT_HEX + 1]; /* "" if it was never resolved */
	int64_t checked_ms;          /* the hub said so */
	int64_t failed_ms;           /* the hub could last not be asked */
};

/* The catalog is borrowed until known_free. */
MUST_USE int known_new(struct catalog *catalog, struct known **ret);
/* All snapshots must have been given back. */
void known_free(struct known *k);

/* The repository of that name, or NULL if it was never found. */
struct repo *known_repo(struct known *k, const struct repo_id *id);
/* Notes that the hub calls `asked` by the name of `canonical`. */
MUST_USE int known_add_repo(struct known *k, const struct repo_id *asked,
			    const struct repo_id *canonical);
const struct repo_id *repo_id_of(const struct repo *r);
/* "models/ns/name"; borrowed for good. */
const char *repo_key(const struct repo *r);
/* The repository itself, or the one this is another name of. */
struct repo *repo_canonical(struct repo *r);

/* False if the ref was never resolved nor tried. */
bool known_get_ref(struct known *k, struct repo *r, const char *ref, struct known_ref *ret);
/* The hub says ref is this commit (whose snapshot is known), now. */
MUST_USE int known_set_ref(struct known *k, struct repo *r, const char *ref, const char *commit);
/* There is no such ref, but others below it: "feature" of "feature/x". */
MUST_USE int known_set_ref_dir(struct known *k, struct repo *r, const char *ref);
/* True if that was said, or a resolved ref is below it. */
bool known_is_ref_dir(struct known *k, struct repo *r, const char *ref);
/* The hub could not be asked, now. */
MUST_USE int known_fail_ref(struct known *k, struct repo *r, const char *ref);
/* The hub says there is no such ref. */
MUST_USE int known_drop_ref(struct known *k, struct repo *r, const char *ref);
/* Somebody uses this commit: refs of r that name another one may have moved there, and are to be
 * asked again although their answers are young. */
void known_doubt_refs(struct known *k, struct repo *r, const char *commit);

/* The snapshot of a commit, owned; -ENOENT if its files were never listed. */
MUST_USE int known_snapshot(struct known *k, struct repo *r, const char *commit,
			    struct snapshot **ret);
/* The manifest is taken. The snapshot is returned owned. */
MUST_USE int known_add_snapshot(struct known *k, struct repo *r, const char *commit, int64_t date_s,
				struct manifest *files, struct snapshot **ret);
/* What a source must know to give a file of a snapshot; `path` gets the text that ret->path is, so
 * it must live as long. -EISDIR, -ENOMEM. */
MUST_USE int known_source_blob(const struct snapshot *s, uint32_t file, struct buf *path,
			       struct source_blob *ret);
/* Each calls fn on a copy of the list, no lock held, until it returns non-zero. Only canonical
 * repositories, resolved refs, and commits whose files are known are listed. */
int known_each_repo(struct known *k, int (*fn)(void *arg, struct repo *r), void *arg);
int known_each_ref(struct known *k, struct repo *r,
		   int (*fn)(void *arg, const char *ref, const char *commit), void *arg);
int known_each_commit(struct known *k, struct repo *r, int (*fn)(void *arg, const char *commit),
		      void *arg);

#endif
