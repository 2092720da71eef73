/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded writable corner: a small file system in memory that takes the metadata clients insist
 * on writing (locks, refs in the making, .no_exist marks, modules, tokens). It mirrors the paths of
 * the shown tree: the files written in hub/models--a--b/refs live in its directory of that path.
 * When it is full the oldest file that nobody has open, or directory with nothing in it, is
 * forgotten, so that writing metadata does not fail; only what cannot fit at all is refused with
 * -ENOSPC. What lies below hub/, and what beside it, each have half of the room for themselves, and
 * of the rest what the other does not use. Nothing survives the process, but for one that comes
 * after it and has its estate. No FUSE in here. Threads: any. Owned nodes are counted: unref each
 * one returned. */
#ifndef MATRIXFS_SCRATCH_H
#define MATRIXFS_SCRATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "daemon/base/buf.h"
#include "fs/estate.h"

struct scratch;
struct scratch_node;

struct scratch_conf {
	uint64_t max_bytes; /* of file contents */
	uint64_t max_nodes;
	uid_t uid; /* owner of directories made by scratch_dir */
	gid_t gid;
};

/* An empty tree. -ENOMEM. */
MUST_USE int scratch_new(const struct scratch_conf *conf, struct scratch **ret);
/* All nodes must have been given back. */
void scratch_free(struct scratch *s);

/* From now on what is in it is left to the next process, and what the one before left in this
 * estate (borrowed until scratch_free) is here. Once, while it is empty. All of that counts as open
 * until scratch_inherited, which is to be called once when those who have it open have said so. */
MUST_USE int scratch_inherit(struct scratch *s, struct estate *e);
void scratch_inherited(struct scratch *s);

/* One more reference, for who has one; and one less, after which the node is not touched. */
struct scratch_node *scratch_ref(struct scratch_node *n);
void scratch_unref(struct scratch *s, struct scratch_node *n);
/* A number that no other node of this scratch has or had. */
uint64_t scratch_id(const struct scratch_node *n);
/* The node of that number, owned, if it has a name or is open: -ENOENT. */
MUST_USE int scratch_by_id(struct scratch *s, uint64_t id, struct scratch_node **ret);

/* Appends where a node is, below the root and without leading '/': by the first of its names.
 * -ENOENT: it has none any more; -ENAMETOOLONG: it lies too deep. */
MUST_USE int scratch_path(struct scratch *s, const struct scratch_node *n, struct buf *ret);

/* The directory that a node is in, by the first of its names, owned; and whether that was made by
 * scratch_dir, as if it were by the root. -ENOENT as above. */
MUST_USE int scratch_parent(struct scratch *s, const struct scratch_node *n,
			    struct scratch_node **ret, bool *ret_mirrors);

/* The directory that mirrors a path of the shown tree ("" is the root, "hub/.locks"), with those
 * above it made as needed when `make` is set; what was made so goes before all else when there is
 * no room, as soon as nothing lies in it. -ENOENT, -ENOTDIR, -ENOSPC (too many nodes), -ENOMEM. */
MUST_USE int scratch_dir(struct scratch *s, const char *path, bool make, struct scratch_node **ret);
/* The entry of a directory. -ENOENT, -ENOTDIR. */
MUST_USE int scratch_find(struct scratch *s, struct scratch_node *dir, const char *name,
			  struct scratch_node **ret);
/* Makes a regular file, directory (mode says which) or, with target, a symbolic link. Bits of
 * setuid and setgid are dropped, as by scratch_set. -EEXIST, -ENOTDIR, -ENAMETOOLONG,
 * -EINVAL (no name), -ENOSPC (too many nodes), -ENOENT (dir was removed). */
MUST_USE int scratch_make(struct scratch *s, struct scratch_node *dir, const char *name,
			  mode_t mode, uid_t uid, gid_t gid, const char *target,
			  struct scratch_node **ret);
/* Removes a file or link / an empty directory. -ENOENT, -EISDIR / -ENOTDIR, -ENOTEMPTY. */
MUST_USE int scratch_unlink(struct scratch *s, struct scratch_node *dir, const char *name);
MUST_USE int scratch_rmdir(struct scratch *s, struct scratch_node *dir, const char *name);
/* rename(2) with RENAME_NOREPLACE allowed in flags; -EINVAL for other flags and for a directory
 * moved below itself, -EXDEV from below hub/ to beside it and back. */
MUST_USE int scratch_rename(struct scratch *s, struct scratch_node *from, const char *from_name,
			    struct scratch_node *to, const char *to_name, unsigned flags);
/* A second name for a file. -EPERM for a directory, -EEXIST, -EXDEV as above. */
MUST_USE int scratch_link(struct scratch *s, struct scratch_node *n, struct scratch_node *dir,
			  const char *name);

/* An open file is not forgotten. Each open is paired with a close; a file without a name and
 * without an open loses its content, whatever references there are. */
void scratch_open(struct scratch *s, struct scratch_node *n);
void scratch_close(struct scratch *s, struct scratch_node *n);
/* Bytes read (0 at the end), bytes written, -EISDIR, -EINVAL (a link), -ENOSPC, -EFBIG, -ESTALE
 * (not open, and forgotten or removed since it was looked up). Gaps read as zeros. */
MUST_USE int64_t scratch_read(struct scratch *s, struct scratch_node *n, void *ret, size_t len,
			      uint64_t off);
MUST_USE int64_t scratch_write(struct scratch *s, struct scratch_node *n, const void *data,
			       size_t len, uint64_t off);
MUST_USE int scratch_truncate(struct scratch *s, struct scratch_node *n, uint64_t size);
/* Mode bits, owner, times (UTIME_OMIT honoured); NULL or -1 leaves a value as it is. */
void scratch_set(struct scratch *s, struct scratch_node *n, const mode_t *mode, uid_t uid,
		 gid_t gid, const struct timespec times[2]);
/* st_mode, st_nlink, st_uid, st_gid, st_size, st_blocks and times; st_ino is the caller's. */
void scratch_stat(struct scratch *s, struct scratch_node *n, struct stat *ret);
/* The text of a symbolic link; borrowed until the node is given back; NULL for others. */
const char *scratch_target(const struct scratch_node *n);

/* Calls fn for a snapshot of a directory's entries, by name order, until it returns non-zero; the
 * node is borrowed during the call. */
typedef int (*scratch_each_fn)(void *arg, const char *name, struct scratch_node *n);
int scratch_each(struct scratch *s, struct scratch_node *dir, scratch_each_fn fn, void *arg);
/* Bytes and nodes in use. */
void scratch_used(struct scratch *s, uint64_t *ret_bytes, uint64_t *ret_nodes);

#endif
