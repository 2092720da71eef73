/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/repeated.h"

#include <errno.h>
#include <string.h>

#include "admin/registry/discussions.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define REPEAT_S (10 * 60) /* a client that repeats a commit does it within that time */
#define COMMITS_MAX 1000   /* that came since, and are looked at */

static bool is_recent(const struct git_commit *c)
{
	return clock_wall_s() - c->committer.at_s < REPEAT_S;
}

bool repeated_alike(const struct git_commit *c, const char *name, const char *message)
{
	return !strcmp(c->message, message) && !strcmp(c->author.name, name) && is_recent(c);
}

int repeated_find(struct db_txn *t, const char *uid, const char *head, const char *parent,
		  struct buf *room, struct git_commit *ret, char ret_id[static COMMIT_HEX + 1])
{
	uint8_t wanted[GIT_ID];
	int r = hex_parse(parent, GIT_ID, wanted);

	memcpy(ret_id, head, COMMIT_HEX + 1);
	for (unsigned i = 0; r == 0 && i < COMMITS_MAX; i++) {
		r = registry_commit(t, uid, ret_id, room, ret);
		if (r != 0)
			return r == ERR_NOREV ? ERR_CORRUPT : r;
		if (!ret->parent_count || !is_recent(ret))
			return -ENOENT;
		if (!memcmp(ret->parents[0], wanted, GIT_ID))
			return 0;
		hex_print(ret->parents[0], GIT_ID, ret_id);
	}
	return r < 0 ? r : -ENOENT;
}

/* ---- pull requests ---- */

struct search {
	struct db_txn *txn;
	const char *uid;
	const struct repeated_pull *wanted;
	unsigned num;
	char id[COMMIT_HEX + 1];
};

/* 1 if its first commit is that one; 0 if not, or if that cannot be told. */
static int look_at_first(struct search *s, const struct discussion *d)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	char ref[REGISTRY_REF_MAX + 1], head[COMMIT_HEX + 1];
	const struct repeated_pull *p = s->wanted;
	struct git_commit c;
	int r;

	discussion_ref(d->num, ref);
	r = registry_ref(s->txn, s->uid, ref, head);
	if (r == 0)
		r = repeated_find(s->txn, s->uid, head, d->base, &room, &c, s->id);
	if (r != 0)
		return r == -ENOENT || r == ERR_CORRUPT ? 0 : r;
	s->num = d->num;
	return repeated_alike(&c, p->name, p->message) && !memcmp(c.tree, p->tree, GIT_ID);
}

/* The newest come first: behind one that is too old there is none. */
static int look_at(void *arg, const struct discussion *d)
{
	struct search *s = arg;

	if (clock_wall_s() - d->created_ms / 1000 >= REPEAT_S)
		return -ENOENT;
	if (!d->is_pull || d->status != DISCUSSION_OPEN || strcmp(d->author, s->wanted->name) ||
	    strcmp(d->base, s->wanted->base) || strcmp(d->onto, s->wanted->onto))
		return 0;
	return look_at_first(s, d);
}

int repeated_find_pull(struct db_txn *t, const char *uid, const struct repeated_pull *p,
		       unsigned *ret_num, char ret_id[static COMMIT_HEX + 1])
{
	struct search s = { .txn = t, .uid = uid, .wanted = p };
	int r = discussion_each(t, uid, look_at, &s);

	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret_num = s.num;
	memcpy(ret_id, s.id, sizeof(s.id));
	return 0;
}
