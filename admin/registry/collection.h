/* SPDX-License-Identifier: Apache-2.0 */
/* One collection: a list of repositories, with a title, as a row has it. Pure. */
#ifndef MATRIXFS_COLLECTION_H
#define MATRIXFS_COLLECTION_H

#include "admin/registry/owned.h"
#include "daemon/base/jwrite.h"

#define COLLECTION_TITLE_MAX 128 /* bytes */
#define COLLECTION_TEXT_MAX 1024 /* of a description or a note */
#define COLLECTION_ITEMS_MAX 500
#define COLLECTION_NAME_MAX 300

struct collection_item {
	char id[OWNED_ID + 1];
	char type[16]; /* "model", "dataset", "space" */
	char name[COLLECTION_NAME_MAX + 1];
	char note[COLLECTION_TEXT_MAX + 1]; /* "": none */
};

struct collection {
	char owner[ACCOUNT_NAME_MAX + 1], id[OWNED_ID + 1];
	char title[COLLECTION_TITLE_MAX + 1];
	char description[COLLECTION_TEXT_MAX + 1]; /* "": none */
	char theme[16];
	bool is_private;
	int64_t position, updated_ms;
	struct collection_item *items; /* owned, in their order */
	size_t count;
};

/* Frees what it holds. */
void collection_fini(struct collection *c);
/* Reads a row into a zeroed one. ERR_CORRUPT, -ENOMEM. */
MUST_USE int collection_parse(const char *row, size_t len, struct collection *ret);
/* Appends its row. */
void collection_print(const struct collection *c, struct buf *ret);
/* "OWNER/a-title-of-words-ID". */
void collection_slug(const struct collection *c, struct buf *ret);
/* What a slug, which may be an old one, and what follows it name: false if it is none. *ret_rest is
 * what follows, without its slash. */
bool collection_find_slug(const char *path, char ret_owner[static ACCOUNT_NAME_MAX + 1],
			  char ret_id[static OWNED_ID + 1], const char **ret_rest);
/* The item with that id, or of that type and name; c->count if there is none. */
size_t collection_item(const struct collection *c, const char *id);
size_t collection_item_named(const struct collection *c, const char *type, const char *name);
/* One more at the end; -EEXIST, -EFBIG. One less. To another place, or the last. */
MUST_USE int collection_add(struct collection *c, const struct collection_item *item);
void collection_drop(struct collection *c, size_t at);
void collection_move(struct collection *c, size_t from, size_t to);

#endif
