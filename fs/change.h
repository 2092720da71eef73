/* SPDX-License-Identifier: Apache-2.0 */
/* Writes of metadata, whichever face they come by: into the scratch where clients may write,
 * dropped where a file is made up, -EROFS for all else. What a client writes over a shown name is
 * dropped too: the hub's truth stays. No FUSE in here. Threads: any. */
#ifndef MATRIXFS_CHANGE_H
#define MATRIXFS_CHANGE_H

#include "fs/permit.h"
#include "fs/view.h"

/* Who changes something, and of what. Borrowed. */
struct change {
	const struct view *view;
	struct permit_who who;
};

/* What the tree shows by itself (view_shows_itself) stays where it is, also when clients wrote
 * something below that name: it is neither made, nor removed, nor given another name. What was
 * written for a repository gets no name (-EROFS) by which it would not be that one's. */

/* Makes a file, directory, or, with target, link; owned. Errors: scratch_make's, -EEXIST (it is
 * shown), -EROFS, -EACCES, -EPERM (neither of these). */
MUST_USE int change_make(const struct change *c, const struct place *dir, const char *name,
			 mode_t mode, const char *target, struct scratch_node **ret);
/* Removes a file or link (S_IFREG), or a directory (S_IFDIR). -EROFS: the name is shown; -ENOENT:
 * nobody wrote it. */
MUST_USE int change_remove(const struct change *c, const struct place *dir, const char *name,
			   mode_t kind);
/* A second name for what a client wrote. -EPERM: it is somebody else's; -EXDEV: by one name
 * it would be anybody's, by the other its owner's (place_shares); -EEXIST: the new one is shown. */
MUST_USE int change_link(const struct change *c, const struct place *p, const struct place *dir,
			 const char *name);

struct change_rename {
	const struct place *from, *to; /* directories */
	const char *from_name, *to_name;
	unsigned flags; /* of renameat2(2) */
};

/* True in *ret if the new name is a file that the tree shows by itself, which may have to be asked
 * for. Waiter as in node.h; 0, PARKED, or -EEXIST: it is a directory that it shows. */
MUST_USE int change_is_shown(const struct change *c, const struct change_rename *n,
			     struct waiter *w, bool *ret);
/* Renames; over a shown file (`shown`: it was asked for) what was to get its name is dropped.
 * -EROFS: the old name is shown; -ENOENT: nobody wrote it; -EXDEV as change_link. */
MUST_USE int change_rename(const struct change *c, const struct change_rename *n, bool shown);

/* What is to be set; the times as utimensat(2) has them. */
struct change_attrs {
	bool sets_mode, sets_size; /* or they stay */
	mode_t mode;
	uint64_t size;
	uid_t uid; /* -1: it stays, like the next */
	gid_t gid;
	struct timespec times[2];
};

/* An initializer of what sets none of them. */
#define CHANGE_NOTHING \
	{ \
		.uid = (uid_t)-1, .gid = (gid_t)-1, \
		.times = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } }, \
	}

/* Sets attributes of what a client wrote; of what is made up they are dropped. -EROFS, -EPERM,
 * -EACCES, scratch_truncate's. */
MUST_USE int change_attrs(const struct change *c, const struct place *p,
			  const struct change_attrs *a);

/* Bytes written over what is made up are dropped; but who writes another commit over a ref than it
 * shows has just heard of that from the hub. */
void change_swallow(const struct view *v, const struct place *p, const void *data, size_t len);

#endif
