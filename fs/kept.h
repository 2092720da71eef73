/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that are held for the next process, by name, and how they are passed to it: as a
 * service manager does (sd_listen_fds(3)). Zeroed is empty. Threads: the caller's. */
#ifndef MATRIXFS_KEPT_H
#define MATRIXFS_KEPT_H

#include "daemon/base/notify.h"

#define KEPT_MAX 8
#define KEPT_NAME_ROOM 64

struct kept_fd {
	char name[KEPT_NAME_ROOM];
	int fd;
};

struct kept {
	struct kept_fd fds[KEPT_MAX];
	unsigned count;
};

/* Moves a descriptor out of the way of what is passed. 0, or -EMFILE, and it stays where it is. */
MUST_USE int kept_move_up(int *fd);
/* Takes the descriptor, in place of one of that name; it is closed if there is no room. */
void kept_put(struct kept *k, const char *name, int fd);
/* Closes the one of that name, if there is one; or all. */
void kept_drop(struct kept *k, const char *name);
void kept_drop_all(struct kept *k);
/* Takes what was passed to this process. */
void kept_take_passed(struct kept *k, notify_env *env);
/* Puts copies where the next process looks for them, and tells of them in its environment; in the
 * process that is about to be it. -EMFILE and the like. */
MUST_USE int kept_pass(const struct kept *k);
/* There is no next process: closes the copies. */
void kept_pass_undo(void);

#endif
