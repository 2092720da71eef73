/* SPDX-License-Identifier: Apache-2.0 */
/* The shown tree over node: which place a name in a directory is. Knows the cache layout's rules
 * and nothing of FUSE, so that every face shows the same tree. Source: the Hugging Face cache
 * layout (huggingface.co/docs/huggingface_hub/guides/manage-cache) and what its readers do
 * (docs/tree.md). Threads: any. */
#ifndef MATRIXFS_VIEW_H
#define MATRIXFS_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/node.h"
#include "fs/place.h"
#include "fs/scope.h"

struct view {
	struct node *node; /* borrowed, like the next */
	struct scratch *scratch;
	const struct scope *scope; /* what of it is shown; NULL: all; borrowed, too */
	bool hub_alone;            /* what clients wrote beside hub/ is not shown */
	bool strict_ro;            /* no metadata writes */
	uid_t uid;                 /* owner of what is shown */
	gid_t gid;
	int64_t since_s; /* date of what has none of its own: when it was mounted */
};

/* How long an answer holds without asking again, in ms. */
#define VIEW_FOREVER INT64_MAX
#define VIEW_NEVER 0
/* Answers that may change are asked again after this. A snapshot's own name is among them
 * although its content is for ever: each new use of a commit is a hint whether refs have moved
 * (known_doubt_refs). */
#define VIEW_SOON_MS 1000
#define VIEW_ABSENT_MS 3000 /* the hub said there is no such repository or revision */

/* The place called `name` in directory `dir`; -EACCES if it is of what is not shown, which is so
 * whether it is there or not, but for another name of a repository. ret_ttl_ms is set for 0 and
 * for "there is none" (err_errno of the result is ENOENT). Waiter as in node.h. The place is owned
 * (place_fini). */
MUST_USE int view_lookup(const struct view *v, const struct place *dir, const char *name,
			 struct waiter *w, struct place *ret, int64_t *ret_ttl_ms);
/* The same when the wait for it ended with error r: the place may be one that clients wrote. */
MUST_USE int view_lookup_ended(const struct view *v, const struct place *dir, const char *name,
			       int r, struct place *ret, int64_t *ret_ttl_ms);
/* True if the place is shown: it is in the scope, and beside hub/ only where that is shown. */
bool view_is_shown(const struct view *v, const struct place *p);
/* The directory that a directory is in, owned; the root's is the root. -ENOENT: it was removed. */
MUST_USE int view_parent(const struct view *v, const struct place *dir, struct place *ret);
/* The root of the tree. */
struct place view_root(void);
/* True if the tree shows that name by itself, whatever clients wrote there: as far as that is known
 * without asking anybody. */
bool view_shows_itself(const struct view *v, const struct place *dir, const char *name);

#endif
