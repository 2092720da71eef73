/* SPDX-License-Identifier: Apache-2.0 */
/* What a request's target names: the path's segments matched with a pattern, and the fields of a
 * query or form. Paths are matched as they came on the wire, so that "refs%2Fpr%2F1" is one
 * segment and "refs/pr/1" three, and a file name may hold any byte. Pure.
 *
 * A pattern is a path whose segments are words or one of
 *   :type    "models", "datasets" or "spaces"
 *   :prefix  "datasets", "spaces", or no segment at all, which is models
 *   :repo    "namespace/name", or a bare name; ":repo.git" with ".git" behind it
 *   :num     a number from 1, in digits
 *   :rev     a revision; one segment, or "refs/pr/N" and "refs/convert/NAME" as three
 *   :path    all that is left, at least one segment
 *   :path?   the same, or nothing */
#ifndef MATRIXFS_TARGET_H
#define MATRIXFS_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/base/buf.h"
#include "daemon/model/manifest.h"
#include "daemon/model/repo_id.h"

/* What the variable segments were, decoded; "" where the pattern has none. */
struct target {
	struct repo_id repo;
	char rev[REVISION_MAX + 1];
	char path[MANIFEST_PATH_MAX + 1];
	unsigned num;             /* 0 where the pattern has none */
	size_t repo_at, repo_len; /* where the name of the repository stood */
};

/* True if path (without query) is one of the pattern's. */
bool target_match(const char *pattern, const char *path, struct target *ret);

/* True if a route for `method` answers what was asked with `asked`: HEAD where GET is answered. */
bool target_takes(const char *method, const char *asked);
/* Appends such a route's methods to the value of an Allow field: "GET, HEAD, POST". */
void target_allow(const char *method, struct buf *ret);

/* True of a path that no pattern matches because the repository it names can be none. */
bool target_names_none(const char *path);

/* The value of the next field of that name from *at on in "a=b&c=d", a query or a form (RFC 1866
 * §8.2.1), decoded into ret, which is emptied first; *at goes behind it. "name[]" counts as well.
 * False if there is none. */
bool target_next_field(const char **at, const char *name, struct buf *ret);
/* The first one. */
bool target_field(const char *query, const char *name, struct buf *ret);
/* True if the field is there and says so: "true", "True", "1", or nothing. */
bool target_flag(const char *query, const char *name);
/* Its value as a number, `otherwise` if it is absent or none. */
unsigned target_number(const char *query, const char *name, unsigned otherwise);
/* How many of a list go on a page, by its "limit": none, 0 or more than `most` is `most`. */
unsigned target_limit(const char *query, unsigned most);

#endif
