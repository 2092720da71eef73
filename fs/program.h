/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon: its parts put together, and taken apart in the opposite order. */
#ifndef MATRIXFS_PROGRAM_H
#define MATRIXFS_PROGRAM_H

#include <stdatomic.h>
#include <stdbool.h>

#include "daemon/base/pulse.h"
#include "daemon/base/why.h"
#include "daemon/control/control.h"
#include "daemon/keeper.h"
#include "fs/lookout.h"
#include "fs/mount.h"
#include "fs/nfs.h"
#include "fs/ops.h"
#include "fs/reload.h"
#include "fs/settings.h"
#include "fs/takeover.h"

#define EXIT_RUN 1   /* it could not be started, or broke */
#define EXIT_USAGE 2 /* bad command line or configuration: nothing was done */

struct program {
	/* Before it serves. */
	int argc;
	char *const *argv;
	struct settings told;
	char *mountpoint; /* absolute */
	int ready_fd;     /* in the background: tells the waiting parent; else -1 */
	bool held;        /* who started it keeps what it leaves */
	struct notify notify;
	struct takeover takeover;
	struct lookout *lookout; /* or NULL */
	/* Its parts. */
	struct ops ops;
	struct keeper *keeper;
	struct warmups *warmups;
	struct control_face face;
	struct control *control;
	struct mount *mount;
	struct scope_rules *nfs_rules;
	struct nfs_clients *nfs_clients;
	struct nfs *nfs;
	struct pulse *pulse; /* or NULL */
	struct reload *reload;
	atomic_bool closing; /* nobody answers on the mount any more */
	bool blind;          /* of the pulse: nobody looks */
	bool goes_on; /* the mount was handed over to the program that this process is next */
	bool left;    /* somebody may still use it: it stays to the end of the process */
};

/* From now on signals that are to end it wait until it can heed them, in all threads that are
 * started later, too. Not all: those alone which would be no more than a death before; the others
 * may end who has no mount yet. */
void program_defer_signals(bool all);
/* Serves until it is told to end, with all that is to be there before. Returns the exit status;
 * after a failure with a sentence in why. If p->left is set, nothing of it may be freed. If
 * p->goes_on is, the process is to be the program once more, with what it is left. */
MUST_USE int program_serve(struct program *p, struct buf *why);

#endif
