/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/view.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"
#include "fs/shown.h"
#include "fs/view_repo.h"
#include "fs/view_written.h"

#define TTL_REPO_MS 60000

typedef int (*lookup_fn)(const struct view *v, const struct place *dir, const char *name,
			 struct waiter *w, struct place *ret, int64_t *ret_ttl_ms);

struct place view_root(void)
{
	return (struct place){ .kind = PLACE_ROOT };
}

/* ---- what clients wrote ---- */

static int lookup_scratch(const struct view *v, const struct place *dir, const char *name,
			  struct waiter *w UNUSED, struct place *ret, int64_t *ret_ttl_ms)
{
	/* Renaming over a shown file drops the written one: the kernel must not go on showing
	 * it. */
	*ret_ttl_ms = VIEW_NEVER;
	return view_written_find(v, dir, name, ret);
}

/* ---- / and /hub ---- */

static int lookup_root(const struct view *v UNUSED, const struct place *dir UNUSED,
		       const char *name, struct waiter *w UNUSED, struct place *ret,
		       int64_t *ret_ttl_ms UNUSED)
{
	if (strcmp(name, PLACE_HUB_NAME) == 0)
		*ret = (struct place){ .kind = PLACE_HUB };
	else if (strcmp(name, PLACE_FILES_NAME) == 0)
		*ret = (struct place){ .kind = PLACE_FILES };
	else
		return -ENOENT;
	return 0;
}

static int lookup_hub(const struct view *v, const struct place *dir UNUSED, const char *name,
		      struct waiter *w, struct place *ret, int64_t *ret_ttl_ms)
{
	struct repo_id id;
	struct repo *repo;
	int r;

	if (strcmp(name, PLACE_LOCKS_NAME) == 0) {
		*ret = (struct place){ .kind = PLACE_LOCKS };
		return 0;
	}
	if (repo_id_parse_folder(name, &id) < 0)
		return -ENOENT;
	r = node_repo(v->node, &id, w, &repo);
	*ret_ttl_ms = r == 0 ? TTL_REPO_MS : VIEW_ABSENT_MS;
	if (r == 0)
		*ret = (struct place){
			.kind = repo_canonical(repo) == repo ? PLACE_REPO : PLACE_ALIAS,
			.repo = repo,
		};
	return r;
}

/* Lock directories of all repositories are there already: older clients make them unguarded. They
 * take no room until something lies in them. */
static bool is_lock_dir(const struct place *dir, const char *name)
{
	struct repo_id id;

	return !dir->name && repo_id_parse_folder(name, &id) == 0;
}

static int lookup_locks(const struct view *v UNUSED, const struct place *dir, const char *name,
			struct waiter *w UNUSED, struct place *ret, int64_t *ret_ttl_ms UNUSED)
{
	if (!is_lock_dir(dir, name))
		return -ENOENT;
	*ret = (struct place){ .kind = PLACE_LOCKS, .name = strdup(name) };
	return ret->name ? 0 : -ENOMEM;
}

/* ---- /files ---- */

static int lookup_files(const struct view *v UNUSED, const struct place *dir, const char *name,
			struct waiter *w UNUSED, struct place *ret, int64_t *ret_ttl_ms UNUSED)
{
	for (int type = REPO_DATASET; dir->kind == PLACE_FILES && type < REPO_TYPE_COUNT; type++)
		if (strcmp(name, repo_type_plural((enum repo_type)type)) == 0) {
			*ret = (struct place){ .kind = PLACE_TYPE, .type = (enum repo_type)type };
			return 0;
		}
	if (!repo_part_valid(name, strlen(name)))
		return -ENOENT;
	*ret = (struct place){ .kind = PLACE_ORG, .type = dir->type, .name = strdup(name) };
	return ret->name ? 0 : -ENOMEM;
}

/* The snapshot of a revision that may be a commit or a ref. */
static int resolve(const struct view *v, struct repo *repo, const char *rev, struct waiter *w,
		   struct snapshot **ret, int64_t *ret_ttl_ms)
{
	char commit[COMMIT_HEX + 1];
	int r;

	if (commit_valid(rev)) {
		*ret_ttl_ms = VIEW_FOREVER;
		return node_snapshot(v->node, repo, rev, w, ret);
	}
	*ret_ttl_ms = VIEW_SOON_MS;
	r = node_ref(v->node, repo, rev, w, commit);
	return r == 0 ? node_snapshot(v->node, repo, commit, w, ret) : r;
}

static int lookup_org(const struct view *v, const struct place *dir, const char *name,
		      struct waiter *w, struct place *ret, int64_t *ret_ttl_ms)
{
	struct repo_id id;
	struct repo *repo;
	struct snapshot *s;
	const char *rev;
	int r;

	if (place_split_files_name(dir->type, dir->name, name, &id, &rev) < 0)
		return -ENOENT;
	r = node_repo(v->node, &id, w, &repo);
	if (r == 0)
		r = resolve(v, repo_canonical(repo), rev, w, &s, ret_ttl_ms);
	if (r == 0)
		*ret = (struct place){ .kind = PLACE_PLAIN_DIR, .snapshot = s };
	else
		*ret_ttl_ms = VIEW_ABSENT_MS;
	return r;
}

/* ---- what is shown by itself ---- */

bool view_shows_itself(const struct view *v, const struct place *dir, const char *name)
{
	struct repo_id id;

	switch (dir->kind) {
	case PLACE_ROOT:
		return place_is_top_name(name);
	case PLACE_HUB:
		return strcmp(name, PLACE_LOCKS_NAME) == 0 ||
		       (repo_id_parse_folder(name, &id) == 0 &&
			known_repo(node_known(v->node), &id));
	case PLACE_LOCKS:
		return is_lock_dir(dir, name);
	default:
		return view_repo_shows_itself(v, dir, name);
	}
}

/* ---- all of them ---- */

static const lookup_fn lookups[] = {
	[PLACE_ROOT] = lookup_root,       [PLACE_HUB] = lookup_hub,    [PLACE_LOCKS] = lookup_locks,
	[PLACE_FILES] = lookup_files,     [PLACE_TYPE] = lookup_files, [PLACE_ORG] = lookup_org,
	[PLACE_SCRATCH] = lookup_scratch,
};

/* What the tree does not show (r says why) may still have been written by a client. */
static int or_written(const struct view *v, const struct place *dir, const char *name, int r,
		      struct place *ret, int64_t *ret_ttl_ms)
{
	if (err_errno(r) != ENOENT || !place_writable(dir) ||
	    (dir->kind == PLACE_ROOT && v->hub_alone))
		return r;
	if (view_written_find(v, dir, name, ret) == 0)
		r = 0;
	/* Somebody may write it the next moment, but only here is the kernel told at once. */
	*ret_ttl_ms = dir->kind == PLACE_HUB && r < 0 ? *ret_ttl_ms : VIEW_NEVER;
	return r;
}

bool view_is_shown(const struct view *v, const struct place *p)
{
	if (v->hub_alone && p->kind == PLACE_SCRATCH && !p->shared)
		return false;
	return shown_place(v->scope, node_known(v->node), p);
}

/* It may turn out to be another name of a repository that is not shown. */
static int check_shown(const struct view *v, struct place *p)
{
	if (view_is_shown(v, p))
		return 0;
	place_fini(p);
	return -EACCES;
}

int view_lookup(const struct view *v, const struct place *dir, const char *name, struct waiter *w,
		struct place *ret, int64_t *ret_ttl_ms)
{
	lookup_fn lookup = dir->kind < ARRAY_LEN(lookups) ? lookups[dir->kind] : NULL;
	int r;

	if (!lookup && !view_repo_has(dir))
		return -ENOTDIR;
	*ret_ttl_ms = VIEW_FOREVER;
	r = shown_name(v->scope, node_known(v->node), dir, name);
	if (r < 0)
		return r;
	r = (lookup ? lookup : view_repo_lookup)(v, dir, name, w, ret, ret_ttl_ms);
	if (r < 0)
		return or_written(v, dir, name, r, ret, ret_ttl_ms);
	return r == 0 ? check_shown(v, ret) : r;
}

int view_lookup_ended(const struct view *v, const struct place *dir, const char *name, int r,
		      struct place *ret, int64_t *ret_ttl_ms)
{
	/* Only the hub's word is waited for, and below refs/ and trees/ it is asked each time. */
	*ret_ttl_ms = dir->kind == PLACE_REFS || dir->kind == PLACE_TREES ? VIEW_NEVER
									  : VIEW_ABSENT_MS;
	return or_written(v, dir, name, r, ret, ret_ttl_ms);
}
