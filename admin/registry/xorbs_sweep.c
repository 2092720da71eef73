/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/xorbs_sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/registry/xorb_name.h"
#include "daemon/base/file.h"
#include "daemon/base/map.h"
#include "daemon/base/num.h"

/* When the last one came of whom. */
struct last {
	int64_t came_s;
	char owner[XORB_OWNER_MAX]; /* the key */
};

struct sweep {
	struct xorbs *xorbs;
	int stage;
	int64_t before_s, spared_s;
	struct map lasts;
	struct buf users; /* each with a NUL behind */
	int failed;
};

static int64_t came_s(const struct sweep *w, const char *name)
{
	struct stat st;

	/* One that has gone meanwhile is of now. */
	return fstatat(w->stage, name, &st, 0) < 0 ? INT64_MAX : st.st_mtim.tv_sec;
}

static struct last *make_last(struct sweep *w, const char *owner)
{
	struct last *one = calloc(1, sizeof(*one));

	if (!one)
		return NULL;
	snprintf(one->owner, sizeof(one->owner), "%s", owner);
	one->came_s = INT64_MIN;
	if (map_put_str(&w->lasts, one->owner, one) == 0)
		return one;
	free(one);
	return NULL;
}

static void note_last(void *arg, const char *name)
{
	struct sweep *w = arg;
	char owner[XORB_OWNER_MAX];
	struct last *one;

	if (!xorb_name_is(name))
		return;
	xorb_name_owner(name, owner);
	one = map_find_str(&w->lasts, owner);
	if (!one)
		one = make_last(w, owner);
	if (one)
		one->came_s = max_i64(one->came_s, came_s(w, name));
	else
		w->failed = -ENOMEM;
}

/* Clients tell of all that they brought when they have brought it, which may take days. */
static bool is_old(const struct sweep *w, const char *name)
{
	char owner[XORB_OWNER_MAX];
	const struct last *last;
	int64_t came = came_s(w, name);

	if (came >= w->before_s || came < w->spared_s)
		return came < w->before_s;
	xorb_name_owner(name, owner);
	last = map_find_str(&w->lasts, owner);
	return !last || last->came_s < w->before_s;
}

static void note_user(void *arg, const char *name)
{
	struct sweep *w = arg;
	size_t at = 0;

	if (!xorb_name_is(name) || !is_old(w, name))
		return;
	while (at < w->users.len && strcmp(w->users.data + at, xorb_name_user(name)) != 0)
		at += strlen(w->users.data + at) + 1;
	if (at >= w->users.len)
		buf_add(&w->users, xorb_name_user(name), strlen(xorb_name_user(name)) + 1);
}

/* What was cut off nobody remembers. */
static void remove_one(void *arg, const char *name)
{
	const struct sweep *w = arg;

	if (xorb_name_is(name) && is_old(w, name))
		xorbs_remove_old(w->xorbs, name, w->before_s);
	else if (xorb_name_is_half(name) && came_s(w, name) < w->before_s)
		unlinkat(w->stage, name, 0);
}

static int renew_all(struct db_txn *t, void *arg)
{
	const struct buf *users = arg;
	int r = 0;

	for (size_t at = 0; r == 0 && at < users->len; at += strlen(users->data + at) + 1)
		r = xorb_rows_renew(t, users->data + at);
	return r;
}

static int free_last(void *arg UNUSED, void *value)
{
	free(value);
	return 0;
}

int xorbs_sweep(struct xorbs *x, struct db *db, int64_t before_s, int64_t spared_s)
{
	struct sweep w = {
		.xorbs = x, .stage = xorbs_stage(x), .before_s = before_s, .spared_s = spared_s
	};
	int r;

	file_each_name(w.stage, note_last, &w);
	file_each_name(w.stage, note_user, &w);
	r = w.failed ? w.failed : w.users.failed;
	if (r == 0 && w.users.len)
		r = db_write(db, renew_all, &w.users);
	buf_free(&w.users);
	if (r == 0)
		file_each_name(w.stage, remove_one, &w);
	map_each(&w.lasts, free_last, NULL);
	map_fini(&w.lasts);
	return r;
}
