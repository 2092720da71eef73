/* SPDX-License-Identifier: Apache-2.0 */
/* What the cache knows, in LMDB: which repositories were seen and under which names, which commit
 * each ref named when it was last asked, each commit's date and manifest, and for each blob that
 * has bytes whether it is sealed and where it came from. Rows and their versions:
 * docs/formats.md. Every put is durable when it returns. Repository keys are repo_id_key().
 * Threads: any. */
#ifndef MATRIXFS_CATALOG_H
#define MATRIXFS_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/buf.h"
#include "daemon/model/manifest.h"
#include "daemon/model/repo_id.h"

struct catalog;

/* dir must exist. ERR_FORMAT with a sentence in why if a newer version wrote it. */
MUST_USE int catalog_open(const char *dir, struct catalog **ret, struct buf *why);
void catalog_close(struct catalog *c);

/* `key` was asked for and is called `canonical` by the hub (often the same). */
MUST_USE int catalog_put_repo(struct catalog *c, const char *key, const char *canonical);
typedef int (*catalog_repo_fn)(void *arg, const char *key, const char *canonical);
int catalog_each_repo(struct catalog *c, catalog_repo_fn fn, void *arg);

/* A ref, its commit, and when (wall clock, seconds) the hub said so. */
MUST_USE int catalog_put_ref(struct catalog *c, const char *key, const char *ref,
			     const char *commit, int64_t checked_s);
MUST_USE int catalog_del_ref(struct catalog *c, const char *key, const char *ref);
typedef int (*catalog_ref_fn)(void *arg, const char *ref, const char *commit, int64_t checked_s);
int catalog_each_ref(struct catalog *c, const char *key, catalog_ref_fn fn, void *arg);

/* A commit's date (seconds since 1970) and files. -ENOENT, ERR_CORRUPT. */
MUST_USE int catalog_put_commit(struct catalog *c, const char *key, const char *commit,
				int64_t date_s, const struct manifest *m);
MUST_USE int catalog_get_commit(struct catalog *c, const char *key, const char *commit,
				int64_t *ret_date_s, struct manifest **ret);
typedef int (*catalog_commit_fn)(void *arg, const char *commit);
int catalog_each_commit(struct catalog *c, const char *key, catalog_commit_fn fn, void *arg);

/* A pin: the commit that `revision` of a repository named (COMMIT_HEX digits, or "" while that is
 * not known), and since when (wall clock, seconds). */
MUST_USE int catalog_put_pin(struct catalog *c, const char *key, const char *revision,
			     const char *commit, int64_t since_s);
MUST_USE int catalog_del_pin(struct catalog *c, const char *key, const char *revision);
typedef int (*catalog_pin_fn)(void *arg, const char *key, const char *revision, const char *commit,
			      int64_t since_s);
int catalog_each_pin(struct catalog *c, catalog_pin_fn fn, void *arg);

/* A blob with bytes in the store. */
struct catalog_blob {
	uint64_t size;
	bool sealed;
	bool distrusted;  /* its digest was wrong once */
	char source[256]; /* name of the source that gave (the last of) its bytes; may be cut */
};
/* Its row, by etag: put in the place of an older one; -ENOENT if there is none to get. */
MUST_USE int catalog_put_blob(struct catalog *c, const char *etag, const struct catalog_blob *row);
MUST_USE int catalog_get_blob(struct catalog *c, const char *etag, struct catalog_blob *ret);
MUST_USE int catalog_del_blob(struct catalog *c, const char *etag);
/* It is not sealed any more: its row goes, unless it says that the digest was wrong once. */
MUST_USE int catalog_unseal_blob(struct catalog *c, const char *etag);
/* Takes away the rows of sealed blobs that are not kept any more: whose file was evicted. */
MUST_USE int catalog_sweep_blobs(struct catalog *c, bool (*is_kept)(void *arg, const char *etag),
				 void *arg);
/* What LMDB maps of the index; it grows with what is in it. */
uint64_t catalog_map_bytes(struct catalog *c);

#endif
