/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/insight.h"

#include <errno.h>

#include "fs/resolve.h"

struct search {
	struct ops *ops;
	void (*found)(void *ctx, int r, const struct control_file *f);
	void *ctx;
};

static const char *const kind_names[] = {
	[PLACE_ROOT] = "directory",
	[PLACE_HUB] = "directory",
	[PLACE_LOCKS] = "directory",
	[PLACE_REPO] = "repository",
	[PLACE_ALIAS] = "alias",
	[PLACE_BLOBS] = "directory",
	[PLACE_SNAPSHOTS] = "directory",
	[PLACE_REFS] = "directory",
	[PLACE_REF] = "ref",
	[PLACE_LINK_DIR] = "directory",
	[PLACE_LINK] = "link",
	[PLACE_BLOB] = "file",
	[PLACE_NO_EXIST] = "directory",
	[PLACE_ABSENT_DIR] = "directory",
	[PLACE_ABSENT_FILE] = "absence",
	[PLACE_TREES] = "directory",
	[PLACE_TREE_JSON] = "listing",
	[PLACE_FILES] = "directory",
	[PLACE_TYPE] = "directory",
	[PLACE_ORG] = "directory",
	[PLACE_PLAIN_DIR] = "directory",
	[PLACE_SCRATCH] = "written by a client",
};

static void add_use(struct ops *ops, struct control_file *ret)
{
	struct inode_use use;

	inodes_blob_use(ops->inodes, ret->etag, &use);
	ret->opens = use.cached_opens;
	ret->passthrough_opens = use.passthrough_opens;
	ret->reads_hit = use.reads_hit;
	ret->reads_waited = use.reads_waited;
	ret->reader_count =
		openfiles_readers(&ops->files, ret->etag, ret->readers, CONTROL_READERS_MAX);
}

static void on_place(void *arg, int r, struct place *p)
{
	CLEANUP(freep) struct search *s = arg;
	CLEANUP(buf_free) struct buf path = { 0 };
	char etag[DIGEST_HEX_MAX + 1] = "";
	struct control_file f = { .commit = "", .etag = etag };

	if (r < 0) {
		s->found(s->ctx, r, &f);
		return;
	}
	f.kind = kind_names[p->kind];
	f.repo = p->repo ? repo_id_of(p->repo) : NULL;
	if (p->snapshot) {
		f.repo = repo_id_of(p->snapshot->repo);
		f.commit = p->snapshot->commit;
		manifest_path(p->snapshot->files, p->node, &path);
	}
	f.path = buf_str(&path);
	if (p->snapshot && (p->kind == PLACE_BLOB || p->kind == PLACE_LINK)) {
		place_etag(p, etag);
		f.size = manifest_file(p->snapshot->files, p->node)->size;
		add_use(s->ops, &f);
	}
	s->found(s->ctx, 0, &f);
	place_fini(p);
}

static void find(void *arg, const char *path,
		 void (*found)(void *ctx, int r, const struct control_file *f), void *ctx)
{
	struct ops *ops = arg;
	struct control_file none = { .commit = "", .path = "", .etag = "" };
	struct search *s = calloc(1, sizeof(*s));

	if (!s) {
		found(ctx, -ENOMEM, &none);
		return;
	}
	*s = (struct search){ ops, found, ctx };
	resolve(&ops->view, path, ops->timeout_ms, on_place, s);
}

static const char *passthrough_why_not(void *arg)
{
	struct ops *ops = arg;

	return ops->passthrough_why_not;
}

static const char *fuse(void *arg, unsigned *ret_major, unsigned *ret_minor)
{
	struct ops *ops = arg;

	*ret_major = ops->fuse_major;
	*ret_minor = ops->fuse_minor;
	return fuse_pkgversion();
}

static unsigned under_way(void *arg, int64_t *ret_oldest_ms)
{
	struct ops *ops = arg;

	return underway_count(&ops->underway, ret_oldest_ms);
}

static void count(void *arg, struct control_counts *ret)
{
	struct ops *ops = arg;

	ret->inodes = inodes_count(ops->inodes);
	scratch_used(ops->view.scratch, &ret->scratch_bytes, &ret->scratch_nodes);
}

static int each_nfs_client(void *nfs, control_nfs_fn fn, void *ctx)
{
	return nfs_clients_each(nfs, fn, ctx);
}

void insight_face(struct ops *ops, const char *mountpoint, struct nfs_clients *clients,
		  struct control_face *ret)
{
	*ret = (struct control_face){
		.mountpoint = mountpoint,
		.passthrough_why_not = passthrough_why_not,
		.fuse = fuse,
		.under_way = under_way,
		.count = count,
		.find = find,
		.each_nfs_client = clients ? each_nfs_client : NULL,
		.nfs = clients,
		.arg = ops,
	};
}
