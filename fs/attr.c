/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attr.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define MODE_DIR_RO (S_IFDIR | 0555)
#define MODE_DIR_RW (S_IFDIR | 0755)
#define MODE_FILE_RO (S_IFREG | 0444)
#define MODE_FILE_RW (S_IFREG | 0644)
#define MODE_LINK (S_IFLNK | 0777)

#define TTL_UNTOUCHED_MS 10000 /* of a blob of which nothing is cached */

static const struct manifest_file *file_of(const struct place *p)
{
	assert(p->snapshot);
	return manifest_file(p->snapshot->files, p->node);
}

static void set_size(struct stat *st, uint64_t size, uint64_t present)
{
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)((present + 511) / 512);
}

/* While a blob is incomplete its block count changes with every chunk. One that nobody has read
 * yet may be asked about again and again by who walks a large repository: a read of it makes the
 * kernel forget its attributes by itself. */
static int64_t blob_ttl_ms(const struct node_blob *blob)
{
	return blob->sealed ? VIEW_FOREVER : blob->disk_bytes ? VIEW_NEVER : TTL_UNTOUCHED_MS;
}

static void stat_blob(const struct view *v, const struct place *p, struct stat *st,
		      int64_t *ret_ttl_ms)
{
	const struct manifest_file *f = file_of(p);
	char etag[DIGEST_HEX_MAX + 1];
	struct node_blob blob;

	place_etag(p, etag);
	node_blob(v->node, etag, f->size, &blob);
	st->st_mode = MODE_FILE_RO;
	/* Who keeps bytes by that time is not to keep those that were wrong. */
	st->st_mtim.tv_nsec = blob.was_wrong;
	st->st_ctim = st->st_mtim;
	set_size(st, f->size, blob.sealed ? f->size : blob.disk_bytes);
	*ret_ttl_ms = blob_ttl_ms(&blob);
}

static int stat_link(const struct place *p, struct stat *st)
{
	CLEANUP(buf_free) struct buf target = { 0 };
	int r = attr_link(p, &target);

	st->st_mode = MODE_LINK;
	set_size(st, target.len, 0);
	return r;
}

/* Files that are made up swallow what is written to them. */
static mode_t text_mode(const struct view *v)
{
	return v->strict_ro ? MODE_FILE_RO : MODE_FILE_RW;
}

/* The text is long for a large commit, so its length is only found out once. */
static int json_bytes(struct snapshot *s, uint64_t *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = 0;

	*ret = atomic_load(&s->json_bytes);
	if (*ret == 0) {
		r = manifest_tree_json(s->files, &text);
		*ret = text.len;
		atomic_store(&s->json_bytes, r < 0 ? 0 : text.len);
	}
	return r;
}

static int stat_tree_json(const struct view *v, const struct place *p, struct stat *st)
{
	uint64_t bytes;
	int r;

	assert(p->snapshot);
	r = json_bytes(p->snapshot, &bytes);
	st->st_mode = text_mode(v);
	set_size(st, bytes, bytes);
	return r;
}

int attr_stat(const struct view *v, const struct place *p, struct stat *st, int64_t *ret_ttl_ms)
{
	*st = (struct stat){
		.st_nlink = 1, .st_uid = v->uid, .st_gid = v->gid, .st_blksize = 1 << 20
	};
	*ret_ttl_ms = VIEW_FOREVER;
	st->st_mtim.tv_sec = p->snapshot ? p->snapshot->date_s : v->since_s;
	st->st_atim = st->st_ctim = st->st_mtim;
	switch (p->kind) {
	case PLACE_SCRATCH:
		scratch_stat(v->scratch, p->written, st);
		*ret_ttl_ms = VIEW_NEVER;
		return 0;
	case PLACE_BLOB:
		stat_blob(v, p, st, ret_ttl_ms);
		return 0;
	case PLACE_LINK:
	case PLACE_ALIAS:
		return stat_link(p, st);
	case PLACE_TREE_JSON:
		return stat_tree_json(v, p, st);
	case PLACE_REF:
		st->st_mode = text_mode(v);
		set_size(st, COMMIT_HEX, COMMIT_HEX);
		*ret_ttl_ms = VIEW_NEVER;
		return 0;
	case PLACE_ABSENT_FILE:
		st->st_mode = text_mode(v);
		return 0;
	default:
		st->st_nlink = 2;
		st->st_mode = place_writable(p) && !v->strict_ro ? MODE_DIR_RW : MODE_DIR_RO;
		return 0;
	}
}

/* snapshots/COMMIT/a/b/file -> ../../../../blobs/ETAG: two up from the commit's own directory. */
static int link_to_blob(const struct place *p, struct buf *ret)
{
	char etag[DIGEST_HEX_MAX + 1];

	assert(p->snapshot);
	for (unsigned up = manifest_depth(p->snapshot->files, p->node) + 2; up > 0; up--)
		buf_add_str(ret, "../");
	place_etag(p, etag);
	return buf_printf(ret, "blobs/%s", etag) < 0 || ret->failed ? -ENOMEM : 0;
}

int attr_link(const struct place *p, struct buf *ret)
{
	char folder[REPO_FOLDER_MAX + 1];

	switch (p->kind) {
	case PLACE_LINK:
		return link_to_blob(p, ret);
	case PLACE_ALIAS:
		repo_id_folder(repo_id_of(repo_canonical(p->repo)), folder);
		return buf_add_str(ret, folder);
	case PLACE_SCRATCH:
		if (scratch_target(p->written))
			return buf_add_str(ret, scratch_target(p->written));
		return -EINVAL;
	default:
		return -EINVAL;
	}
}

int attr_text(const struct view *v, const struct place *p, struct waiter *w, struct buf *ret)
{
	char commit[COMMIT_HEX + 1];
	int r;

	switch (p->kind) {
	case PLACE_REF:
		r = node_ref(v->node, p->repo, p->name, w, commit);
		return r == 0 ? buf_add(ret, commit, COMMIT_HEX)
			      : r; /* no newline: rule of readers */
	case PLACE_TREE_JSON:
		return manifest_tree_json(p->snapshot->files, ret);
	default:
		return 0;
	}
}

#define XATTR_SPACE "user."
#define XATTR_PREFIX XATTR_SPACE "matrixfs."
static const char *const xattr_names[] = { "etag", "present", "source", "sealed" };

int attr_xattr(const struct view *v, const struct place *p, const char *name, struct buf *ret)
{
	char etag[DIGEST_HEX_MAX + 1];
	struct node_blob blob;

	/* That there are no labels and ACLs at all saves programs the question for each file. */
	if (strncmp(name, XATTR_SPACE, strlen(XATTR_SPACE)) != 0)
		return -EOPNOTSUPP;
	if (p->kind != PLACE_BLOB || strncmp(name, XATTR_PREFIX, strlen(XATTR_PREFIX)) != 0)
		return -ENODATA;
	name += strlen(XATTR_PREFIX);
	place_etag(p, etag);
	node_blob(v->node, etag, file_of(p)->size, &blob);
	if (strcmp(name, "etag") == 0)
		return buf_add_str(ret, etag);
	if (strcmp(name, "present") == 0)
		return buf_printf(
			ret, "%llu",
			(unsigned long long)node_present_bytes(v->node, etag, file_of(p)->size));
	if (strcmp(name, "source") == 0)
		return buf_add_str(ret, blob.source);
	if (strcmp(name, "sealed") == 0)
		return buf_add_str(ret, blob.sealed ? "1" : "0");
	return -ENODATA;
}

int attr_xattr_names(const struct place *p, struct buf *ret)
{
	if (p->kind != PLACE_BLOB)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(xattr_names); i++) {
		buf_add_str(ret, XATTR_PREFIX);
		buf_add(ret, xattr_names[i], strlen(xattr_names[i]) + 1);
	}
	return ret->failed;
}
