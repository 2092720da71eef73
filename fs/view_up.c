/* SPDX-License-Identifier: Apache-2.0 */
/* The way up: which directory a directory is in. */
#include <errno.h>
#include <string.h>

#include "fs/view.h"

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

/* ---- from what clients wrote ---- */

/* Takes the first part off a path; NULL: there is none. */
static const char *next_part(char **at)
{
	const char *part;

	while ((part = strsep(at, "/")) && !*part) {
	}
	return part;
}

static int set_name(struct place *p, const char *rest)
{
	p->name = strdup(rest ? rest : "");
	return p->name ? 0 : -ENOMEM;
}

/* "hub/FOLDER/" and what is left of it: as place_scratch_path has it. */
static int mirrored_in_repo(const struct view *v, const char *folder, char *at, struct place *ret)
{
	struct known *k = node_known(v->node);
	const char *part = next_part(&at), *commit;
	struct repo_id id;

	*ret = (struct place){ .kind = PLACE_TREES };
	if (!part || repo_id_parse_folder(folder, &id) < 0)
		return -ENOENT;
	ret->repo = known_repo(k, &id);
	if (!ret->repo)
		return -ENOENT;
	if (strcmp(part, "trees") == 0)
		return 0;
	if (strcmp(part, "refs") == 0) {
		ret->kind = PLACE_REFS;
		return set_name(ret, at);
	}
	commit = next_part(&at);
	ret->kind = commit ? PLACE_ABSENT_DIR : PLACE_NO_EXIST;
	if (!commit)
		return 0;
	return known_snapshot(k, ret->repo, commit, &ret->snapshot) < 0 ? -ENOENT
									: set_name(ret, at);
}

/* The place that a directory of the scratch mirrors. */
static int mirrored(const struct view *v, char *path, struct place *ret)
{
	const char *part = next_part(&path);

	*ret = view_root();
	if (!part)
		return 0;
	ret->kind = PLACE_HUB;
	part = next_part(&path);
	if (!part)
		return 0;
	if (strcmp(part, PLACE_LOCKS_NAME) != 0)
		return mirrored_in_repo(v, part, path, ret);
	ret->kind = PLACE_LOCKS;
	part = next_part(&path);
	return part ? set_name(ret, part) : 0;
}

static int parent_of_written(const struct view *v, const struct place *dir, struct place *ret)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	struct scratch_node *up;
	bool mirrors;
	int r = scratch_parent(dir->scratch, dir->written, &up, &mirrors);

	if (r < 0)
		return r;
	if (!mirrors) {
		*ret = place_written(dir, dir->scratch, up);
		return 0;
	}
	r = scratch_path(dir->scratch, up, &path);
	scratch_unref(dir->scratch, up);
	if (r == 0)
		r = mirrored(v, path.data, ret);
	if (r < 0)
		place_fini(ret);
	return r;
}

/* ---- from any ---- */

int view_parent(const struct view *v, const struct place *dir, struct place *ret)
{
	*ret = view_root();
	switch (dir->kind) {
	case PLACE_ROOT:
	case PLACE_HUB:
	case PLACE_FILES:
		return 0;
	case PLACE_LOCKS:
		ret->kind = dir->name ? PLACE_LOCKS : PLACE_HUB;
		return 0;
	case PLACE_REPO:
		ret->kind = PLACE_HUB;
		return 0;
	case PLACE_SCRATCH:
		return parent_of_written(v, dir, ret);
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
