/* SPDX-License-Identifier: Apache-2.0 */
/* What we know of the hubs without asking: repositories, their refs, and the snapshots whose
 * files are listed. A copy in memory of the catalog's tables; what is added is in the catalog
 * when the call returns. Repositories live as long as the table; snapshots are counted. Threads:
 * any. */
#ifndef MATRIXFS_KNOWN_H
#define MATRIXFS_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/cache/catalog.h"
#include "daemon/model/manifest.h"
#include "daemon/model/repo_id.h"
#include "daemon/model/snapshot.h"
#include "daemon/hub/source.h"

struct known;

/* What is known of a ref. Times are clock_ms() values, 0 for never. */
struct known_ref {
	char commit[COMMIT_HEX + 1]; /* "" if it was never resolved */
	int64_t checked_ms;          /* the hub said so */
	int64_t failed_ms;           /* the hub could last not be asked */
	bool gone;                   /* the hub says so, but it stands */
};

/* The catalog is borrowed until known_free. */
MUST_USE int known_new(struct catalog *catalog, struct known **ret);
/* All snapshots must have been given back. */
void known_free(struct known *k);

/* The repository of that name, or NULL if it was never found. */
struct repo *known_repo(struct known *k, const struct repo_id *id);
/* One whose name differs in the case of its letters alone, or NULL: hubs take both for the same. */
struct repo *known_repo_like(struct known *k, const struct repo_id *id);
/* Notes that the hub calls `asked` by the name of `canonical`: from now on that is one of its
 * names, as are those that `asked` had. */
MUST_USE int known_add_repo(struct known *k, const struct repo_id *asked,
			    const struct repo_id *canonical);
const struct repo_id *repo_id_of(const struct repo *r);
/* "models/ns/name"; borrowed for good. */
const char *repo_key(const struct repo *r);
/* The repository itself, or the one this is another name of. */
struct repo *repo_canonical(struct repo *r);

/* All names that a repository (by any of them) is known by, but those that differ in the case of
 * their letters alone. */
void known_names(struct known *k, struct repo *r, struct repo_names *ret);
/* The same of the repository that a name is of, in whatever letters: of one that is not known, that
 * name alone. */
void known_names_of(struct known *k, const struct repo_id *id, struct repo_names *ret);
/* One that is known by another name than `canonical`, and has this commit: or NULL. Since commits
 * differ, it may be the same under the name it had. */
struct repo *known_repo_of_commit(struct known *k, const struct repo_id *canonical,
				  const char *commit);

/* It is hosted here, under that name or another one of its repository: then nothing of it is in
 * the catalog. */
bool repo_is_hosted(struct repo *r);
/* It was, and is found by none of its names any more: who holds it still sees it as it was. */
bool repo_is_buried(const struct repo *r);
/* A repository is hosted here, by the name that is given: what was known by it is forgotten. It was
 * asked for by `asked`, which is the same name, in whatever letters, or one that it had. */
MUST_USE int known_host(struct known *k, const struct repo_id *asked, const struct repo_id *id,
			struct repo **ret);
struct hosted_ref {
	char name[REVISION_MAX + 1], commit[COMMIT_HEX + 1];
};
/* All refs that one has. */
MUST_USE int known_host_refs(struct known *k, struct repo *r, const struct hosted_ref *list,
			     size_t count);
/* Files of its commits went for good: what is known of any is forgotten, as are its refs. */
void known_host_forget(struct known *k, const struct repo_id *id);
/* It is hosted here no longer. */
void known_bury(struct known *k, const struct repo_id *id);

/* Notes the hubs' last word about a repository that is known: r < 0 (ERR_NOREPO and the like), or 0
 * that it is there. Nothing is forgotten for it; it is not in the index. */
void known_set_gone(struct repo *r, int gone);
/* The same, and when (clock_ms()) it was said. */
int known_gone(const struct repo *r, int64_t *ret_ms);

/* A hub has just said that it is for everybody, or has not. */
void known_set_restricted(struct repo *r, bool restricted);
/* True if the last word was that it is not: its files may be refused. */
bool repo_is_restricted(const struct repo *r);

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
/* The hub says, now, that there is no such ref; it stands all the same. */
MUST_USE int known_keep_ref(struct known *k, struct repo *r, const char *ref);
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
/* Writes down what of a commit, and of its repository's name, is not in the index yet, because a
 * full disk did not take it. */
MUST_USE int known_save(struct known *k, struct snapshot *s);
/* The same for all commits that are in memory, and the refs that name them. */
MUST_USE int known_save_all(struct known *k);
/* What a source must know to give a file of a snapshot; `path` gets the text that ret->path is, so
 * it must live as long. -EISDIR, -ENOMEM. */
MUST_USE int known_source_blob(const struct snapshot *s, uint32_t file, struct buf *path,
			       struct source_blob *ret);
/* Grows with each new repository, new name of one, and ref that names another commit; not with refs
 * of what is hosted here. */
uint64_t known_changes(struct known *k);
/* Each calls fn on a copy of the list, no lock held, until it returns non-zero. Only canonical
 * repositories, resolved refs, and commits whose files are known are listed. */
int known_each_repo(struct known *k, int (*fn)(void *arg, struct repo *r), void *arg);
int known_each_ref(struct known *k, struct repo *r,
		   int (*fn)(void *arg, const char *ref, const char *commit), void *arg);
int known_each_commit(struct known *k, struct repo *r, int (*fn)(void *arg, const char *commit),
		      void *arg);

#endif
