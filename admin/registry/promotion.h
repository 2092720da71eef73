/* SPDX-License-Identifier: Apache-2.0 */
/* Promotion: a tag gets the commit that another ref names, as a rule allows (tag_rules.h): who may,
 * from which refs, and which checks must have passed. A rollback is the promotion of what the tag
 * named before; it asks that no check of the rule has failed since. All is decided in the
 * transaction that moves the tag. Threads: any. */
#ifndef MATRIXFS_PROMOTION_H
#define MATRIXFS_PROMOTION_H

#include "admin/registry/refs.h"

struct promotion {
	const char *uid;  /* of the repository */
	const char *to;   /* the tag */
	const char *from; /* a tag, or "refs/heads/main"; NULL: a rollback */
	const char *rule; /* by this one; NULL: by the first that allows it */
	const char *user, *why;
	bool may_administer; /* the user, the repository */
	/* More checks than the rule asks for. */
	const char *require[TAG_RULE_LIST_MAX];
	unsigned require_count;
	/* What came of it. */
	char commit[COMMIT_HEX + 1], was[COMMIT_HEX + 1]; /* "": it is new */
	char by[TAG_RULE_NAME_MAX + 1];                   /* the rule */
	struct buf origin;                                /* the ref it came from; owned */
	struct buf checks;                                /* what had passed; owned */
};

/* Makes it, inside db_write. 0 also if the tag names that commit already: then was is commit, and
 * nothing is noted. With a sentence in why: ERR_FORBIDDEN (no rule lets that user do it, or from
 * there), -ENODATA (a check has not passed), ERR_TAG_LOCKED, -EINVAL (no such ref, or nothing to go
 * back to), -EEXIST (it cannot stand beside another tag). */
MUST_USE int promotion_make(struct db_txn *t, struct promotion *p, struct buf *why);
void promotion_fini(struct promotion *p);

#endif
