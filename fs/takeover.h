/* SPDX-License-Identifier: Apache-2.0 */
/* A mount that outlives its process: the kernel's descriptor and the estate are given to whoever
 * started the process (a service manager, or holder.h), and the next process gets them from there.
 * Threads: the caller's. */
#ifndef MATRIXFS_TAKEOVER_H
#define MATRIXFS_TAKEOVER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "daemon/base/buf.h"
#include "daemon/base/notify.h"
#include "fs/estate.h"
#include "fs/handshake.h"

struct takeover {
	struct notify *notify;       /* borrowed */
	struct estate *estate;       /* NULL: nobody is to hold the mount */
	atomic_bool held;            /* somebody does */
	int fd;                      /* the kernel's; -1: there was no mount */
	struct handshake *handshake; /* in the estate, if there was a mount */
	const char *mountpoint;      /* there, too: as the kernel knows it */
	uint32_t generation;         /* how many processes had the mount before this one */
};

/* True if who started this process keeps descriptors for it (FDSTORE, as systemd sets it). */
bool takeover_is_held(notify_env *env);
/* The holder of fs/holder.h that started this process; 0: a service manager did, or nobody. */
pid_t takeover_holder(notify_env *env);
/* True if a mount was passed to this process: how it ends decides what becomes of it. */
bool takeover_is_passed(notify_env *env);
/* Begins: with what was passed to this process, if that is the mount that is `asked` for, and can
 * be used; else with nothing, after it was taken away from there, with a line in the log, as there
 * is where nobody can be left anything. takeover_end in any case. */
void takeover_begin(struct takeover *t, struct notify *n, const char *asked, notify_env *env);
void takeover_end(struct takeover *t);
/* Puts the mount and what is left of it where the next process looks for them, in the process that
 * is about to be that. -EMFILE and the like. */
MUST_USE int takeover_pass(const struct takeover *t);
/* There is a mount now: whoever holds it gets it, with what was agreed with the kernel (copied). If
 * they do not take it, nobody holds it, which the log says. */
void takeover_give(struct takeover *t, int fd, const struct handshake *h, const char *asked,
		   const char *mountpoint);
/* The mount of that kernel's descriptor ends: it is unmounted, if it is there still, and nobody
 * holds it any more. While somebody did, nothing may be asked what is mounted there: nobody
 * answers. */
void takeover_unmount(struct takeover *t, int fd, const char *mountpoint);

#endif
