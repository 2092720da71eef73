/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/left_commits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model/repo_id.h"

#define ROW_MAX 24

int left_commits_put(struct db_txn *t, const char *uid, const char *commit, int64_t now_s)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	char text[ROW_MAX];
	int len = snprintf(text, sizeof(text), "%" PRId64, now_s);

	return db_put(t, DB_LEFT, db_pair(&room, uid, commit), text, (size_t)len);
}

struct each {
	left_commits_fn fn;
	void *arg;
	size_t prefix_len;
};

static int each_row(void *arg, struct db_key key, const char *val, size_t len)
{
	const struct each *e = arg;
	char commit[COMMIT_HEX + 1], text[ROW_MAX];

	snprintf(commit, sizeof(commit), "%.*s", (int)(key.len - e->prefix_len),
		 (const char *)key.data + e->prefix_len);
	snprintf(text, sizeof(text), "%.*s", (int)len, val);
	return commit_valid(commit) ? e->fn(e->arg, commit, strtoll(text, NULL, 10)) : 0;
}

int left_commits_each(struct db_txn *t, const char *uid, left_commits_fn fn, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct db_key prefix = db_pair(&room, uid, "");
	struct each e = { fn, arg, prefix.len };

	return db_each(t, DB_LEFT, prefix, (struct db_key){ 0 }, each_row, &e);
}

struct old {
	struct buf commits; /* each with its NUL */
	int64_t before_s;
};

static int note_old(void *arg, const char *commit, int64_t left_s)
{
	struct old *o = arg;

	return left_s < o->before_s ? buf_add(&o->commits, commit, COMMIT_HEX + 1) : 0;
}

int left_commits_forget(struct db_txn *t, const char *uid, int64_t before_s)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct old o = { .before_s = before_s };
	int r = left_commits_each(t, uid, note_old, &o);

	for (size_t at = 0; r == 0 && at < o.commits.len; at += COMMIT_HEX + 1)
		r = db_del(t, DB_LEFT, db_pair(&room, uid, o.commits.data + at));
	buf_free(&o.commits);
	return r;
}
