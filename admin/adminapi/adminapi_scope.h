/* SPDX-License-Identifier: Apache-2.0 */
/* Admin API: what rules about tags are about, as people call it: a namespace, or a repository that
 * is hosted here. */
#ifndef MATRIXFS_ADMINAPI_SCOPE_H
#define MATRIXFS_ADMINAPI_SCOPE_H

#include "admin/adminapi/adminapi_call.h"
#include "admin/registry/tag_rules.h"

#define API_REASON_LETTERS (TAG_WHY_MAX / 4)

/* What the document says of a tag's name, and of one with '*' and '?'. */
#define API_TAG_PART(more) "[^\\u0000-\\u0020\\u007f~^:\\[\\\\/." more "]+"
#define API_TAG_PATTERN "^" API_TAG_PART("?*") "([./]" API_TAG_PART("?*") ")*$"
#define API_TAGS_PATTERN "^" API_TAG_PART(",") "([./]" API_TAG_PART(",") ")*$"

/* 0 unless a name of tags is none, or, where a rule is made (is_new; one that is there may be
 * removed), is a list of them: -EINVAL with a sentence. */
MUST_USE int api_tag_glob(struct api_call *c, const char *glob, bool is_new);

/* The scope that "models/ns/name" or "ns" means; a repository also by a name it had. ret_name (or
 * NULL) gets what it is called. -ENOENT with a sentence. */
MUST_USE int api_scope(struct api_call *c, const char *what, struct tag_scope *ret,
		       struct buf *ret_name);
/* Inside a transaction: appends what a scope is called. -ENOENT. */
MUST_USE int api_scope_name(struct db_txn *t, const struct tag_scope *s, struct buf *ret);
/* The repository of the path's first two segments, also by a name it had. -ENOENT with a sentence:
 * it is not hosted here. */
MUST_USE int api_hosted_repo(struct api_call *c, struct registry_repo *ret);

#define API_DAMAGED_ROW \
	{ \
		.name = "damaged", .kind = API_BOOL, .needed = true, \
		.doc = "Its row is: it holds what it may have held until it is removed." \
	}
/* Writes, deletes a rule inside db_write, and has those counted that are damaged. */
MUST_USE int api_rule_write(struct api_call *c, db_fn fn, void *arg);

/* A page of the rules of one scope, or of all. */
struct api_tag_rules {
	struct api_page page;
	struct db_txn *txn;
	const char *after; /* or NULL */
	struct tag_scope scope;
	const struct tag_scope *about; /* that scope, or NULL: all */
	int (*each)(struct db_txn *t, struct api_tag_rules *l);
};
/* Answers with it: each() calls api_tag_rules_at for each rule in order, until that is not 0, and
 * writes those it told the subject of. */
int api_tag_rules(struct api_call *c, int (*each)(struct db_txn *t, struct api_tag_rules *l));
/* 0 and what the rule is about, or nothing if it stood on a page before; 1: the page is full. */
int api_tag_rules_at(struct api_tag_rules *l, const struct tag_scope *s, const char *name,
		     struct buf *ret_what);

#endif
