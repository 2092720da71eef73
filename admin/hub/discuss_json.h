/* SPDX-License-Identifier: Apache-2.0 */
/* Discussions and their events as JSON, in the words that clients know. What was written stays
 * text: nothing is rendered. Inside a transaction. Threads: any. */
#ifndef MATRIXFS_DISCUSS_JSON_H
#define MATRIXFS_DISCUSS_JSON_H

#include "admin/registry/discussions.h"
#include "daemon/base/jwrite.h"

/* Members of an object: what lists tell of a discussion. */
MUST_USE int discuss_write(struct db_txn *t, struct jwrite *w, const struct registry_repo *repo,
			   const struct discussion *d);
/* A text as HTML that says nothing but it, for those who show it without a look. */
void discuss_write_html(struct jwrite *w, const char *key, const char *text);
/* One event. */
MUST_USE int discuss_write_event(struct db_txn *t, struct jwrite *w, const char *key,
				 const struct event *e);

#endif
