/* SPDX-License-Identifier: Apache-2.0 */
/* One commit's files. A manifest is built from the hub's tree pages, checked as a whole, and then
 * never changes: a tree of nodes whose children are in natural order, with an index by path and by
 * etag.
 *
 * Pure: text or packed bytes in, nodes out. Paths that could leave the tree ("..", absolute,
 * empty or over-long components, non-UTF-8, a file that is also a directory) refuse the whole
 * listing, unless its builder is lenient. Threads: a finished manifest may be read by any. */
#ifndef MATRIXFS_MANIFEST_H
#define MATRIXFS_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/base/buf.h"
#include "daemon/base/digest.h"

#define MANIFEST_ROOT 0
#define MANIFEST_NONE UINT32_MAX
#define MANIFEST_PATH_MAX 1024 /* bytes of a whole path */
#define MANIFEST_NAME_MAX 255  /* bytes of a component (NAME_MAX) */
#define MANIFEST_FILES_MAX 10000000

struct manifest;
struct manifest_builder;

/* What identifies a file's bytes. */
struct manifest_file {
	uint64_t size;
	enum digest_kind kind;            /* SHA-256 for LFS, git blob SHA-1 otherwise */
	uint8_t digest[DIGEST_BYTES_MAX]; /* digest_size(kind) bytes; its hex is the etag */
	uint8_t oid[20];                  /* git object id; for LFS that of its pointer */
};

/* 0 if a file may have that path; else ERR_HOSTILE, and `why` says what is wrong with it. */
MUST_USE int manifest_check_path(const char *path, struct buf *why);
/* Makes an empty builder. 0 or -ENOMEM. */
MUST_USE int manifest_builder_new(struct manifest_builder **ret);
void manifest_builder_free(struct manifest_builder *b);
void manifest_builder_freep(struct manifest_builder **b);
/* From now on what must not be shown, makes no sense, or stands in the way of another file is left
 * out, and the rest is a listing; `why` tells of the first. How many were left out so far. */
void manifest_builder_be_lenient(struct manifest_builder *b);
uint32_t manifest_builder_left_out(const struct manifest_builder *b);
/* Adds one page of GET /api/.../tree/...?recursive=true (directories in it are skipped).
 * ERR_PROTO (not such a page), ERR_HOSTILE (a path that must not be shown; `why` says which). */
MUST_USE int manifest_builder_page(struct manifest_builder *b, const char *json, size_t len,
				   struct buf *why);
/* Adds one file. ERR_HOSTILE as above, -ENOMEM. */
MUST_USE int manifest_builder_add(struct manifest_builder *b, const char *path,
				  const struct manifest_file *file, struct buf *why);
/* Sorts, checks for conflicts and makes the manifest; the builder may only be freed afterwards. */
MUST_USE int manifest_builder_finish(struct manifest_builder *b, struct manifest **ret,
				     struct buf *why);

/* Packs to bytes for the catalog and back (docs/formats.md, "manifest"). unpack trusts nothing:
 * ERR_CORRUPT, ERR_FORMAT (newer version). */
MUST_USE int manifest_pack(const struct manifest *m, struct buf *ret);
MUST_USE int manifest_unpack(const void *data, size_t len, struct manifest **ret);
void manifest_free(struct manifest *m);
void manifest_freep(struct manifest **m);

/* Nodes are 0 ... count-1; 0 is the root directory. Children of a node are consecutive. */
uint32_t manifest_count(const struct manifest *m);
uint32_t manifest_file_count(const struct manifest *m);
uint64_t manifest_total_bytes(const struct manifest *m);
/* A node's last component; borrowed as long as the manifest. "" for the root. */
const char *manifest_name(const struct manifest *m, uint32_t node);
uint32_t manifest_parent(const struct manifest *m, uint32_t node);
/* Its file, or NULL for a directory. */
const struct manifest_file *manifest_file(const struct manifest *m, uint32_t node);
/* First child and number of children, in natural order ("layer2" before "layer10"). */
uint32_t manifest_children(const struct manifest *m, uint32_t node, uint32_t *ret_count);
/* Number of components above the node's own (0 for children of the root). */
unsigned manifest_depth(const struct manifest *m, uint32_t node);
/* The child of that name, or MANIFEST_NONE. */
uint32_t manifest_child(const struct manifest *m, uint32_t node, const char *name, size_t len);
/* The node of a whole path ("": the root), or MANIFEST_NONE. */
uint32_t manifest_find(const struct manifest *m, const char *path);
/* Some file with this etag (hex of its digest), or MANIFEST_NONE. */
uint32_t manifest_find_etag(const struct manifest *m, const char *etag);
/* Appends the node's whole path. */
int manifest_path(const struct manifest *m, uint32_t node, struct buf *ret);
/* The etag of a file: hex of its digest. */
void manifest_etag(const struct manifest_file *f, char ret[static DIGEST_HEX_MAX + 1]);
/* Appends the cache's trees/<commit>.json (format 1) of huggingface_hub. */
int manifest_tree_json(const struct manifest *m, struct buf *ret);
/* Natural order of two names: digit runs compare as numbers, then bytewise. */
int manifest_natural(const char *a, const char *b);

#endif
