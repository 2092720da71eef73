/* SPDX-License-Identifier: Apache-2.0 */
/* How often repositories that are hosted here are downloaded, and when each of their files was last
 * asked for. Written down by a worker, what came in a while together: a crash loses what came in
 * the last DOWNLOADS_WAIT_MS. What counts: of a model, a file that stands for it (config.json and
 * its like); of others, every file; of one client, once in DOWNLOADS_ONCE_S. Threads: any. */
#ifndef MATRIXFS_DOWNLOADS_H
#define MATRIXFS_DOWNLOADS_H

#include <stdint.h>

#include "admin/db.h"
#include "daemon/model/repo_id.h"

#define DOWNLOADS_DAYS 30
#define DOWNLOADS_WAIT_MS 5000
#define DOWNLOADS_ONCE_S 300
#define DOWNLOADS_MAX 10000   /* files that wait to be written; more are left out */
#define DOWNLOADS_USED_S 3600 /* when a file was last used is known to that */

struct downloads;
struct workers;

/* Both are borrowed until downloads_free, but the workers have been stopped by then. -ENOMEM. */
MUST_USE int downloads_new(struct db *db, struct workers *workers, struct downloads **ret);
/* Writes what is left. NULL is none. */
void downloads_free(struct downloads *d);

/* A file was asked for, now, by whom a text tells: a user, an address. */
void downloads_note(struct downloads *d, const struct repo_id *repo, const char *path,
		    const char *etag, const char *whom);
/* Writes what waits; also what days take away of what is counted. For tests and the worker. */
MUST_USE int downloads_flush(struct downloads *d, int64_t now_s);

struct downloads_count {
	uint64_t all, month, week;
};
/* Inside a transaction, of a repository's uid, at a time. None: zeros. */
MUST_USE int downloads_get(struct db_txn *t, const char *uid, int64_t now_s,
			   struct downloads_count *ret);
/* When the bytes with that etag were last asked for there: seconds since 1970; -ENOENT: never. */
MUST_USE int downloads_last_used(struct db_txn *t, const char *uid, const char *etag, int64_t *ret);

#endif
