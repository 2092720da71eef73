/* SPDX-License-Identifier: Apache-2.0 */
/* One commit's files with their date: immutable, shared, counted. Threads: any. */
#ifndef MATRIXFS_SNAPSHOT_H
#define MATRIXFS_SNAPSHOT_H

#include <stdatomic.h>
#include <stdint.h>

#include "daemon/model/manifest.h"
#include "daemon/model/repo_id.h"

struct repo; /* see known.h */

struct snapshot {
	atomic_uint refs;
	struct repo *repo; /* borrowed for good */
	char commit[COMMIT_HEX + 1];
	int64_t date_s;           /* seconds since 1970 */
	struct manifest *files;   /* owned */
	atomic_bool unsaved;      /* a full disk has not taken it */
	atomic_ullong json_bytes; /* length of manifest_tree_json(), 0 until somebody asked */
};

/* A snapshot with one count; the manifest is taken. -ENOMEM. */
MUST_USE int snapshot_new(struct repo *r, const char *commit, int64_t date_s,
			  struct manifest *files, struct snapshot **ret);
/* One count more (returns its argument) / one less; NULL is fine for the latter. */
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s);
void snapshot_unrefp(struct snapshot **s);

#endif
