/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ops.h"

#include "daemon/base/log.h"
#include "daemon/base/workers.h"

#define BACKGROUND_MAX 128 /* requests the kernel may have under way; replies need no thread */
#define FORGETTING_THREADS 8
#define FORGETTING_MAX 1024

static bool want(struct fuse_conn_info *conn, uint64_t capability)
{
#if FUSE_MINOR_VERSION >= 17
	return fuse_set_feature_flag(conn, capability);
#else
	if (!(conn->capable & capability))
		return false;
	conn->want |= (unsigned)capability;
	return true;
#endif
}

static void drop(struct fuse_conn_info *conn, uint64_t capability)
{
#if FUSE_MINOR_VERSION >= 17
	fuse_unset_feature_flag(conn, capability);
#else
	conn->want &= ~(unsigned)capability;
#endif
}

/* Verified files are the kernel's to read, if all three agree: options, library, kernel. */
static void init_passthrough(struct ops *ops, struct fuse_conn_info *conn)
{
#ifdef FUSE_CAP_PASSTHROUGH
	const char *why_not = NULL;

	if (!ops->passthrough)
		why_not = "switched off";
	else if (!want(conn, FUSE_CAP_PASSTHROUGH))
		why_not = "not offered by this kernel";
	else
		conn->max_backing_stack_depth = 1;
#else
	const char *why_not = "built with a FUSE library without it";

	(void)conn;
#endif
	ops->passthrough = !why_not;
	ops->passthrough_why_not = why_not;
	if (why_not)
		log_info("passthrough=no reason=\"%s\"", why_not);
}

static void ops_init(void *userdata, struct fuse_conn_info *conn)
{
	struct ops *ops = userdata;

	ops->fuse_major = conn->proto_major;
	ops->fuse_minor = conn->proto_minor;
	conn->max_background = BACKGROUND_MAX;
	conn->congestion_threshold = BACKGROUND_MAX * 3 / 4;
	want(conn, FUSE_CAP_READDIRPLUS);
	want(conn, FUSE_CAP_READDIRPLUS_AUTO);
	want(conn, FUSE_CAP_PARALLEL_DIROPS);
	want(conn, FUSE_CAP_CACHE_SYMLINKS);
	want(conn, FUSE_CAP_ASYNC_READ);
	want(conn, FUSE_CAP_ASYNC_DIO);
	want(conn, FUSE_CAP_ATOMIC_O_TRUNC);
	/* Blobs never change under one inode: a new mtime must not drop their pages. */
	drop(conn, FUSE_CAP_AUTO_INVAL_DATA);
	init_passthrough(ops, conn);
}

static void tell_kernel(void *arg, uint64_t number)
{
	struct ops *ops = arg;

	fuse_lowlevel_notify_inval_inode(ops->session, number, 0, 0);
}

/* On threads of their own: the kernel waits there for the READs of the file that are under way, and
 * those may wait for the very thread that found the bytes wrong. A file whose hub hangs is in the
 * way of itself alone. What finds no room there is told by its next wrong digest. */
void ops_forget_pages(struct ops *ops, const char *etag)
{
	uint64_t number = inodes_find_blob(ops->inodes, etag);
	const struct work work = {
		.fn = tell_kernel, .arg = ops, .number = number, .lane = number
	};

	if (number && workers_add(ops->forgetting, &work) < 0)
		log_debug("the kernel keeps pages of etag=%s for now", etag);
}

/* What is sealed is right; but what was wrong once may be right only since, and its pages older. */
static bool is_right(struct ops *ops, uint64_t number)
{
	CLEANUP(place_fini) struct place place = { 0 };
	char etag[DIGEST_HEX_MAX + 1];
	struct node_blob blob;

	if (inodes_place(ops->inodes, number, &place) < 0 || place.kind != PLACE_BLOB)
		return false;
	place_etag(&place, etag);
	node_blob(ops->view.node, etag, manifest_file(place.snapshot->files, place.node)->size,
		  &blob);
	return blob.sealed && !blob.was_wrong;
}

/* Where no thread is free it is told here, and waits itself. */
static void forget_left(void *arg, uint64_t unused UNUSED)
{
	struct ops *ops = arg;

	for (size_t i = 0; i < ops->left_blob_count; i++) {
		uint64_t number = ops->left_blobs[i];
		const struct work work = {
			.fn = tell_kernel, .arg = ops, .number = number, .lane = number
		};

		if (!is_right(ops, number) && workers_add(ops->forgetting, &work) < 0)
			tell_kernel(ops, number);
	}
}

void ops_forget_left(struct ops *ops)
{
	const struct work work = { .fn = forget_left, .arg = ops };

	if (ops->left_blob_count && workers_add(ops->forgetting, &work) < 0)
		log_debug("the kernel keeps the pages it has");
}

int ops_start_forgetting(struct ops *ops)
{
	const struct workers_conf conf = { "mfs-forget", FORGETTING_THREADS, FORGETTING_MAX, true };

	return workers_start(&conf, &ops->forgetting);
}

void ops_table(struct fuse_lowlevel_ops *ret)
{
	*ret = (struct fuse_lowlevel_ops){ .init = ops_init };
	ops_add_names(ret);
	ops_add_dir(ret);
	ops_add_file(ret);
	ops_add_write(ret);
}
