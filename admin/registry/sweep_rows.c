/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/sweep_rows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/registry/aside.h"
#include "admin/registry/checks.h"
#include "admin/registry/left_commits.h"
#include "admin/registry/likes.h"
#include "admin/registry/owners.h"
#include "admin/registry/reach.h"
#include "admin/registry/uploads.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"

#define TRIES_MAX 4    /* while the refs of a repository move */
#define BATCH 512      /* rows of a transaction */
#define MOVED 1        /* the refs are not what they were */
#define GROUPS_MAX 256 /* repositories with uploads that are looked at at once */
#define UNREACHED "no branch, tag or pull request reaches it"
#define ABANDONED "nothing came for this repository lately, and no commit names them"

/* A repository, as the list has it. */
struct home {
	char uid[REGISTRY_UID + 1];
	char repo[REPO_KEY_MAX + 1];
};

/* One on the bench. */
struct bench {
	struct sweep *s;
	const struct home *home;
	struct reach reach;
	const uint32_t *picked; /* which of its objects go */
	size_t count, removed;
};

static int doom(struct sweep *s, const char *etag)
{
	char text[SWEEP_ETAG] = "";

	snprintf(text, sizeof(text), "%s", etag);
	return buf_add(&s->doomed, text, sizeof(text));
}

/* ---- objects ---- */

static int find_reach(struct db_txn *t, void *arg)
{
	return reach_find(t, &((struct bench *)arg)->reach);
}

/* The etag of a file's bytes; "" of what is no file. */
static int etag_of(struct db_txn *t, const struct bench *b, const struct reach_object *o,
		   char ret[static DIGEST_HEX_MAX + 1])
{
	struct manifest_file f;
	int r;

	ret[0] = '\0';
	if (o->kind != REGISTRY_POINTER && o->kind != REGISTRY_FILE)
		return 0;
	r = registry_file(t, b->home->uid, o->id, &f);
	if (r == 0)
		manifest_etag(&f, ret);
	return r == ERR_CORRUPT ? 0 : r;
}

static int forget_checks(struct db_txn *t, const struct bench *b, const struct reach_object *o)
{
	char commit[COMMIT_HEX + 1];

	hex_print(o->id, GIT_ID, commit);
	return check_forget(t, b->home->uid, commit);
}

/* A client that was told that a file is here names it soon. */
static int remove_one(struct db_txn *t, struct bench *b, const struct reach_object *o)
{
	char etag[DIGEST_HEX_MAX + 1];
	int r = etag_of(t, b, o, etag);

	if (r < 0)
		return r;
	if (o->kind == REGISTRY_POINTER && aside_spoken_s(b->s->intake, etag) >= b->s->before_s)
		return 0;
	b->removed++;
	if (b->s->dry)
		return etag[0] ? doom(b->s, etag) : 0;
	if (o->kind == REGISTRY_COMMIT)
		r = forget_checks(t, b, o);
	return r < 0 ? r : objects_remove(t, b->home->uid, o->id);
}

static int remove_batch(struct db_txn *t, void *arg)
{
	struct bench *b = arg;
	size_t doomed = b->s->doomed.len;
	int r = reach_holds(t, &b->reach);

	b->removed = 0;
	if (r <= 0)
		return r < 0 ? r : MOVED;
	r = 0;
	for (size_t i = 0; r == 0 && i < b->count; i++)
		r = remove_one(t, b, reach_object(&b->reach, b->picked[i]));
	if (r != 0)
		b->s->doomed.len = doomed;
	return r;
}

static int run_batch(struct bench *b)
{
	struct sweep *s = b->s;
	int r = s->dry ? db_read(s->db, remove_batch, b) : db_write(s->db, remove_batch, b);

	if (r != 0)
		return r;
	s->counts.objects += b->removed;
	return s->rest(s->arg, &s->counts);
}

static void tell_commits(struct bench *b, const uint32_t *picked, size_t count)
{
	char hex[2 * GIT_ID + 1];
	struct sweep_item item = {
		.what = "commit", .id = hex, .repo = b->home->repo, .why = UNREACHED
	};

	for (size_t i = 0; i < count; i++) {
		hex_print(reach_object(&b->reach, picked[i])->id, GIT_ID, hex);
		b->s->tell(b->s->arg, &item);
	}
}

/* Those that are not reached, commits or not: their places. */
static int pick(const struct bench *b, bool commits, struct buf *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < reach_count(&b->reach); i++) {
		const struct reach_object *o = reach_object(&b->reach, i);
		uint32_t place = (uint32_t)i;

		if (!o->reached && (o->kind == REGISTRY_COMMIT) == commits)
			r = buf_add(ret, &place, sizeof(place));
	}
	return r;
}

/* A commit must not be found any more when something it needs goes: so all of them go first, at one
 * moment. Of trees and files none can be found but by a commit that brings them again. */
static int remove_unreached(struct bench *b, bool commits)
{
	CLEANUP(buf_free) struct buf picked = { 0 };
	int r = pick(b, commits, &picked);
	size_t count = picked.len / sizeof(uint32_t), step = commits ? count : BATCH;
	const uint32_t *all = (const void *)picked.data;

	for (size_t at = 0; r == 0 && at < count; at += step) {
		b->picked = all + at;
		b->count = count - at < step ? count - at : step;
		r = run_batch(b);
	}
	if (r == 0 && commits)
		tell_commits(b, all, count);
	return r;
}

static int forget_left(struct db_txn *t, void *arg)
{
	const struct bench *b = arg;

	return left_commits_forget(t, b->home->uid, b->s->before_s);
}

static int has_old(void *arg, const char *commit UNUSED, int64_t left_s)
{
	return left_s < *(const int64_t *)arg;
}

static int has_left(struct db_txn *t, void *arg)
{
	struct bench *b = arg;

	return left_commits_each(t, b->home->uid, has_old, &b->s->before_s);
}

static int try_repo(struct bench *b)
{
	int r = db_read(b->s->db, find_reach, b);

	if (r == 0)
		r = remove_unreached(b, true);
	if (r == 0)
		r = remove_unreached(b, false);
	if (r == 0 && !b->s->dry && db_read(b->s->db, has_left, b) == 1)
		r = db_write(b->s->db, forget_left, b);
	return r;
}

/* Whose rows are of a time when nobody counted, it is counted now. */
static int adopt(struct db_txn *t, void *arg)
{
	const struct home *h = arg;
	struct registry_repo repo;
	struct repo_id id;
	int r = repo_id_parse_key(h->repo, &id);

	if (r == 0)
		r = registry_get(t, &id, &repo);
	if (r < 0 || strcmp(repo.uid, h->uid) != 0)
		return r == -ENOENT ? 0 : r;
	return objects_own(t, h->uid, h->repo);
}

static int is_owned(struct db_txn *t, void *arg)
{
	struct owner o;

	return owners_get(t, ((const struct home *)arg)->uid, &o);
}

/* What has no room in its namespace stays uncounted: it is named all the same. */
static int ensure_owned(struct sweep *s, struct home *home)
{
	int r = db_read(s->db, is_owned, home);

	if (r == -ENOENT && !s->dry)
		r = db_write(s->db, adopt, home);
	return r == -ENOENT || r == ERR_QUOTA ? 0 : r;
}

static int sweep_repo(struct sweep *s, struct home *home, bool *ret_damaged)
{
	struct bench b = { .s = s, .home = home };
	int r = ensure_owned(s, home);

	b.reach = (struct reach){ .uid = home->uid, .left_s = s->before_s };
	r = r < 0 ? r : MOVED;
	for (unsigned i = 0; r == MOVED && i < TRIES_MAX; i++)
		r = try_repo(&b);
	reach_fini(&b.reach);
	if (r == MOVED || r == ERR_CORRUPT || r == -E2BIG) {
		s->counts.left_alone++;
		*ret_damaged |= r == ERR_CORRUPT;
		if (r != MOVED)
			log_err(r, "the collector leaves a repository alone repo=%s", home->repo);
		return 0;
	}
	return r < 0 ? r : s->rest(s->arg, &s->counts);
}

static int list_repo(void *arg, const struct registry_repo *repo)
{
	struct home h;

	memcpy(h.uid, repo->uid, sizeof(h.uid));
	repo_id_key(&repo->id, h.repo);
	return buf_add(arg, &h, sizeof(h));
}

static int list_repos(struct db_txn *t, void *arg)
{
	buf_clear(arg);
	return registry_each(t, list_repo, arg);
}

/* ---- what nobody owns ---- */

static int list_owner(void *arg, const char *uid, const struct owner *owner)
{
	struct home h;

	snprintf(h.uid, sizeof(h.uid), "%s", uid);
	snprintf(h.repo, sizeof(h.repo), "%s", owner->repo);
	return buf_add(arg, &h, sizeof(h));
}

static int list_owners(struct db_txn *t, void *arg)
{
	buf_clear(arg);
	return owners_each(t, list_owner, arg);
}

static int is_it(void *arg, const struct registry_repo *repo)
{
	return strcmp(((const struct home *)arg)->uid, repo->uid) == 0;
}

static int remove_orphan(struct db_txn *t, void *arg)
{
	const struct home *h = arg;
	int r = registry_each(t, is_it, arg);

	if (r == 0)
		r = likes_forget(t, h->uid);
	return r ? r : registry_remove_rows(t, h->uid);
}

static int compare_homes(const void *a, const void *b)
{
	return strcmp(((const struct home *)a)->uid, ((const struct home *)b)->uid);
}

/* Owned by a name that is none any more. */
static int sweep_orphans(struct sweep *s, struct buf *homes)
{
	CLEANUP(buf_free) struct buf owners = { 0 };
	int r = s->dry ? 0 : db_read(s->db, list_owners, &owners);

	if (homes->len)
		qsort(homes->data, homes->len / sizeof(struct home), sizeof(struct home),
		      compare_homes);
	for (size_t at = 0; r == 0 && at < owners.len; at += sizeof(struct home)) {
		struct home *h = (void *)(owners.data + at);

		if (homes->len &&
		    bsearch(h, homes->data, homes->len / sizeof(*h), sizeof(*h), compare_homes))
			continue;
		r = db_write(s->db, remove_orphan, h);
		r = r == 1 ? 0 : r; /* it has come since the list was made */
	}
	return r;
}

static int sweep_repos(struct sweep *s)
{
	CLEANUP(buf_free) struct buf homes = { 0 };
	bool damaged = false;
	int r = db_read(s->db, list_repos, &homes);

	for (size_t at = 0; r == 0 && at < homes.len; at += sizeof(struct home))
		r = sweep_repo(s, (void *)(homes.data + at), &damaged);
	if (r == 0)
		r = sweep_orphans(s, &homes);
	return r == 0 && damaged ? ERR_CORRUPT : r;
}

/* ---- uploads ---- */

/* The uploads of one repository. */
struct group {
	struct sweep *s;
	char repo[REPO_KEY_MAX + 1], uid[REGISTRY_UID + 1];
	uint64_t count, bytes;
};

static int list_group(void *arg, const struct upload_row *u)
{
	struct buf *list = arg;
	struct group g = { .s = NULL };
	const struct group *last =
		(const void *)(list->len ? list->data + list->len - sizeof(g) : NULL);

	if (last && !strcmp(last->repo, u->repo))
		return 0;
	if (list->len == GROUPS_MAX * sizeof(g))
		return 1;
	snprintf(g.repo, sizeof(g.repo), "%s", u->repo);
	return buf_add(list, &g, sizeof(g));
}

struct group_list {
	struct buf groups;
	char after[REPO_KEY_MAX + 1];
};

static int list_groups(struct db_txn *t, void *arg)
{
	struct group_list *l = arg;

	buf_clear(&l->groups);
	return uploads_each(t, l->after[0] ? l->after : NULL, list_group, &l->groups);
}

static int doom_upload(void *arg, const struct upload_row *u)
{
	struct group *g = arg;

	return strcmp(u->repo, g->repo) == 0 ? doom(g->s, u->etag) : 0;
}

static int forget_group(struct db_txn *t, void *arg)
{
	struct group *g = arg;
	int r = uploads_abandoned(t, g->repo, g->s->before_s, &g->count, &g->bytes);

	if (r <= 0)
		return r < 0 ? r : MOVED;
	if (g->s->dry)
		return uploads_each(t, NULL, doom_upload, g);
	return uploads_forget_all(t, g->repo);
}

static int get_uid(struct db_txn *t, void *arg)
{
	struct group *g = arg;
	struct registry_repo repo;
	struct repo_id id;
	int r = repo_id_parse_key(g->repo, &id);

	if (r == 0)
		r = registry_get(t, &id, &repo);
	snprintf(g->uid, sizeof(g->uid), "%s", r == 0 ? repo.uid : "");
	return 0;
}

/* Whose parts or xorbs are coming is at it, too. */
static bool is_coming(struct sweep *s, struct group *g)
{
	if (parts_coming(s->parts, g->repo, s->before_s))
		return true;
	return db_read(s->db, get_uid, g) == 0 && g->uid[0] &&
	       xorbs_coming(s->xorbs, g->uid, s->before_s);
}

static int sweep_group(struct sweep *s, struct group *g)
{
	const struct sweep_item item = { "upload", "", g->repo, 0, ABANDONED };
	struct sweep_item told = item;
	int r;

	g->s = s;
	if (is_coming(s, g))
		return 0;
	r = s->dry ? db_read(s->db, forget_group, g) : db_write(s->db, forget_group, g);
	if (r != 0)
		return r == MOVED ? 0 : r;
	s->counts.uploads += g->count;
	told.bytes = g->bytes;
	s->tell(s->arg, &told);
	return s->rest(s->arg, &s->counts);
}

static int sweep_uploads(struct sweep *s)
{
	struct group_list l = { .after = "" };
	int r = 1;

	while (r == 1) {
		r = db_read(s->db, list_groups, &l);
		for (size_t at = 0; r >= 0 && at < l.groups.len; at += sizeof(struct group)) {
			struct group *g = (void *)(l.groups.data + at);
			int done = sweep_group(s, g);

			snprintf(l.after, sizeof(l.after), "%s", g->repo);
			r = done < 0 ? done : r;
		}
	}
	buf_free(&l.groups);
	return r;
}

int sweep_rows(struct sweep *s)
{
	int r = sweep_uploads(s), repos = r == 0 ? sweep_repos(s) : r;

	if (repos == 0 && !s->dry)
		parts_sweep(s->parts, s->before_s);
	return repos;
}
