/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/held.h"

#include <string.h>

#include "admin/registry/committed.h"
#include "daemon/base/err.h"
#include "daemon/base/why.h"

struct looking {
	struct db_txn *txn;
	const char *uid;
	held_doomed_fn doomed;
	void *arg;
	char last[COMMIT_HEX + 1]; /* some come more than once */
	struct buf *why;
};

static const struct manifest_file *find_doomed(const struct looking *l, const struct manifest *m)
{
	for (uint32_t i = 0; i < manifest_count(m); i++) {
		const struct manifest_file *f = manifest_file(m, i);

		if (f && l->doomed(l->arg, f))
			return f;
	}
	return NULL;
}

static int look(void *arg, const char *commit)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf room = { 0 };
	const struct manifest_file *f;
	char etag[DIGEST_HEX_MAX + 1];
	struct looking *l = arg;
	struct git_commit c;
	int r;

	if (!strcmp(commit, l->last))
		return 0;
	memcpy(l->last, commit, sizeof(l->last));
	r = registry_commit(l->txn, l->uid, commit, &room, &c);
	if (r == 0)
		r = committed_files(l->txn, l->uid, &c, &m);
	if (r < 0)
		return r;
	f = find_doomed(l, m);
	if (!f)
		return 0;
	manifest_etag(f, etag);
	return complain_as(ERR_TAG_LOCKED, l->why,
			   "The file %.12s cannot be deleted: it is in the commit %.8s, which a "
			   "locked tag holds",
			   etag, commit);
}

int held_check(struct db_txn *t, const char *uid, held_doomed_fn doomed, void *arg, struct buf *why)
{
	struct looking l = { .txn = t, .uid = uid, .doomed = doomed, .arg = arg, .why = why };

	return ref_each_held(t, uid, look, &l);
}
