/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/place.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/digest.h"

void place_fini(struct place *p)
{
	snapshot_unref(p->snapshot);
	free(p->name);
	if (p->written)
		scratch_unref(p->scratch, p->written);
	*p = (struct place){ .kind = p->kind };
}

int place_copy(const struct place *from, struct place *ret)
{
	char *name = NULL;

	if (from->name && !(name = strdup(from->name)))
		return -ENOMEM;
	*ret = *from;
	ret->name = name;
	if (ret->snapshot)
		snapshot_ref(ret->snapshot);
	if (ret->written)
		scratch_ref(ret->written);
	return 0;
}

static const struct manifest_file *file_of(const struct place *p)
{
	return manifest_file(p->snapshot->files, p->node);
}

static bool same_blob(const struct place *a, const struct place *b)
{
	const struct manifest_file *x = file_of(a), *y = file_of(b);

	return x->kind == y->kind && x->size == y->size &&
	       memcmp(x->digest, y->digest, digest_size(x->kind)) == 0;
}

static bool same_commit(const struct snapshot *a, const struct snapshot *b)
{
	return a == b || (a && b && a->repo == b->repo && strcmp(a->commit, b->commit) == 0);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool place_same(const struct place *a, const struct place *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == PLACE_BLOB)
		return same_blob(a, b);
	return a->type == b->type && a->node == b->node && a->repo == b->repo &&
	       a->written == b->written && same_text(a->name, b->name) &&
	       same_commit(a->snapshot, b->snapshot);
}

static void add_key(const struct place *p, struct buf *key)
{
	buf_printf(key, "%d %d %u ", (int)p->kind, (int)p->type, p->node);
	if (p->repo)
		buf_printf(key, "%s ", repo_key(p->repo));
	if (p->snapshot) /* a mirror has the same commits under another name */
		buf_printf(key, "%s %s ", repo_key(p->snapshot->repo), p->snapshot->commit);
	if (p->name)
		buf_add_str(key, p->name);
	if (p->written)
		buf_printf(key, "%llu", (unsigned long long)scratch_id(p->written));
}

uint64_t place_number(const struct place *p)
{
	CLEANUP(buf_free) struct buf key = { 0 };
	char etag[DIGEST_HEX_MAX + 1];
	uint64_t number;

	if (p->kind == PLACE_ROOT)
		return 1;
	if (p->kind == PLACE_BLOB) {
		place_etag(p, etag);
		buf_printf(&key, "%s %llu", etag, (unsigned long long)file_of(p)->size);
	} else {
		add_key(p, &key);
	}
	/* Out of memory only makes the number likelier to be taken; the table then finds
	 * another. */
	number = xxh3_of(buf_str(&key), key.len);
	return number > 1 ? number : 2;
}

/* What is so of all places of a kind. */
enum trait {
	WRITABLE = 1,   /* clients may write metadata in it */
	SWALLOWS = 2,   /* what they write to it is dropped */
	FINAL = 4,      /* a commit's directory: its entries are the manifest's own */
	NAMES_ONLY = 8, /* what it lists becomes a place when it is looked up */
};

struct kind {
	mode_t format; /* 0: each its own */
	unsigned traits;
};

static const struct kind kinds[] = {
	[PLACE_ROOT] = { S_IFDIR, WRITABLE },
	[PLACE_HUB] = { S_IFDIR, WRITABLE },
	[PLACE_LOCKS] = { S_IFDIR, WRITABLE },
	[PLACE_REPO] = { S_IFDIR, 0 },
	[PLACE_ALIAS] = { S_IFLNK, 0 },
	[PLACE_BLOBS] = { S_IFDIR, 0 },
	[PLACE_SNAPSHOTS] = { S_IFDIR, 0 },
	[PLACE_REFS] = { S_IFDIR, WRITABLE },
	[PLACE_REF] = { S_IFREG, SWALLOWS },
	[PLACE_LINK_DIR] = { S_IFDIR, FINAL },
	[PLACE_LINK] = { S_IFLNK, 0 },
	[PLACE_BLOB] = { S_IFREG, 0 },
	[PLACE_NO_EXIST] = { S_IFDIR, WRITABLE },
	[PLACE_ABSENT_DIR] = { S_IFDIR, WRITABLE },
	[PLACE_ABSENT_FILE] = { S_IFREG, SWALLOWS },
	[PLACE_TREES] = { S_IFDIR, WRITABLE },
	[PLACE_TREE_JSON] = { S_IFREG, SWALLOWS },
	[PLACE_FILES] = { S_IFDIR, 0 },
	[PLACE_TYPE] = { S_IFDIR, 0 },
	[PLACE_ORG] = { S_IFDIR, NAMES_ONLY },
	[PLACE_PLAIN_DIR] = { S_IFDIR, FINAL },
	[PLACE_SCRATCH] = { 0, WRITABLE },
};

static bool has(const struct place *p, enum trait t)
{
	return kinds[p->kind].traits & t;
}

bool place_writable(const struct place *p)
{
	return has(p, WRITABLE);
}

bool place_swallows(const struct place *p)
{
	return has(p, SWALLOWS);
}

bool place_is_final(const struct place *p)
{
	return has(p, FINAL);
}

bool place_lists_names(const struct place *dir)
{
	return has(dir, NAMES_ONLY);
}

mode_t place_format(const struct place *p)
{
	struct stat st;

	if (kinds[p->kind].format)
		return kinds[p->kind].format;
	scratch_stat(p->scratch, p->written, &st);
	return st.st_mode & S_IFMT;
}

bool place_shares(const struct place *dir)
{
	return dir->kind == PLACE_SCRATCH ? dir->shared : dir->kind != PLACE_ROOT;
}

struct place place_written(const struct place *dir, struct scratch *s, struct scratch_node *n)
{
	return (struct place){
		.kind = PLACE_SCRATCH,
		.scratch = s,
		.written = n,
		.shared = place_shares(dir),
	};
}

void place_etag(const struct place *p, char ret[static DIGEST_HEX_MAX + 1])
{
	manifest_etag(file_of(p), ret);
}

void place_tell(const struct place *p, struct buf *ret)
{
	if (p->snapshot) {
		buf_printf(ret, " repo=%s commit=%.12s path=", repo_key(p->snapshot->repo),
			   p->snapshot->commit);
		manifest_path(p->snapshot->files, p->node, ret);
	} else if (p->repo) {
		buf_printf(ret, " repo=%s", repo_key(p->repo));
	}
}

int place_scratch_path(const struct place *p, struct buf *ret)
{
	char folder[REPO_FOLDER_MAX + 1] = "";

	if (p->repo)
		repo_id_folder(repo_id_of(p->repo), folder);
	switch (p->kind) {
	case PLACE_HUB:
		return buf_add_str(ret, "hub");
	case PLACE_LOCKS:
		return buf_printf(ret, "hub/" PLACE_LOCKS_NAME "%s%s", p->name ? "/" : "",
				  p->name ? p->name : "");
	case PLACE_REFS:
		return buf_printf(ret, "hub/%s/refs%s%s", folder, p->name[0] ? "/" : "", p->name);
	case PLACE_NO_EXIST:
		return buf_printf(ret, "hub/%s/.no_exist", folder);
	case PLACE_ABSENT_DIR:
		return buf_printf(ret, "hub/%s/.no_exist/%s%s%s", folder, p->snapshot->commit,
				  p->name[0] ? "/" : "", p->name);
	case PLACE_TREES:
		return buf_printf(ret, "hub/%s/trees", folder);
	default:
		return 0;
	}
}

int place_split_files_name(enum repo_type type, const char *org, const char *text,
			   struct repo_id *ret, const char **ret_rev)
{
	const char *at = strchr(text, '@');
	char id[REPO_NAME_MAX + 1];
	int len = at ? (int)(at - text) : (int)strlen(text);

	if (snprintf(id, sizeof(id), "%s/%.*s", org, len, text) >= (int)sizeof(id))
		return -EINVAL;
	*ret_rev = at ? at + 1 : "main";
	if (!revision_valid(*ret_rev))
		return -EINVAL;
	return repo_id_parse(type, id, ret);
}
