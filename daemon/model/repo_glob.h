/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of repositories, "[KIND/]NAME", in which NAME is a glob: "datasets/org/[ab]*". Without
 * KIND it is of all kinds; '*' goes over slashes, as in what clients call allow_patterns, and the
 * case of letters does not count, as in names. Pure. */
#ifndef MATRIXFS_REPO_GLOB_H
#define MATRIXFS_REPO_GLOB_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/model/repo_id.h"

struct repo_glob {
	bool any_type;
	enum repo_type type;
	char *name; /* owned */
};

/* The pattern that the first len bytes of the text are. -EINVAL if no repository can match it,
 * -ENOMEM: then there is nothing to give back. */
MUST_USE int repo_glob_parse(const char *text, size_t len, struct repo_glob *ret);
/* Zeroed memory is fine. */
void repo_glob_fini(struct repo_glob *g);
bool repo_glob_matches(const struct repo_glob *g, const struct repo_id *id);

#endif
