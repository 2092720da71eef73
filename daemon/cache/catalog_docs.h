/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog's documents: what hubs answered, kept as it came. A document's name is a digest of
 * what was asked. What is noted of it stands apart from its text, so that all notes can be read
 * without the texts. Durable when a call returns. Threads: any. */
#ifndef MATRIXFS_CATALOG_DOCS_H
#define MATRIXFS_CATALOG_DOCS_H

#include "daemon/cache/catalog.h"

#define DOC_NAME_HEX DIGEST_HEX_MAX

struct catalog_doc {
	char name[DOC_NAME_HEX + 1];
	int64_t checked_s, used_s; /* wall clock, seconds */
	uint64_t bytes;            /* of its text and next */
};

/* Puts a document, and takes away others: `gone` holds names, each with its NUL. */
MUST_USE int catalog_put_doc(struct catalog *c, const struct catalog_doc *doc,
			     const struct buf *text, const struct buf *next,
			     const struct buf *gone);
/* Puts only what is noted of documents. */
MUST_USE int catalog_note_docs(struct catalog *c, const struct catalog_doc *docs, size_t count);
MUST_USE int catalog_del_docs(struct catalog *c, const struct buf *gone);
/* Appends text and next. -ENOENT, ERR_CORRUPT. */
MUST_USE int catalog_get_doc(struct catalog *c, const char *name, struct buf *ret_text,
			     struct buf *ret_next);
typedef int (*catalog_doc_fn)(void *arg, const struct catalog_doc *doc);
MUST_USE int catalog_each_doc(struct catalog *c, catalog_doc_fn fn, void *arg);

#endif
