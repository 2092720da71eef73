/* SPDX-License-Identifier: Apache-2.0 */
/* Collections as JSON: of their items those that who asks may see. */
#ifndef MATRIXFS_COLLECTION_JSON_H
#define MATRIXFS_COLLECTION_JSON_H

#include "admin/hub/ask.h"
#include "admin/registry/collection.h"
#include "daemon/base/jwrite.h"

/* The kind of repository that an item's type says; REPO_TYPE_COUNT: none. */
enum repo_type collection_repo_type(const char *word);
#define COLLECTION_NESTED "collection" /* the type of an item that is one */

/* Reads one into a zeroed collection. -ENOENT, also if it is not there for who asks. */
MUST_USE int collection_read(struct ask *a, const char *owner, const char *id,
			     struct collection *ret);
/* Appends the slug that the one has now which has, or had, this one. -ENOENT, as above. */
MUST_USE int collection_slug_now(struct ask *a, const char *slug, struct buf *ret);
/* Writes members of an object; `listed`: one of many, of which clients say themselves which place
 * it has, and whose first items do. Not in a transaction. */
MUST_USE int collection_write(struct ask *a, const struct collection *c, bool listed,
			      struct jwrite *w);

#endif
