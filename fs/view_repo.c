/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/view_repo.h"

#include <errno.h>
#include <string.h>

#include "fs/view_written.h"

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

static int lookup_repo(const struct view *v UNUSED, const struct place *dir, const char *name,
		       struct waiter *w UNUSED, struct place *ret, int64_t *ret_ttl_ms UNUSED)
{
	for (size_t i = 0; i < PLACE_PARTS; i++)
		if (strcmp(name, place_parts[i].name) == 0) {
			*ret = (struct place){ .kind = place_parts[i].kind, .repo = dir->repo };
			if (ret->kind == PLACE_REFS && !(ret->name = strdup("")))
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

	*ret_ttl_ms = r == 0 ? VIEW_SOON_MS : VIEW_ABSENT_MS;
	if (r == 0)
		*ret = (struct place){ .kind = PLACE_LINK_DIR, .snapshot = s };
	return r;
}

static int lookup_tree(const struct view *v UNUSED, const struct place *dir, const char *name,
		       struct waiter *w UNUSED, struct place *ret, int64_t *ret_ttl_ms UNUSED)
{
	uint32_t node = manifest_child(dir->snapshot->files, dir->node, name, strlen(name));

	if (node == MANIFEST_NONE)
		return -ENOENT;
	*ret = place_child(dir, node);
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
	if (view_written_find(v, dir, name, &written) < 0)
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

	*ret_ttl_ms = r == 0 ? VIEW_SOON_MS : VIEW_ABSENT_MS;
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
	*ret_ttl_ms = VIEW_SOON_MS;
	*ret = (struct place){ .kind = PLACE_TREE_JSON, .snapshot = s };
	return 0;
}

/* ---- all of them ---- */

static const lookup_fn lookups[] = {
	[PLACE_REPO] = lookup_repo,           [PLACE_BLOBS] = lookup_blobs,
	[PLACE_SNAPSHOTS] = lookup_snapshots, [PLACE_REFS] = lookup_refs,
	[PLACE_LINK_DIR] = lookup_tree,       [PLACE_PLAIN_DIR] = lookup_tree,
	[PLACE_NO_EXIST] = lookup_no_exist,   [PLACE_ABSENT_DIR] = lookup_absent,
	[PLACE_TREES] = lookup_trees,
};

bool view_repo_has(const struct place *dir)
{
	return dir->kind < ARRAY_LEN(lookups) && lookups[dir->kind];
}

int view_repo_lookup(const struct view *v, const struct place *dir, const char *name,
		     struct waiter *w, struct place *ret, int64_t *ret_ttl_ms)
{
	return view_repo_has(dir) ? lookups[dir->kind](v, dir, name, w, ret, ret_ttl_ms) : -ENOTDIR;
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

bool view_repo_shows_itself(const struct view *v, const struct place *dir, const char *name)
{
	char commit[COMMIT_HEX + 1];

	switch (dir->kind) {
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
