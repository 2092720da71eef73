/* SPDX-License-Identifier: Apache-2.0 */
/* Whether memory is short, on this machine or in our control group: then nothing is fetched that
 * nobody asked for. Threads: the owner's. */
#ifndef MATRIXFS_PRESSURE_H
#define MATRIXFS_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/buf.h"

struct pressure {
	const char *root; /* where /proc and /sys are looked for: "", or a test's directory */
	struct buf group; /* memory.pressure of our group; empty if it has none */
	int64_t looked_ms;
	bool high;
};

/* `root` is borrowed until fini. */
void pressure_init(struct pressure *p, const char *root);
void pressure_fini(struct pressure *p);
/* True if less than a sixteenth of the memory can be had, or tasks stalled for want of it a tenth
 * of the last ten seconds: those of our group; those of the machine only while less than a quarter
 * can be had, for else they stall in groups whose limits are not ours. Looks at most once a second;
 * what the kernel does not tell is taken as well. */
bool pressure_high(struct pressure *p);

#endif
