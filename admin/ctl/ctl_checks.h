/* SPDX-License-Identifier: Apache-2.0 */
/* What the doctor looks at, and what it found: lines of ok, warn and fail, each of the latter with
 * what to do. Checks of the machine are made by this process, with its rights. */
#ifndef MATRIXFS_CTL_CHECKS_H
#define MATRIXFS_CTL_CHECKS_H

#include <stdbool.h>

#include "daemon/base/buf.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/jwrite.h"

enum ctl_finding { CTL_OK, CTL_WARN, CTL_FAIL, CTL_FINDINGS };

struct ctl_checkup {
	bool coloured;
	struct buf text; /* owned */
	struct buf json; /* the same as objects; owned */
	struct jwrite to;
	unsigned counts[CTL_FINDINGS];
};

/* Zeroed, but for `coloured`. */
void ctl_checkup_begin(struct ctl_checkup *u);
void ctl_checkup_fini(struct ctl_checkup *u);
/* Adds a line: of what, what is to be done (NULL: nothing), and what was found. */
void ctl_checkup_add(struct ctl_checkup *u, enum ctl_finding state, const char *name,
		     const char *advice, const char *fmt, ...) PRINTF(5, 6);

/* --- the machine: its kernel, and whether this process may mount */
void ctl_check_kernel(struct ctl_checkup *u);
void ctl_check_device(struct ctl_checkup *u);

/* --- the mount, by what the daemon says (/v1/status) and what /proc and /sys do */
void ctl_check_mount(struct ctl_checkup *u, const struct jval *status);
void ctl_check_passthrough(struct ctl_checkup *u, const struct jval *status);

/* --- the directory of the cache; status may be NULL: no daemon answers */
void ctl_check_cache(struct ctl_checkup *u, const char *dir, const struct jval *status);

/* --- the hubs, by the answer of /v1/hubs/check: whether they answer, the clock, the token */
void ctl_check_hubs(struct ctl_checkup *u, const struct jval *answer, bool offline);

/* --- who reads from the mount: this shell's variables, and the engines that run */
void ctl_check_clients(struct ctl_checkup *u, const char *mountpoint,
		       char *(*getenv_fn)(const char *));

#endif
