/* SPDX-License-Identifier: Apache-2.0 */
/* git's objects as the bytes that git hashes, keeps and sends ("Git Internals: Git Objects",
 * gitformat-commit(5)), and the pointers of git-lfs. What is printed here has the id that git would
 * give it: digest_git_object of "tree", "commit" or "blob". Pure. */
#ifndef MATRIXFS_GITOBJECT_H
#define MATRIXFS_GITOBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/buf.h"

#define GIT_ID 20          /* bytes of an id */
#define GIT_PARENTS_MAX 16 /* of one commit */
#define GIT_POINTER_MAX 160

/* All that git knows; others are in no tree. */
enum git_mode {
	GIT_DIRECTORY = 0040000,
	GIT_FILE = 0100644,
	GIT_EXECUTABLE = 0100755,
	GIT_LINK = 0120000,
	GIT_SUBMODULE = 0160000,
};

/* Borrowed from whoever made it; those that are read, from the bytes of their tree. */
struct git_entry {
	enum git_mode mode;
	const char *name;
	const uint8_t *id; /* GIT_ID bytes */
};

struct git_person {
	const char *name, *email;
	int64_t at_s; /* seconds since 1970 */
	int zone_min; /* minutes east of Greenwich */
};

struct git_commit {
	uint8_t tree[GIT_ID];
	uint8_t parents[GIT_PARENTS_MAX][GIT_ID];
	unsigned parent_count;
	struct git_person author, committer;
	const char *message; /* as it is: git ends it with a newline, hubs need not */
};

/* True if a tree may hold that name: not empty, no slash, neither "." nor "..", nor one that git
 * keeps for itself (".git", however it is written). */
bool git_name_valid(const char *name);
/* True if a file may lie there: such names between single slashes, none longer than
 * MANIFEST_NAME_MAX. */
bool git_path_valid(const char *path);

/* Puts the entries into git's order and appends their tree. -EINVAL if a name is empty or holds a
 * slash, or a mode is none, -EEXIST if two have the same, -ENOMEM. */
MUST_USE int git_tree_print(struct git_entry *list, size_t count, struct buf *ret);
/* The entry at *at of a tree, with *left bytes to its end, behind which both go. 1; 0 at the end;
 * ERR_CORRUPT if it is no entry. */
MUST_USE int git_tree_next(const char **at, size_t *left, struct git_entry *ret);
/* All entries of a tree, owned, which borrow from its bytes. ERR_CORRUPT also if they are not in
 * git's order; -ENOMEM. */
MUST_USE int git_tree_list(const char *bytes, size_t len, struct git_entry **ret,
			   size_t *ret_count);
/* Below, at or above 0: which of two entries comes first in a tree. */
int git_entry_order(const struct git_entry *a, const struct git_entry *b);
/* The one of that name in a list in git's order: a directory, or anything else. NULL. */
const struct git_entry *git_entry_find(const struct git_entry *list, size_t count, const char *name,
				       bool directory);

/* Appends a commit. From names and addresses goes what git would take out of them. -EINVAL if
 * there are too many parents or a time is none, -ENOMEM. */
MUST_USE int git_commit_print(const struct git_commit *c, struct buf *ret);
/* Reads a commit; what ret holds lies in its bytes, which are cut with NULs for that. Fields of its
 * head that git_commit has not are passed over. ERR_CORRUPT. */
MUST_USE int git_commit_parse(struct buf *bytes, struct git_commit *ret);

/* Appends the text that stands in a tree for a file of git-lfs: at most GIT_POINTER_MAX bytes. */
int git_pointer_print(const uint8_t sha256[static 32], uint64_t size, struct buf *ret);
/* True if the bytes are such a text, to the byte. */
bool git_pointer_parse(const void *data, size_t len, uint8_t ret_sha256[static 32],
		       uint64_t *ret_size);

#endif
