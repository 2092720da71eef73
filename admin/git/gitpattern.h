/* SPDX-License-Identifier: Apache-2.0 */
/* One pattern of .gitignore and .gitattributes (gitignore(5), "PATTERN FORMAT"), as git takes it,
 * and the paths that it means. The time a match takes is bounded by the length of the pattern times
 * that of the path. Pure; a pattern may be matched by any threads at once. */
#ifndef MATRIXFS_GITPATTERN_H
#define MATRIXFS_GITPATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/base/own.h"

#define GIT_PATTERN_MAX 2048 /* bytes; git takes no longer ones from .gitattributes */

struct git_pattern;

/* The text has a NUL somewhere behind its len bytes. -EINVAL if it matches nothing at all, however
 * a path reads: too long, empty, a bracket that does not end; -ENOMEM. */
MUST_USE int git_pattern_new(const char *text, size_t len, struct git_pattern **ret);
void git_pattern_free(struct git_pattern *p);

/* What it takes to match it: that many steps for each byte of a path; nothing for a mere text. */
size_t git_pattern_weight(const struct git_pattern *p);
/* True if it means that path of len bytes: without a slash at its ends, of a directory or not. That
 * it means a directory says nothing of what lies in it. */
bool git_pattern_matches(const struct git_pattern *p, const char *path, size_t len, bool directory);

#endif
