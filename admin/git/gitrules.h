/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of git that each say yes or no, as .gitattributes and .gitignore are: of those that mean
 * a path the last one counts. Bounded, for they come from strangers: a path costs at most some
 * milliseconds. Pure. */
#ifndef MATRIXFS_GITRULES_H
#define MATRIXFS_GITRULES_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/base/own.h"

#define GIT_RULES_MAX (512 << 10) /* bytes of a file */
#define GIT_RULES_WEIGHT_MAX 1024 /* of all patterns together */

struct git_rules;

/* Reads one line, without its end, and may change it; adds what it says. -ENOMEM and the like. */
typedef int (*git_line_fn)(struct git_rules *r, char *line);

/* Rules from a text, line by line; a mark of UTF-8 before the first counts for nothing. -E2BIG if
 * the text or what it asks for is beyond the limits, -ENOMEM. */
MUST_USE int git_rules_parse(const char *text, size_t len, git_line_fn fn, struct git_rules **ret);
void git_rules_free(struct git_rules *r);
void git_rules_freep(struct git_rules **r);

/* For such a function: a pattern and what it says. One that matches nothing is left out. */
MUST_USE int git_rules_add(struct git_rules *r, const char *pattern, size_t len, bool says);

/* What the last rule says that means the path of len bytes, `otherwise` if none does. Threads:
 * any. */
bool git_rules_say(const struct git_rules *r, const char *path, size_t len, bool directory,
		   bool otherwise);

#endif
