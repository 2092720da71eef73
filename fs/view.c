/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/view.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"
#include "fs/shown.h"

/* Answers that may change are asked again after this. A snapshot's own name is among them
 * although its content is for ever: each new use of a commit is a hint whether refs have moved
 * (known_doubt_refs). */
#define TTL_SOON_MS 1000
#define TTL_REPO_MS 60000
#define TTL_ABSENT_MS 3000 /* the hub said there is no such repository or revision */

typedef int (*lookup_fn)(const struct view *v, const struct place *dir, const char *name,
			 struct waiter *w, struct place *ret, int64_t *ret_ttl_ms);

static bool ends_with(const char *text, const char *end)
{
	size_t text_len = strlen(text), end_len = strlen(end);

	return text_len > end_len && strcmp(text + text_len - end_len, end) == 0;
}

/* Names clients use for files in the making: no question for the hub. */
static bool is_temporary(const char *name)
{
	return ends_with(name, ".tmp") || ends_with(name, ".lock") ||
	       ends_with(name, ".incomplete");
}

struct place view_root(void)
{
	return (struct place){ .kind = PLACE_ROOT };
}

/* ---- what clients wrote ---- */

int view_scratch_dir(const struct view *v, const struct place *dir, bool make,
		     struct scratch_node **ret)
{
	CLEANUP(buf_free) struct buf path = { 0 };

	if (!place_writable(dir))
		return -EROFS;
	if (dir->kind == PLACE_SCRATCH) {
		*ret = scratch_ref(dir->written);
		return 0;
	}
	if (place_scratch_path(dir, &path) < 0)
		return -ENOMEM;
	return scratch_dir(v->scratch, buf_str(&path), make, ret);
}

int view_lookup_written(const struct view *v, const struct place *dir, const char *name,
			struct place *ret)
{
	struct scratch_node *parent, *node;
	int r = view_scratch_dir(v, dir, false, &parent);

	if (r < 0)
		return -ENOENT;
	r = scratch_find(v->scratch, parent, name, &node);
	scratch_unref(v->scratch, parent);
	if (r == 0)
		*ret = place_written(dir, v->scratch, node);
	return r;
}

static int lookup_scratch(const struct view *v, const struct place *dir, const char *name,
			  struct waiter *w UNUSED, struct place *ret, int64_t *ret_ttl_ms)
{
	/* Renaming over a shown file drops the written one: the kernel must not go on showing
	 * it. */
	*ret_ttl_ms = VIEW_NEVER;
	return view_lookup_written(v, dir, name, ret);
}

/* ---- / and /hub ---- */

static int lookup_root(const struct view *v UNUSED, const struct place *dir UNUSED,
		       const char *name, struct waiter *w UNUSED, struct place *ret,
		       int64_t *ret_ttl_ms UNUSED)
{
	if (strcmp(name, "hub") == 0)
		*ret = (struct place){ .kind = PLACE_HUB };
	else if (strcmp(name, "files") == 0)
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
	*ret_ttl_ms = r == 0 ? TTL_REPO_MS : TTL_ABSENT_MS;
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

static int lookup_repo(const struct view *v UNUSED, const struct place *dir, const char *name,
		       struct waiter *w UNUSED, struct place *ret, int64_t *ret_ttl_ms UNUSED)
{
	static const struct {
		const char *name;
		enum place_kind kind;
	} parts[] = {
		{ "blobs", PLACE_BLOBS },         { "refs", PLACE_REFS },
		{ "snapshots", PLACE_SNAPSHOTS }, { ".no_exist", PLACE_NO_EXIST },
		{ "trees", PLACE_TREES },
	};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (strcmp(name, parts[i].name) == 0) {
			*ret = (struct place){ .kind = parts[i].kind, .repo = dir->repo };
			if (parts[i].kind == PLACE_REFS && !(ret->name = strdup("")))
				return -ENOMEM;
			return 0;
		}
	return -ENOENT;
}

/* ---- snapshots and blobs ---- */

static int names_commit(void *arg, const char *ref UNUSED, const char *commit)
{
	return strcmp(commit, arg) == 0;
}

/* Who uses a commit that no ref names has heard of a move. If some ref names it that may just
 * be the ref he means; had another moved there, he would write it (heed_ref), if he can. */
static void heed_commit(const struct view *v, struct repo *repo, const char *commit)
{
	char name[COMMIT_HEX + 1];

	memcpy(name, commit, sizeof(name));
	if (v->strict_ro || known_each_ref(node_known(v->node), repo, names_commit, name) != 1)
		known_doubt_refs(node_known(v->node), repo, commit);
}

/* The snapshot of the commit called `name`. */
static int find_snapshot(const struct view *v, struct repo *repo, const char *name,
			 struct waiter *w, struct snapshot **ret)
{
	if (!commit_valid(name))
		return -ENOENT;
	heed_commit(v, repo, name);
	return node_snapshot(v->node, repo, name, w, ret);
}

static int lookup_snapshots(const struct view *v, const struct place *dir, const char *name,
			    struct waiter *w, struct place *ret, int64_t *ret_ttl_ms)
{
	struct snapshot *s;
	int r = find_snapshot(v, dir->repo, name, w, &s);

	*ret_ttl_ms = r == 0 ? TTL_SOON_MS : TTL_ABSENT_MS;
	if (r == 0)
		*ret = (struct place){ .kind = PLACE_LINK_DIR, .snapshot = s };
	return r;
}

static int lookup_tree(const struct view *v UNUSED, const struct place *dir, const char *name,
		       struct waiter *w UNUSED, struct place *ret, int64_t *ret_ttl_ms UNUSED)
{
	const struct manifest *m = dir->snapshot->files;
	uint32_t node = manifest_child(m, dir->node, name, strlen(name));

	if (node == MANIFEST_NONE)
		return -ENOENT;
	*ret = (struct place){ .kind = dir->kind, .node = node, .snapshot = dir->snapshot };
	if (manifest_file(m, node))
		ret->kind = dir->kind == PLACE_LINK_DIR ? PLACE_LINK : PLACE_BLOB;
	snapshot_ref(ret->snapshot);
	return 0;
}

struct etag_search {
	const struct view *view;
	struct repo *repo;
	const char *etag;
	struct place *ret;
};

static int find_etag(void *arg, const char *commit)
{
	CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;
	struct etag_search *e = arg;
	uint32_t node;

	if (known_snapshot(node_known(e->view->node), e->repo, commit, &s) < 0)
		return 0;
	node = manifest_find_etag(s->files, e->etag);
	if (node == MANIFEST_NONE)
		return 0;
	*e->ret = (struct place){ .kind = PLACE_BLOB, .node = node, .snapshot = steal(s) };
	return 1;
}

static int lookup_blobs(const struct view *v, const struct place *dir, const char *name,
			struct waiter *w UNUSED, struct place *ret, int64_t *ret_ttl_ms)
{
	struct etag_search e = { v, dir->repo, name, ret };
	size_t len = strlen(name);
	int r;

	if ((len != 40 && len != 64) || !hex_is(name, len))
		return -ENOENT;
	r = known_each_commit(node_known(v->node), dir->repo, find_etag, &e);
	if (r == 0)
		*ret_ttl_ms = VIEW_NEVER; /* a commit still to be listed may have it */
	return r == 1 ? 0 : r < 0 ? r : -ENOENT;
}

/* ---- refs ---- */

/* Is this a directory of refs, that git always has, or that a known ref is in? */
static bool is_own_ref_dir(const struct view *v, const struct place *dir, const char *full)
{
	return strcmp(full, "refs") == 0 || strcmp(full, "refs/pr") == 0 ||
	       strcmp(full, "refs/convert") == 0 ||
	       known_is_ref_dir(node_known(v->node), dir->repo, full);
}

/* Or one that a client made to write a ref? */
static bool is_ref_dir(const struct view *v, const struct place *dir, const char *name,
		       const char *full)
{
	struct place written;
	bool made;

	if (is_own_ref_dir(v, dir, full))
		return true;
	if (view_lookup_written(v, dir, name, &written) < 0)
		return false;
	made = place_format(&written) == S_IFDIR;
	place_fini(&written);
	return made;
}

/* The name of a ref from the path of its directory; -ENOENT if no ref has it. */
static int ref_name(const struct place *dir, const char *name, struct buf *ret)
{
	buf_printf(ret, "%s%s%s", dir->name, dir->name[0] ? "/" : "", name);
	if (ret->failed)
		return ret->failed;
	return !revision_valid(ret->data) || is_temporary(name) ? -ENOENT : 0;
}

static int lookup_refs(const struct view *v, const struct place *dir, const char *name,
		       struct waiter *w, struct place *ret, int64_t *ret_ttl_ms)
{
	CLEANUP(buf_free) struct buf full = { 0 };
	CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;
	char commit[COMMIT_HEX + 1];
	enum place_kind kind = PLACE_REF;
	int r;

	*ret_ttl_ms = VIEW_NEVER;
	r = ref_name(dir, name, &full);
	if (r < 0)
		return r;
	if (commit_valid(full.data)) { /* no ref, but the commit is about to be used */
		r = find_snapshot(v, dir->repo, full.data, w, &s);
		return r == 0 ? -ENOENT : r;
	}
	if (is_ref_dir(v, dir, name, full.data)) {
		kind = PLACE_REFS;
	} else {
		r = node_ref(v->node, dir->repo, full.data, w, commit);
		if (r != 0)
			return r;
	}
	*ret = (struct place){ .kind = kind, .repo = dir->repo, .name = buf_take(&full) };
	return ret->name ? 0 : -ENOMEM;
}

/* ---- .no_exist and trees ---- */

static int lookup_no_exist(const struct view *v, const struct place *dir, const char *name,
			   struct waiter *w, struct place *ret, int64_t *ret_ttl_ms)
{
	struct snapshot *s;
	int r = find_snapshot(v, dir->repo, name, w, &s);

	*ret_ttl_ms = r == 0 ? TTL_SOON_MS : TTL_ABSENT_MS;
	if (r != 0)
		return r;
	*ret = (struct place){ .kind = PLACE_ABSENT_DIR, .repo = dir->repo, .snapshot = s };
	ret->name = strdup("");
	if (ret->name)
		return 0;
	place_fini(ret);
	return -ENOMEM;
}

/* "config.json", but not "v1.5". */
static bool has_extension(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot[1 + strspn(dot + 1, "0123456789")];
}

/* Every path the commit does not have is marked absent. A directory of the tree is a directory
 * here; of what is unknown, a name with an extension is a file. */
static int lookup_absent(const struct view *v UNUSED, const struct place *dir, const char *name,
			 struct waiter *w UNUSED, struct place *ret, int64_t *ret_ttl_ms UNUSED)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	const struct manifest *m = dir->snapshot->files;
	enum place_kind kind = has_extension(name) ? PLACE_ABSENT_FILE : PLACE_ABSENT_DIR;
	uint32_t node;

	buf_printf(&path, "%s%s%s", dir->name, dir->name[0] ? "/" : "", name);
	if (path.failed)
		return path.failed;
	node = manifest_find(m, path.data);
	if (node != MANIFEST_NONE) {
		if (manifest_file(m, node))
			return -ENOENT;
		kind = PLACE_ABSENT_DIR;
	}
	*ret = (struct place){ .kind = kind, .repo = dir->repo, .snapshot = dir->snapshot };
	ret->name = buf_take(&path);
	if (!ret->name)
		return -ENOMEM;
	snapshot_ref(ret->snapshot);
	return 0;
}

/* "COMMIT.json". */
static bool names_tree(const char *name, char ret_commit[static COMMIT_HEX + 1])
{
	if (strlen(name) != COMMIT_HEX + strlen(".json") || !ends_with(name, ".json"))
		return false;
	memcpy(ret_commit, name, COMMIT_HEX);
	ret_commit[COMMIT_HEX] = '\0';
	return true;
}

static int lookup_trees(const struct view *v, const struct place *dir, const char *name,
			struct waiter *w, struct place *ret, int64_t *ret_ttl_ms)
{
	char commit[COMMIT_HEX + 1];
	struct snapshot *s;
	int r;

	*ret_ttl_ms = VIEW_NEVER;
	if (!names_tree(name, commit))
		return -ENOENT;
	r = find_snapshot(v, dir->repo, commit, w, &s);
	if (r != 0)
		return r;
	*ret_ttl_ms = TTL_SOON_MS;
	*ret = (struct place){ .kind = PLACE_TREE_JSON, .snapshot = s };
	return 0;
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
	*ret_ttl_ms = TTL_SOON_MS;
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
		*ret_ttl_ms = TTL_ABSENT_MS;
	return r;
}

/* ---- what is shown by itself ---- */

static bool is_known_commit(const struct view *v, struct repo *repo, const char *name)
{
	CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;

	return commit_valid(name) && known_snapshot(node_known(v->node), repo, name, &s) == 0;
}

static bool is_known_ref(const struct view *v, const struct place *dir, const char *name)
{
	CLEANUP(buf_free) struct buf full = { 0 };
	struct known_ref ref;

	if (ref_name(dir, name, &full) < 0 || commit_valid(full.data))
		return false;
	return is_own_ref_dir(v, dir, full.data) ||
	       (known_get_ref(node_known(v->node), dir->repo, full.data, &ref) && ref.commit[0]);
}

static bool is_absent(const struct view *v, const struct place *dir, const char *name)
{
	int64_t ttl_ms;
	struct place p;

	if (lookup_absent(v, dir, name, NULL, &p, &ttl_ms) < 0)
		return false;
	place_fini(&p);
	return true;
}

bool view_shows_itself(const struct view *v, const struct place *dir, const char *name)
{
	char commit[COMMIT_HEX + 1];
	struct repo_id id;

	switch (dir->kind) {
	case PLACE_ROOT:
		return strcmp(name, "hub") == 0 || strcmp(name, "files") == 0;
	case PLACE_HUB:
		return strcmp(name, PLACE_LOCKS_NAME) == 0 ||
		       (repo_id_parse_folder(name, &id) == 0 &&
			known_repo(node_known(v->node), &id));
	case PLACE_LOCKS:
		return is_lock_dir(dir, name);
	case PLACE_REFS:
		return is_known_ref(v, dir, name);
	case PLACE_NO_EXIST:
		return is_known_commit(v, dir->repo, name);
	case PLACE_ABSENT_DIR:
		return is_absent(v, dir, name);
	case PLACE_TREES:
		return names_tree(name, commit) && is_known_commit(v, dir->repo, commit);
	default:
		return false;
	}
}

/* ---- all of them ---- */

static const lookup_fn lookups[] = {
	[PLACE_ROOT] = lookup_root,         [PLACE_HUB] = lookup_hub,
	[PLACE_LOCKS] = lookup_locks,       [PLACE_REPO] = lookup_repo,
	[PLACE_BLOBS] = lookup_blobs,       [PLACE_SNAPSHOTS] = lookup_snapshots,
	[PLACE_REFS] = lookup_refs,         [PLACE_LINK_DIR] = lookup_tree,
	[PLACE_NO_EXIST] = lookup_no_exist, [PLACE_ABSENT_DIR] = lookup_absent,
	[PLACE_TREES] = lookup_trees,       [PLACE_FILES] = lookup_files,
	[PLACE_TYPE] = lookup_files,        [PLACE_ORG] = lookup_org,
	[PLACE_PLAIN_DIR] = lookup_tree,    [PLACE_SCRATCH] = lookup_scratch,
};

/* What the tree does not show (r says why) may still have been written by a client. */
static int or_written(const struct view *v, const struct place *dir, const char *name, int r,
		      struct place *ret, int64_t *ret_ttl_ms)
{
	if (err_errno(r) != ENOENT || !place_writable(dir) ||
	    (dir->kind == PLACE_ROOT && v->hub_alone))
		return r;
	if (view_lookup_written(v, dir, name, ret) == 0)
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
	int r;

	if (dir->kind >= ARRAY_LEN(lookups) || !lookups[dir->kind])
		return -ENOTDIR;
	*ret_ttl_ms = VIEW_FOREVER;
	r = shown_name(v->scope, node_known(v->node), dir, name);
	if (r < 0)
		return r;
	r = lookups[dir->kind](v, dir, name, w, ret, ret_ttl_ms);
	if (r < 0)
		return or_written(v, dir, name, r, ret, ret_ttl_ms);
	return r == 0 ? check_shown(v, ret) : r;
}

int view_lookup_ended(const struct view *v, const struct place *dir, const char *name, int r,
		      struct place *ret, int64_t *ret_ttl_ms)
{
	/* Only the hub's word is waited for, and below refs/ and trees/ it is asked each time. */
	*ret_ttl_ms = dir->kind == PLACE_REFS || dir->kind == PLACE_TREES ? VIEW_NEVER
									  : TTL_ABSENT_MS;
	return or_written(v, dir, name, r, ret, ret_ttl_ms);
}
