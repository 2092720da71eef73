/* SPDX-License-Identifier: Apache-2.0 */
/* One spot of the shown tree: what a name means, whatever path led there. A place owns what it
 * points to (a count of a snapshot or scratch node, a string) and can be copied, compared and
 * keyed.
 *
 *   /                                        PLACE_ROOT        writable: HF_HOME files
 *   /hub                                     PLACE_HUB         writable: locks, CACHEDIR.TAG
 *   /hub/.locks[/models--ORG--NAME]          PLACE_LOCKS       writable; name: of the folder
 *   /hub/models--ORG--NAME                   PLACE_REPO        (datasets--, spaces-- likewise)
 *   /hub/models--OLD--NAME                   PLACE_ALIAS       symlink: renamed, or another case
 *   .../blobs, snapshots                     PLACE_BLOBS, PLACE_SNAPSHOTS
 *   .../refs, refs/refs/pr                   PLACE_REFS        writable; name: "" or "refs/pr"
 *   .../refs/main                            PLACE_REF         name: "main"
 *   .../snapshots/COMMIT[/sub]               PLACE_LINK_DIR
 *   .../snapshots/COMMIT/file                PLACE_LINK        symlink into blobs
 *   .../blobs/ETAG, /files/ORG/NAME/file     PLACE_BLOB        one inode, whatever shows it
 *   .../.no_exist                            PLACE_NO_EXIST    writable
 *   .../.no_exist/COMMIT[/dir], /file        PLACE_ABSENT_DIR, PLACE_ABSENT_FILE; name: path
 *   .../trees, trees/COMMIT.json             PLACE_TREES (writable), PLACE_TREE_JSON
 *   /files, /files/datasets, /files/ORG      PLACE_FILES, PLACE_TYPE, PLACE_ORG (name)
 *   /files/ORG/NAME[@REV][/sub]              PLACE_PLAIN_DIR
 *   written by clients                       PLACE_SCRATCH
 *
 * No FUSE in here. Threads: a place is its owner's. */
#ifndef MATRIXFS_PLACE_H
#define MATRIXFS_PLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "daemon/base/buf.h"
#include "daemon/names/known.h"
#include "fs/scratch.h"

#define PLACE_HUB_NAME "hub"
#define PLACE_FILES_NAME "files"
#define PLACE_LOCKS_NAME ".locks" /* in hub/: clients lock what they fetch there */

/* Numbers stay what they are: they are left to another process, and inode numbers are made of them.
 */
enum place_kind {
	PLACE_ROOT = 0,
	PLACE_HUB = 1,
	PLACE_LOCKS = 2,
	PLACE_REPO = 3,
	PLACE_ALIAS = 4,
	PLACE_BLOBS = 5,
	PLACE_SNAPSHOTS = 6,
	PLACE_REFS = 7,
	PLACE_REF = 8,
	PLACE_LINK_DIR = 9,
	PLACE_LINK = 10,
	PLACE_BLOB = 11,
	PLACE_NO_EXIST = 12,
	PLACE_ABSENT_DIR = 13,
	PLACE_ABSENT_FILE = 14,
	PLACE_TREES = 15,
	PLACE_TREE_JSON = 16,
	PLACE_FILES = 17,
	PLACE_TYPE = 18,
	PLACE_ORG = 19,
	PLACE_PLAIN_DIR = 20,
	PLACE_SCRATCH = 21,
};

struct place {
	enum place_kind kind;
	enum repo_type type;          /* PLACE_TYPE, PLACE_ORG */
	uint32_t node;                /* of snapshot->files */
	struct repo *repo;            /* borrowed for good */
	struct snapshot *snapshot;    /* owned, or NULL */
	char *name;                   /* owned, or NULL */
	struct scratch *scratch;      /* where the next belongs; borrowed for good */
	struct scratch_node *written; /* owned; PLACE_SCRATCH */
	bool shared;                  /* PLACE_SCRATCH: below hub/, so anybody's */
};

/* What is in each PLACE_REPO. */
#define PLACE_PARTS 5
extern const struct place_part {
	const char *name;
	enum place_kind kind;
} place_parts[PLACE_PARTS];

/* Gives back what a place owns / makes a copy that owns its own. -ENOMEM. */
void place_fini(struct place *p);
MUST_USE int place_copy(const struct place *from, struct place *ret);
/* The same spot? */
bool place_same(const struct place *a, const struct place *b);
/* A number from the identity of the spot, equal on every node and after every restart (scratch
 * files aside): the wanted inode number. Never 0 or 1, but 1 for the root. */
uint64_t place_number(const struct place *p);

/* S_IFDIR, S_IFREG or S_IFLNK. */
mode_t place_format(const struct place *p);
/* A place for what a client wrote in directory `dir` (the node is taken). */
struct place place_written(const struct place *dir, struct scratch *s, struct scratch_node *n);
/* True if the tree shows that name in its root by itself. */
bool place_is_top_name(const char *name);
/* True if a client wrote it, and it has no name any more. */
bool place_is_removed(const struct place *p);
/* The place of a node of the manifest in a commit's directory; owned. */
struct place place_child(const struct place *dir, uint32_t node);
/* True if what is written in this directory is anybody's, false if its owner's. */
bool place_shares(const struct place *dir);
/* True if clients may write metadata in this directory. */
bool place_writable(const struct place *p);
/* True if it is a made-up file that swallows what clients write to it. */
bool place_swallows(const struct place *p);
/* True if it is a directory that will list the same for ever. */
bool place_is_final(const struct place *p);
/* True if what the directory lists are names alone: looked up, one becomes a commit. */
bool place_lists_names(const struct place *dir);
/* The etag of a PLACE_BLOB or PLACE_LINK. */
void place_etag(const struct place *p, char ret[static DIGEST_HEX_MAX + 1]);
/* Appends what is known of it, for the log: " repo=... commit=... path=...". */
void place_tell(const struct place *p, struct buf *ret);
/* Appends the path, below the mount point and without leading '/', of a writable place that is no
 * PLACE_SCRATCH: where its scratch directory is. */
int place_scratch_path(const struct place *p, struct buf *ret);

/* Splits "NAME[@REV]" of /files/ORG: -EINVAL if either part cannot be one. *ret_rev points into
 * text, or is "main". */
MUST_USE int place_split_files_name(enum repo_type type, const char *org, const char *text,
				    struct repo_id *ret, const char **ret_rev);

#endif
