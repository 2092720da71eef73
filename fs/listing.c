/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/listing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/map.h"
#include "fs/shown.h"
#include "fs/view_written.h"

struct entry {
	struct entry *next;
	struct place place;
	char name[];
};

struct listing {
	struct place dir;
	/* Of a commit: the children [first, first + count) of a manifest's node. */
	uint32_t first, count;
	/* Of all others: gathered in a list, then sorted. */
	struct entry *entries;
	struct entry **sorted; /* count of them; NULL for a commit's */
	int failed;            /* of the first entry that could not be added */
};

/* A place whose name could not be copied for want of memory; hub/.locks has none. */
static bool lacks_name(const struct listing *l, const struct place *p)
{
	bool named = p->kind == PLACE_REF || p->kind == PLACE_REFS || p->kind == PLACE_ORG ||
		     (p->kind == PLACE_LOCKS && l->dir.kind == PLACE_LOCKS);

	return named && !p->name;
}

/* The place is taken. */
static int add(struct listing *l, const char *name, struct place p)
{
	size_t len = strlen(name);
	struct entry *e = lacks_name(l, &p) ? NULL : calloc(1, sizeof(*e) + len + 1);

	if (!e) {
		place_fini(&p);
		return l->failed = -ENOMEM;
	}
	e->place = p;
	memcpy(e->name, name, len + 1);
	e->next = l->entries;
	l->entries = e;
	l->count++;
	return 0;
}

static bool has_from(const struct entry *e, const char *name)
{
	for (; e; e = e->next)
		if (strcmp(e->name, name) == 0)
			return true;
	return false;
}

static bool has(const struct listing *l, const char *name)
{
	return has_from(l->entries, name);
}

static int natural(const void *a, const void *b)
{
	const struct entry *const *x = a, *const *y = b;

	return manifest_natural((*x)->name, (*y)->name);
}

static int sort(struct listing *l)
{
	size_t i = 0;

	l->sorted = calloc(l->count + 1, sizeof(struct entry *));
	if (!l->sorted)
		return -ENOMEM;
	for (struct entry *e = l->entries; e; e = e->next)
		l->sorted[i++] = e;
	qsort(l->sorted, l->count, sizeof(struct entry *), natural);
	return 0;
}

/* ---- one function a kind ---- */

struct filling {
	const struct view *v;
	struct listing *l;
	const struct place *dir;
	const struct entry *shown; /* list_written's: what is there anyway */
};

static int add_written(void *arg, const char *name, struct scratch_node *n)
{
	struct filling *f = arg;

	if (has_from(f->shown, name) ||
	    shown_name(f->v->scope, node_known(f->v->node), f->dir, name) < 0)
		return 0;
	if (f->dir->kind == PLACE_LOCKS && view_shows_itself(f->v, f->dir, name))
		return add(f->l, name, (struct place){ .kind = PLACE_LOCKS, .name = strdup(name) });
	return add(f->l, name, place_written(f->dir, f->v->scratch, scratch_ref(n)));
}

static void list_written(struct filling *f)
{
	struct scratch_node *dir;

	if (view_written_dir(f->v, f->dir, false, &dir) < 0)
		return;
	f->shown = f->l->entries;
	scratch_each(f->v->scratch, dir, add_written, f);
	scratch_unref(f->v->scratch, dir);
}

static void list_root(struct filling *f)
{
	add(f->l, PLACE_FILES_NAME, (struct place){ .kind = PLACE_FILES });
	add(f->l, PLACE_HUB_NAME, (struct place){ .kind = PLACE_HUB });
	if (!f->v->hub_alone)
		list_written(f);
}

static int add_repo(void *arg, struct repo *r)
{
	struct filling *f = arg;
	char folder[REPO_FOLDER_MAX + 1];

	if (!scope_has(f->v->scope, repo_id_of(r)))
		return 0;
	repo_id_folder(repo_id_of(r), folder);
	return add(f->l, folder, (struct place){ .kind = PLACE_REPO, .repo = r });
}

/* What clients wrote into hub/ stays unlisted: a scan of the cache warns about stray files. */
static void list_hub(struct filling *f)
{
	add(f->l, PLACE_LOCKS_NAME, (struct place){ .kind = PLACE_LOCKS });
	known_each_repo(node_known(f->v->node), add_repo, f);
}

static void list_repo(struct filling *f)
{
	for (size_t i = 0; i < PLACE_PARTS; i++) {
		struct place p = { .kind = place_parts[i].kind, .repo = f->dir->repo };

		if (p.kind == PLACE_REFS)
			p.name = strdup("");
		add(f->l, place_parts[i].name, p);
	}
}

/* A ref below this directory adds itself, or the directory it is in. */
static int add_ref(void *arg, const char *ref, const char *commit UNUSED)
{
	struct filling *f = arg;
	size_t skip = strlen(f->dir->name);
	char name[256];
	const char *slash;

	if (skip && (strncmp(ref, f->dir->name, skip) != 0 || ref[skip++] != '/'))
		return 0;
	slash = strchr(ref + skip, '/');
	snprintf(name, sizeof(name), "%.*s",
		 slash ? (int)(slash - ref - (long)skip) : (int)strlen(ref + skip), ref + skip);
	if (has(f->l, name))
		return 0;
	return add(f->l, name,
		   (struct place){
			   .kind = slash ? PLACE_REFS : PLACE_REF,
			   .repo = f->dir->repo,
			   .name = slash ? strndup(ref, (size_t)(slash - ref)) : strdup(ref),
		   });
}

static void list_refs(struct filling *f)
{
	known_each_ref(node_known(f->v->node), f->dir->repo, add_ref, f);
}

/* Entries that stand for a commit: snapshots/COMMIT, trees/COMMIT.json. */
static int add_commit(void *arg, const char *commit)
{
	struct filling *f = arg;
	bool tree = f->dir->kind == PLACE_TREES;
	char name[COMMIT_HEX + sizeof(".json")];
	struct snapshot *s;

	if (known_snapshot(node_known(f->v->node), f->dir->repo, commit, &s) < 0)
		return 0; /* its row is damaged: it will be listed when it is looked up */
	snprintf(name, sizeof(name), "%s%s", commit, tree ? ".json" : "");
	return add(
		f->l, name,
		(struct place){ .kind = tree ? PLACE_TREE_JSON : PLACE_LINK_DIR, .snapshot = s });
}

static void list_commits(struct filling *f)
{
	known_each_commit(node_known(f->v->node), f->dir->repo, add_commit, f);
}

struct blob_filling {
	struct filling *f;
	struct map seen; /* etag -> anything */
};

static int add_blobs(void *arg, const char *commit)
{
	CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;
	struct blob_filling *b = arg;
	struct filling *f = b->f;
	char etag[DIGEST_HEX_MAX + 1];

	if (known_snapshot(node_known(f->v->node), f->dir->repo, commit, &s) < 0)
		return 0;
	for (uint32_t i = 0; i < manifest_count(s->files); i++) {
		const struct manifest_file *file = manifest_file(s->files, i);

		if (!file)
			continue;
		if (map_find(&b->seen, file->digest, digest_size(file->kind)))
			continue;
		if (map_put(&b->seen, file->digest, digest_size(file->kind), f) < 0)
			return f->l->failed = -ENOMEM;
		manifest_etag(file, etag);
		if (add(f->l, etag,
			(struct place){
				.kind = PLACE_BLOB, .node = i, .snapshot = snapshot_ref(s) }) < 0)
			return f->l->failed;
	}
	return 0;
}

/* All blobs of the known commits; the map's keys live in their manifests, which the entries
 * hold. */
static void list_blobs(struct filling *f)
{
	struct blob_filling b = { .f = f };

	known_each_commit(node_known(f->v->node), f->dir->repo, add_blobs, &b);
	map_fini(&b.seen);
}

/* Repositories of a type and organisation, or the organisations themselves. */
static int add_to_files(void *arg, struct repo *r)
{
	const struct repo_id *id = repo_id_of(r);
	const char *slash = strchr(id->name, '/');
	struct filling *f = arg;
	bool in_org = f->dir->kind == PLACE_ORG;
	char org[REPO_NAME_MAX + 1];

	if (id->type != f->dir->type || !slash || !scope_has(f->v->scope, id))
		return 0;
	snprintf(org, sizeof(org), "%.*s", (int)(slash - id->name), id->name);
	if (in_org ? strcmp(org, f->dir->name) != 0 : has(f->l, org))
		return 0;
	/* Only its name and kind are asked for: the commit is resolved when it is looked up. */
	if (in_org)
		return add(f->l, slash + 1, (struct place){ .kind = PLACE_REPO, .repo = r });
	return add(f->l, org,
		   (struct place){ .kind = PLACE_ORG, .type = id->type, .name = strdup(org) });
}

static void list_files(struct filling *f)
{
	for (int type = REPO_DATASET; f->dir->kind == PLACE_FILES && type < REPO_TYPE_COUNT; type++)
		add(f->l, repo_type_plural((enum repo_type)type),
		    (struct place){ .kind = PLACE_TYPE, .type = (enum repo_type)type });
	known_each_repo(node_known(f->v->node), add_to_files, f);
}

typedef void (*list_fn)(struct filling *f);

static const list_fn lists[] = {
	[PLACE_ROOT] = list_root,  [PLACE_HUB] = list_hub,       [PLACE_LOCKS] = list_written,
	[PLACE_REPO] = list_repo,  [PLACE_BLOBS] = list_blobs,   [PLACE_SNAPSHOTS] = list_commits,
	[PLACE_REFS] = list_refs,  [PLACE_TREES] = list_commits, [PLACE_FILES] = list_files,
	[PLACE_TYPE] = list_files, [PLACE_ORG] = list_files,     [PLACE_SCRATCH] = list_written,
};

static int any_commit(void *arg UNUSED, const char *commit UNUSED)
{
	return 1;
}

/* A repository of which no commit is known yet shows at least main. */
static int need_main(const struct view *v, const struct place *dir, struct waiter *w)
{
	char commit[COMMIT_HEX + 1];

	if (dir->kind != PLACE_SNAPSHOTS && dir->kind != PLACE_REFS && dir->kind != PLACE_BLOBS &&
	    dir->kind != PLACE_TREES)
		return 0;
	if (known_each_commit(node_known(v->node), dir->repo, any_commit, NULL) == 1)
		return 0;
	return node_ref(v->node, dir->repo, "main", w, commit);
}

static int fill(const struct view *v, struct listing *l)
{
	struct filling f = { v, l, &l->dir, NULL };

	if (place_is_final(&l->dir)) {
		l->first = manifest_children(l->dir.snapshot->files, l->dir.node, &l->count);
		return 0;
	}
	/* An absent directory lists nothing: it has every name. */
	if (l->dir.kind < ARRAY_LEN(lists) && lists[l->dir.kind])
		lists[l->dir.kind](&f);
	return l->failed ? l->failed : sort(l);
}

static int open_known(const struct view *v, const struct place *dir, struct listing **ret)
{
	struct listing *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	r = place_copy(dir, &l->dir);
	if (r == 0)
		r = fill(v, l);
	if (r < 0) {
		listing_close(l);
		return r;
	}
	*ret = l;
	return 0;
}

int listing_open(const struct view *v, const struct place *dir, struct waiter *w,
		 struct listing **ret)
{
	int r;

	if (place_format(dir) != S_IFDIR)
		return -ENOTDIR;
	r = need_main(v, dir, w);
	if (r < 0)
		return listing_open_ended(v, dir, r, ret);
	return r == 0 ? open_known(v, dir, ret) : r;
}

int listing_open_ended(const struct view *v, const struct place *dir, int r, struct listing **ret)
{
	return err_errno(r) == ENOENT ? open_known(v, dir, ret) : r;
}

void listing_close(struct listing *l)
{
	if (!l)
		return;
	while (l->entries) {
		struct entry *next = l->entries->next;

		place_fini(&l->entries->place);
		free(l->entries);
		l->entries = next;
	}
	free(l->sorted);
	place_fini(&l->dir);
	free(l);
}

uint32_t listing_count(const struct listing *l)
{
	return l->count;
}

int listing_get(const struct listing *l, uint32_t i, const char **ret_name, struct place *ret)
{
	if (l->sorted) {
		*ret_name = l->sorted[i]->name;
		return place_copy(&l->sorted[i]->place, ret);
	}
	*ret_name = manifest_name(l->dir.snapshot->files, l->first + i);
	*ret = place_child(&l->dir, l->first + i);
	return 0;
}
