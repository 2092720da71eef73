/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/held.h"

#include "admin/registry/walk.h"
#include "daemon/base/err.h"
#include "daemon/base/why.h"

struct looking {
	struct db_txn *txn;
	const char *uid;
	held_doomed_fn doomed;
	void *arg;
	struct buf commits; /* ids of those that are held */
	struct buf *why;
};

static void looking_fini(struct looking *l)
{
	buf_free(&l->commits);
}

/* What a tag named before it moved by promotion may have been collected: that holds nothing. */
static int note_commit(void *arg, const char *commit)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct looking *l = arg;
	struct git_commit c;
	uint8_t id[GIT_ID];
	int r = registry_commit(l->txn, l->uid, commit, &room, &c);

	if (r == 0)
		r = hex_parse(commit, GIT_ID, id);
	if (r < 0)
		return r == ERR_NOREV ? 0 : r;
	return buf_add(&l->commits, id, GIT_ID);
}

static int look(void *arg, const struct walk_commit *c, const char *path, const struct git_entry *e)
{
	struct looking *l = arg;
	char commit[COMMIT_HEX + 1];

	if (!l->doomed(l->arg, e->id))
		return 0;
	hex_print(c->id, GIT_ID, commit);
	return complain_as(ERR_TAG_LOCKED, l->why,
			   "The file \"%s\" cannot be deleted: the commit %.8s has it, which a "
			   "locked tag names, or has in its history",
			   path, commit);
}

int held_check(struct db_txn *t, const char *uid, held_doomed_fn doomed, void *arg, struct buf *why)
{
	static const struct walk_events events = { .file = look };
	CLEANUP(looking_fini)
	struct looking l = { .txn = t, .uid = uid, .doomed = doomed, .arg = arg, .why = why };
	int r = ref_each_held(t, uid, note_commit, &l);

	return r < 0 ? r : walk_commits(t, uid, &l.commits, &events, &l);
}
