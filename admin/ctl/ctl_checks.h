/* SPDX-License-Identifier: Apache-2.0 */
/* What the doctor looks at, and what it found: lines of ok, warn and fail, each of the latter with
 * what to do. Checks of the machine are made by this process, with its rights. */
#ifndef MATRIXFS_CTL_CHECKS_H
#define MATRIXFS_CTL_CHECKS_H

#include <stdbool.h>

#include "admin/ctl/ctl_hub.h"
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
/* Its version, 609 for 6.9; 0: not known. */
unsigned ctl_kernel_version(void);
void ctl_check_device(struct ctl_checkup *u);

/* --- the mount, by what the daemon says (/v1/status) and what /proc and /sys do */
void ctl_check_mount(struct ctl_checkup *u, const struct jval *status);
void ctl_check_passthrough(struct ctl_checkup *u, const struct jval *status);

/* --- what the daemon stands on: by /v1/status who holds its mount (nothing if it does not tell),
 * and how many files it may open (nothing if we cannot see it); by /v1/peers its peers (NULL: it
 * has none); by /v1/config, of one that runs since then, whether its file is what runs */
void ctl_check_held(struct ctl_checkup *u, const struct jval *status);
void ctl_check_files(struct ctl_checkup *u, const struct jval *status);
void ctl_check_peers(struct ctl_checkup *u, const struct jval *answer);
void ctl_check_config(struct ctl_checkup *u, const struct jval *answer, int64_t since_s);

/* --- the directory of the cache; status may be NULL: no daemon answers */
void ctl_check_cache(struct ctl_checkup *u, const char *dir, const struct jval *status);

/* --- the hubs, by the answer of /v1/hubs/check: whether they answer, the clock, the token */
void ctl_check_hubs(struct ctl_checkup *u, const struct jval *answer, bool offline);
/* So many seconds the clock of a hub is before ours. */
void ctl_check_clock(struct ctl_checkup *u, const char *url, int64_t ahead_s);

/* --- who reads from the mount: this shell's variables, and the engines that run */
void ctl_check_clients(struct ctl_checkup *u, const char *mountpoint,
		       char *(*getenv_fn)(const char *));

/* --- a hub, from outside */

/* By its answer to /healthz: true if it is one. TLS and its clock as well. */
bool ctl_check_door(struct ctl_checkup *u, const struct ctl_door *d, const char *url);
/* By what kept it from answering: r and words of ctl_hub_look. */
void ctl_check_no_door(struct ctl_checkup *u, int r, const char *why);
/* By its answer to /readyz: what it says is amiss. */
void ctl_check_ready(struct ctl_checkup *u, const struct ctl_door *d);

/* --- a hub, by its answers to an administrator */

/* Who asks, by /api/whoami-v2. */
void ctl_check_who(struct ctl_checkup *u, const struct jval *who, bool is_admin);
/* Which version of a program runs, by its status. */
void ctl_check_version(struct ctl_checkup *u, const char *program, const struct jval *status);
/* Its version, its disk, its upstreams. */
void ctl_check_state(struct ctl_checkup *u, const struct jval *status);
/* What the last scrub found, of a hub that runs for so long. */
void ctl_check_scrub(struct ctl_checkup *u, const struct jval *report, int64_t uptime_s);
void ctl_check_collector(struct ctl_checkup *u, const struct jval *report);

#endif
