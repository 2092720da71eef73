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

/* ---- the way up ---- */

/* "refs/pr" of "refs/pr/1"; "" of "main". */
static char *above(const char *name)
{
	const char *slash = strrchr(name, '/');

	return strndup(name, slash ? (size_t)(slash - name) : 0);
}

static int parent_in_commit(const struct place *dir, struct place *ret)
{
	const struct repo_id *id = repo_id_of(dir->snapshot->repo);

	if (dir->node != MANIFEST_ROOT) {
		*ret = (struct place){ .kind = dir->kind,
				       .node = manifest_parent(dir->snapshot->files, dir->node),
				       .snapshot = snapshot_ref(dir->snapshot) };
		return 0;
	}
	if (dir->kind == PLACE_LINK_DIR) {
		*ret = (struct place){ .kind = PLACE_SNAPSHOTS, .repo = dir->snapshot->repo };
		return 0;
	}
	*ret = (struct place){ .kind = PLACE_ORG, .type = id->type, .name = above(id->name) };
	return ret->name ? 0 : -ENOMEM;
}

/* Of a directory with the path of a ref or an absence: `top` is above the first of them. */
static int parent_by_name(const struct place *dir, enum place_kind top, struct place *ret)
{
	bool first = dir->name[0] == '\0';

	*ret = (struct place){ .kind = first ? top : dir->kind, .repo = dir->repo };
	if (first)
		return 0;
	ret->name = above(dir->name);
	if (!ret->name)
		return -ENOMEM;
	if (dir->snapshot)
		ret->snapshot = snapshot_ref(dir->snapshot);
	return 0;
}

int view_parent(const struct place *dir, struct place *ret)
{
	*ret = view_root();
	switch (dir->kind) {
	case PLACE_ROOT:
	case PLACE_HUB:
	case PLACE_FILES:
		return 0;
	case PLACE_LOCKS:
	case PLACE_REPO:
		ret->kind = PLACE_HUB;
		return 0;
	case PLACE_BLOBS:
	case PLACE_SNAPSHOTS:
	case PLACE_NO_EXIST:
	case PLACE_TREES:
		*ret = (struct place){ .kind = PLACE_REPO, .repo = dir->repo };
		return 0;
	case PLACE_REFS:
		return parent_by_name(dir, PLACE_REPO, ret);
	case PLACE_ABSENT_DIR:
		return parent_by_name(dir, PLACE_NO_EXIST, ret);
	case PLACE_LINK_DIR:
	case PLACE_PLAIN_DIR:
		return parent_in_commit(dir, ret);
	case PLACE_TYPE:
	case PLACE_ORG:
		ret->kind = dir->kind == PLACE_ORG && dir->type != REPO_MODEL ? PLACE_TYPE
									      : PLACE_FILES;
		ret->type = ret->kind == PLACE_TYPE ? dir->type : REPO_MODEL;
		return 0;
	default:
		return -ENOENT;
	}
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

/* Lock directories of all repositories are there already: older clients make them unguarded. */
static int lookup_locks(const struct view *v, const struct place *dir, const char *name,
			struct waiter *w UNUSED, struct place *ret, int64_t *ret_ttl_ms)
{
	struct scratch_node *locks = NULL;
	struct repo_id id;
	int r;

	*ret_ttl_ms = VIEW_NEVER;
	if (repo_id_parse_folder(name, &id) == 0) {
		CLEANUP(buf_free) struct buf path = { 0 };

		buf_printf(&path, "hub/" PLACE_LOCKS_NAME "/%s", name);
		r = path.failed ? path.failed : scratch_dir(v->scratch, path.data, true, &locks);
		if (r < 0)
			return r;
		scratch_unref(v->scratch, locks);
	}
	return view_lookup_written(v, dir, name, ret);
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

/* Is this a directory of refs: one that git always has, one that a known ref is in, or one that a
 * client made to write a ref? */
static bool is_ref_dir(const struct view *v, const struct place *dir, const char *name,
		       const char *full)
{
	struct place written;
	bool made;

	if (strcmp(full, "refs") == 0 || strcmp(full, "refs/pr") == 0 ||
	    strcmp(full, "refs/convert") == 0)
		return true;
	if (known_is_ref_dir(node_known(v->node), dir->repo, full))
		return true;
	if (view_lookup_written(v, dir, name, &written) < 0)
		return false;
	made = place_format(&written) == S_IFDIR;
	place_fini(&written);
	return made;
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
	buf_printf(&full, "%s%s%s", dir->name, dir->name[0] ? "/" : "", name);
	if (full.failed)
		return full.failed;
	if (!revision_valid(full.data) || is_temporary(name))
		return -ENOENT;
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

static int lookup_trees(const struct view *v, const struct place *dir, const char *name,
			struct waiter *w, struct place *ret, int64_t *ret_ttl_ms)
{
	char commit[COMMIT_HEX + 1] = "";
	struct snapshot *s;
	int r;

	*ret_ttl_ms = VIEW_NEVER;
	if (strlen(name) != COMMIT_HEX + strlen(".json") || !ends_with(name, ".json"))
		return -ENOENT;
	memcpy(commit, name, COMMIT_HEX);
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
	if (err_errno(r) != ENOENT || !place_writable(dir))
		return r;
	if (view_lookup_written(v, dir, name, ret) == 0)
		r = 0;
	/* Somebody may write it the next moment, but only here is the kernel told at once. */
	*ret_ttl_ms = dir->kind == PLACE_HUB && r < 0 ? *ret_ttl_ms : VIEW_NEVER;
	return r;
}

/* It may turn out to be another name of a repository that is not shown. */
static int check_shown(const struct view *v, struct place *p)
{
	if (shown_place(v->scope, node_known(v->node), p))
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
