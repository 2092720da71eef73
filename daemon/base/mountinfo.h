/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says of mounts, without touching them: one that hangs would hang who asks it. */
#ifndef MATRIXFS_MOUNTINFO_H
#define MATRIXFS_MOUNTINFO_H

#include <stdbool.h>

#define MOUNTINFO_FIELD_MAX 4095

struct mountinfo {
	unsigned major, minor;
	char at[MOUNTINFO_FIELD_MAX + 1]; /* where */
	char type[64];
	char super[MOUNTINFO_FIELD_MAX + 1]; /* options of the file system, with commas */
};

/* Finds the mount that is on top at an absolute path, in text as of mountinfo(5). False if there is
 * none; *ret is anything then. */
bool mountinfo_search(const char *text, const char *mountpoint, struct mountinfo *ret);
/* The same in what this process sees; false too if that cannot be read. */
bool mountinfo_find(const char *mountpoint, struct mountinfo *ret);

#endif
