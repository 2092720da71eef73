/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories that are hosted, with the bytes of their files, and what collects them: for tests of
 * what is kept. Files are named "f", and are regular or of git-lfs. Threads: any. */
#ifndef MATRIXFS_KEPT_REPO_H
#define MATRIXFS_KEPT_REPO_H

#include "admin/registry/committing.h"
#include "admin/registry/sweep.h"
#include "tests/hub_db.h"

#define KEPT_UID_A "aaaaaaaaaaaaaaaaaaaaaaaa"
#define KEPT_UID_B "bbbbbbbbbbbbbbbbbbbbbbbb"
#define KEPT_SPARES_NOTHING INT64_MAX /* as if all of it were long ago */

struct kept {
	struct hub_db *hub; /* first: its fixtures' state */
	struct db *db;
	struct intake *in;
	struct parts *parts;
	struct xorbs *xorbs;
};

/* cmocka fixtures: *state is a struct kept. */
int kept_setup(void **state);
int kept_teardown(void **state);

/* Makes the repository org/NAME of that uid, without a commit. */
void kept_make(struct kept *k, const char *uid, const char *name);
/* Takes it away. */
void kept_unmake(struct kept *k, const char *uid, const char *name);
/* The etag of a text as a file. */
void kept_etag(const char *text, bool lfs, char ret[static DIGEST_HEX_MAX + 1]);
/* Brings a text as bytes, and notes it if it is of git-lfs. */
void kept_bring(struct kept *k, const char *name, const char *text, bool lfs);
/* Commits it as "f" to a branch: commit_make's result; `first`: the branch has no commit yet. */
int kept_commit(struct kept *k, const char *uid, const char *name, const char *branch,
		const char *text, bool lfs, bool first);
/* Deletes a ref. */
void kept_drop_ref(struct kept *k, const char *uid, const char *ref);
/* Collects: what went. Negative results of the run fail the test, but `want`. */
struct sweep_counts kept_collect(struct kept *k, int64_t before_s, bool dry, int want);
/* True if the bytes are there. */
bool kept_has(struct kept *k, const char *text, bool lfs);
/* Puts a digest list beside the blob of that text / says whether one is there. */
void kept_put_list(struct kept *k, const char *text, bool lfs);
bool kept_has_list(struct kept *k, const char *text, bool lfs);

#endif
