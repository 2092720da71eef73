/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/likers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/people.h"
#include "admin/hub/writing.h"
#include "admin/registry/likes.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/grow.h"

/* ---- one more, one less ---- */

struct liking {
	struct registry_repo repo;
	const char *user;
};

static int add(struct db_txn *t, void *arg)
{
	const struct liking *l = arg;

	return like_put(t, &l->repo, l->user, clock_wall_s());
}

static int take_back(struct db_txn *t, void *arg)
{
	const struct liking *l = arg;

	return like_del(t, l->repo.uid, l->user);
}

static int change(struct ask *a, db_fn fn, const char *name)
{
	struct liking l = { .user = a->who.user };
	const struct writing_act act = { name, &l.repo.id, NULL, NULL };
	int r;

	if (!writing_begin(a, &r))
		return r;
	r = writing_repo(a, &l.repo);
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	r = db_write(writing_db(a, &act), fn, &l);
	if (r < 0)
		return writing_note_failure(a, &act, r);
	return writing_done_and_answered(a, &act);
}

int likers_add(struct ask *a)
{
	return change(a, add, "like.add");
}

int likers_remove(struct ask *a)
{
	return change(a, take_back, "like.remove");
}

/* ---- pages ---- */

/* Which one is wanted. */
struct page {
	unsigned limit;
	struct buf cursor; /* owned: what the one before ended with */
};

static void take_page(const struct ask *a, struct page *ret)
{
	ret->limit = target_limit(a->asked.query, LIKERS_LOOKED);
	target_field(a->asked.query, "cursor", &ret->cursor);
	if (ret->cursor.len > ACCOUNT_NAME_MAX) /* neither a name nor a uid */
		buf_clear(&ret->cursor);
}

/* last: what it ends with, "" if nothing follows. */
static void answer_page(const struct ask *a, const struct page *p, const char *path,
			const char *last, struct buf *json)
{
	struct httpd_head h = answer_head(a, 200, ANSWER_JSON);

	if (*last)
		answer_next(a, &h, "/api/%s?limit=%u&cursor=%s", path, p->limit, last);
	answer_json_head(a, &h, json);
}

/* ---- who ---- */

struct telling {
	const struct ask *ask;
	struct page page;
	unsigned told;
	char last[ACCOUNT_NAME_MAX + 1]; /* that was looked at */
	bool more;
	struct buf json;
	struct jwrite w;
	struct db_txn *txn;
};

static void telling_fini(struct telling *x)
{
	buf_free(&x->page.cursor);
	buf_free(&x->json);
}

static int tell_liker(void *arg, const char *user)
{
	struct telling *x = arg;
	struct account a;
	int r;

	x->more = x->told == x->page.limit;
	if (x->more)
		return 1;
	x->told++;
	snprintf(x->last, sizeof(x->last), "%s", user);
	r = account_get(x->txn, user, &a);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	jwrite_object(&x->w, NULL);
	people_write_name(&x->w, "user", &a);
	jwrite_text(&x->w, "avatarUrl", "");
	jwrite_text(&x->w, "type", "user");
	jwrite_object_end(&x->w);
	return 0;
}

static int tell_likers(struct db_txn *t, void *arg)
{
	struct telling *x = arg;
	struct registry_repo repo;
	int r = registry_get(t, repo_id_of(x->ask->repo), &repo);

	buf_clear(&x->json);
	x->txn = t;
	x->told = 0;
	x->more = false;
	x->w = (struct jwrite){ .to = &x->json };
	jwrite_array(&x->w, NULL);
	if (r == 0)
		r = likes_each(t, repo.uid, buf_str(&x->page.cursor), tell_liker, x);
	jwrite_array_end(&x->w);
	return r == -ENOENT ? ERR_NOREPO : r < 0 ? r : 0;
}

int likers_list(struct ask *a)
{
	CLEANUP(telling_fini) struct telling x = { .ask = a };
	char path[REPO_KEY_MAX + sizeof("/likers")];
	int r;

	if (!repo_is_hosted(a->repo)) {
		buf_add_str(&x.json, "[]");
		answer_json(a, 200, &x.json);
		return 0;
	}
	if (!ask_aside_or_here(a))
		return PARKED;
	take_page(a, &x.page);
	r = db_read(a->server->rights.db, tell_likers, &x);
	if (r < 0 || x.json.failed)
		return r < 0 ? r : x.json.failed;
	snprintf(path, sizeof(path), "%s/likers", repo_key(a->repo));
	answer_page(a, &x.page, path, x.more ? x.last : "", &x.json);
	return 0;
}

/* ---- what ---- */

struct found {
	struct ask *ask;
	const char *user;
	bool known; /* there is somebody of that name */
	struct page page;
	struct liked *list;
	struct rights_row *rows;
	size_t count, cap;
	bool more; /* than are looked at */
};

static void found_fini(struct found *f)
{
	buf_free(&f->page.cursor);
	free(f->list);
	free(f->rows);
}

static int note_liked(void *arg, const struct liked *liked)
{
	struct found *f = arg;
	int r;

	f->more = f->count == LIKERS_LOOKED;
	if (f->more)
		return 1;
	r = grow_list(f->list, f->count, f->cap);
	if (r == 0)
		f->list[f->count++] = *liked;
	return r;
}

static int find(struct db_txn *t, void *arg)
{
	struct found *f = arg;
	struct account a;
	int r = account_get(t, f->user, &a);

	f->count = 0;
	f->more = false;
	f->known = r == 0 && a.kind == ACCOUNT_USER;
	if (!f->known)
		return r == -ENOENT ? 0 : r;
	r = likes_of(t, f->user, buf_str(&f->page.cursor), note_liked, f);
	return r < 0 ? r : 0;
}

/* What it is called now; it may be another one that has the name it had. */
static int check_uids(struct db_txn *t, void *arg)
{
	struct found *f = arg;

	for (size_t i = 0; i < f->count; i++) {
		struct registry_repo repo;
		int r = registry_get(t, f->rows[i].names.list[0], &repo);

		if (r < 0 && r != -ENOENT)
			return r;
		if (r < 0 || strcmp(repo.uid, f->list[i].uid) != 0)
			f->rows[i].sees = false;
	}
	return 0;
}

/* Those who ask may see. */
static int look(struct found *f)
{
	struct known *k = node_known(f->ask->server->node);
	struct server *s = f->ask->server;
	int r;

	f->rows = calloc(f->count + 1, sizeof(*f->rows));
	if (!f->rows)
		return -ENOMEM;
	for (size_t i = 0; i < f->count; i++)
		known_names_of(k, &f->list[i].then, &f->rows[i].names);
	r = rights_look(&s->rights, &f->ask->who, f->rows, f->count);
	return r < 0 ? r : db_read(s->rights.db, check_uids, f);
}

static void tell_one(const struct liked *liked, const struct repo_id *id, struct jwrite *w)
{
	jwrite_object(w, NULL);
	jwrite_time(w, "createdAt", liked->at_s * 1000);
	jwrite_object(w, "repo");
	jwrite_text(w, "name", id->name);
	jwrite_text(w, "type", repo_type_word(id->type));
	jwrite_object_end(w);
	jwrite_object_end(w);
}

/* What it ends with if more follows, or "": of what one may not see nothing is told, as long as
 * that is not more than is looked at. */
static const char *tell_found(const struct found *f, struct jwrite *w)
{
	const char *last = "";
	unsigned told = 0;

	jwrite_array(w, NULL);
	for (size_t i = 0; i < f->count; i++) {
		if (!f->rows[i].sees)
			continue;
		if (told++ == f->page.limit)
			break;
		tell_one(&f->list[i], f->rows[i].names.list[0], w);
		last = f->list[i].uid;
	}
	jwrite_array_end(w);
	if (told > f->page.limit)
		return last;
	return f->more ? f->list[f->count - 1].uid : "";
}

int likers_count(struct ask *a, const char *user, uint64_t *ret)
{
	CLEANUP(found_fini) struct found f = { .ask = a, .user = user };
	int r = db_read(a->server->rights.db, find, &f);

	if (r == 0)
		r = look(&f);
	*ret = 0;
	for (size_t i = 0; r == 0 && i < f.count; i++)
		*ret += f.rows[i].sees;
	return r;
}

int likers_liked(struct ask *a, const char *user)
{
	CLEANUP(found_fini) struct found f = { .ask = a, .user = user };
	CLEANUP(buf_free) struct buf json = { 0 };
	char path[sizeof("users//likes") + ACCOUNT_NAME_MAX];
	struct jwrite w = { .to = &json };
	const char *last;
	int r;

	take_page(a, &f.page);
	r = db_read(a->server->rights.db, find, &f);
	if (r == 0 && !f.known) {
		answer_refuse(a, 404, "This user does not exist");
		return 0;
	}
	if (r == 0)
		r = look(&f);
	if (r < 0)
		return r;
	last = tell_found(&f, &w);
	if (json.failed)
		return json.failed;
	snprintf(path, sizeof(path), "users/%s/likes", user);
	answer_page(a, &f.page, path, last, &json);
	return 0;
}
