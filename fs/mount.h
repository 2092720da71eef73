/* SPDX-License-Identifier: Apache-2.0 */
/* The mount itself: a mount point made ready, a FUSE session on it, the kernel's settings, its
 * end. */
#ifndef MATRIXFS_MOUNT_H
#define MATRIXFS_MOUNT_H

#include <stdbool.h>

#include "daemon/base/buf.h"
#include "fs/op.h"
#include "fs/takeover.h"

/* How the mount may go on without the one who served it. */
#define MOUNT_HANDED_OVER 1
#define MOUNT_GOES_ON 2
#define MOUNT_LEFT 3

struct mount;

struct mount_conf {
	const char *asked;         /* the mount point as it was given */
	const char *mountpoint;    /* absolute */
	struct takeover *takeover; /* begun; borrowed */
	const char *options; /* further -o options for the FUSE library, comma-separated, or "" */
	bool allow_other;
	bool read_only;
	struct ops *ops; /* borrowed until mount_close; ops->session is set */
	/* Called once when the mount answers, on a thread of its own. */
	void (*ready)(void *arg);
	/* Called once when the mount is handed over, before the estate is left: what others than
	 * the kernel may change of it ends here. */
	void (*leaving)(void *arg);
	void *arg;
};

/* Makes a mount point ready, and *ret its name as the kernel will know it (to be freed, also after
 * an error): takes away the stale mount of a dead process, refuses what is no directory and what is
 * mounted and alive. Sentences in why; -ENOMEM. */
MUST_USE int mount_find(const char *given, char **ret, struct buf *why);
/* Mounts, or goes on with the mount of the process before. -EPERM and the like with a sentence in
 * why. */
MUST_USE int mount_open(const struct mount_conf *conf, struct mount **ret, struct buf *why);
/* Serves requests until SIGTERM, SIGINT, SIGUSR2 or an unmount. 0; MOUNT_HANDED_OVER: it
 * was SIGUSR2, and somebody holds the mount for the next process, which is to be told nothing more
 * of this one; MOUNT_GOES_ON: it was
 * mount_go_on; MOUNT_LEFT: likewise, but that could not be: the process is to end at once, with
 * nothing closed; or negative for a broken session. */
MUST_USE int mount_serve(struct mount *m);
/* Has mount_serve hand over to this very process, which is to be the program once more. Any thread;
 * somebody must hold the mount. */
void mount_go_on(void);
/* True if it was told to end for good while it handed over. */
bool mount_told_to_end(void);
/* Unmounts (lazily: who is inside gets ENOTCONN), unless it was handed over, and frees. */
void mount_close(struct mount *m);
/* Unmounts, and leaves all else to the end of the process: somebody may still use it. */
void mount_leave(struct mount *m);

#endif
