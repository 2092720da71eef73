/* SPDX-License-Identifier: Apache-2.0 */
/* The trees of a commit that is being made from another one's. A directory is read when a path
 * leads through it, and printed anew when something in it changed: what a change costs depends on
 * the directories it touches, not on how many files there are. Changes may come in any order: what
 * counts is what is there in the end. Pure but for the functions that read and write.
 * Threads: one at a time. */
#ifndef MATRIXFS_GITTREES_H
#define MATRIXFS_GITTREES_H

#include "admin/git/gitobject.h"

struct git_trees;

/* Appends the bytes of a tree. */
typedef int (*git_trees_read_fn)(void *arg, const uint8_t id[static GIT_ID], struct buf *ret);
typedef int (*git_trees_write_fn)(void *arg, const uint8_t id[static GIT_ID], const void *data,
				  size_t len);

/* From the tree of that id; NULL: from nothing. -ENOMEM. All calls below also fail with what the
 * function returned, and with ERR_CORRUPT if it gave no tree. */
MUST_USE int git_trees_new(const uint8_t *root, git_trees_read_fn fn, void *arg,
			   struct git_trees **ret);
void git_trees_free(struct git_trees *t);
void git_trees_freep(struct git_trees **t);

/* What lies by a path, but for directories: its id, and its mode. -ENOENT. */
MUST_USE int git_trees_find(struct git_trees *t, const char *path, enum git_mode *ret_mode,
			    uint8_t ret[static GIT_ID]);
/* The file of that path, in the place of the one that is there. */
MUST_USE int git_trees_put(struct git_trees *t, const char *path, enum git_mode mode,
			   const uint8_t id[static GIT_ID]);
/* It goes. -ENOENT. */
MUST_USE int git_trees_drop(struct git_trees *t, const char *path);
/* All below a directory, which has a slash at its end or none; "" is the root. -ENOENT if there is
 * nothing. */
MUST_USE int git_trees_drop_dir(struct git_trees *t, const char *dir);
/* Calls fn with each tree that is another than before, those below it first, the whole last, whose
 * id is told in any case. -EEXIST if a file lies where a directory must, which `why` says. */
MUST_USE int git_trees_write(struct git_trees *t, git_trees_write_fn fn, void *arg,
			     uint8_t ret[static GIT_ID], struct buf *why);

#endif
