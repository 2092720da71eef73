/* SPDX-License-Identifier: Apache-2.0 */
/* What people say of repositories that are hosted here: discussions, and pull requests, which are
 * discussions with a ref of their own; and the events that make each of them. All calls run inside
 * a transaction of db. A repository's go with it: their rows begin with its uid. Errors: -ENOENT
 * (no such discussion, or event), -EFBIG (it may not grow any more), ERR_CORRUPT. Threads: any. */
#ifndef MATRIXFS_DISCUSSIONS_H
#define MATRIXFS_DISCUSSIONS_H

#include <stdint.h>

#include "admin/registry/registry.h"
#include "daemon/base/jdoc.h"

#define DISCUSSION_TITLE_MAX 256               /* bytes */
#define DISCUSSION_TEXT_MAX (64 * 1024)        /* of one comment */
#define DISCUSSION_BYTES_MAX (8 * 1024 * 1024) /* of all events of one */
#define DISCUSSION_EDITS_MAX 20                /* texts a comment had that are kept */
#define DISCUSSION_PULLS "refs/pr/"

enum discussion_status {
	DISCUSSION_OPEN,
	DISCUSSION_CLOSED,
	DISCUSSION_MERGED, /* pull requests alone, like the next */
	DISCUSSION_DRAFT,
};

struct discussion {
	unsigned num; /* from 1 */
	char title[DISCUSSION_TITLE_MAX + 1];
	char author[ACCOUNT_NAME_MAX + 1];
	enum discussion_status status;
	int64_t created_ms;
	uint64_t events, comments, bytes; /* it has */
	/* Of a pull request: the branch it is for, the commit it began at, and the one by which it
	 * came into the branch, or "". */
	bool is_pull;
	char onto[REGISTRY_REF_MAX + 1];
	char base[COMMIT_HEX + 1];
	char merged[COMMIT_HEX + 1];
};

enum event_kind { EVENT_COMMENT, EVENT_STATUS, EVENT_COMMIT, EVENT_TITLE };

/* Its texts are borrowed. */
struct event {
	char id[REGISTRY_UID + 1]; /* hex digits; registry_make_uid makes them */
	enum event_kind kind;
	const char *author;
	int64_t at_ms;
	const char *text;  /* a comment; a status; a commit's title; the title it had */
	const char *other; /* a commit's id; the title it has now; else "" */
	/* Of a comment: who changed it last and when, and what it was before, an array of
	 * {"raw", "updatedAt", "author"}; NULL and 0 if it is as it was. */
	bool hidden;
	const char *editor;
	int64_t edited_ms;
	const struct jval *history;
};

/* "open", "closed", "merged", "draft"; "comment", "status-change", "commit", "title-change". */
const char *discussion_status_word(enum discussion_status status);
/* Closed or merged. */
bool discussion_is_over(const struct discussion *d);
const char *event_kind_word(enum event_kind kind);
/* The ref of a pull request. */
void discussion_ref(unsigned num, char ret[static REGISTRY_REF_MAX + 1]);
/* The number of the pull request whose ref it is, 0 if it is none's. */
unsigned discussion_of_ref(const char *ref);

/* The one of that number. */
MUST_USE int discussion_get(struct db_txn *t, const char *uid, unsigned num,
			    struct discussion *ret);
/* Makes the next one, whose number it gets; or changes one. */
MUST_USE int discussion_add(struct db_txn *t, const char *uid, struct discussion *d);
MUST_USE int discussion_put(struct db_txn *t, const char *uid, const struct discussion *d);
typedef int (*discussion_fn)(void *arg, const struct discussion *d);
/* Calls fn for each, the newest first, until it returns non-zero, and returns that. */
MUST_USE int discussion_each(struct db_txn *t, const char *uid, discussion_fn fn, void *arg);

/* One more event, and the row of its discussion with it. */
MUST_USE int event_add(struct db_txn *t, const char *uid, struct discussion *d,
		       const struct event *e);
typedef int (*event_fn)(void *arg, const struct event *e);
/* Calls fn for each in their order, until it returns non-zero, and returns that. */
MUST_USE int event_each(struct db_txn *t, const char *uid, unsigned num, event_fn fn, void *arg);
/* What becomes of a comment: another text, or, with NULL, none that anybody could read again. */
struct event_change {
	const char *id, *text, *editor;
	bool others;      /* the editor may change what others wrote */
	int64_t since_ms; /* else: what somebody of that name wrote since then */
	int64_t at_ms;
};
/* The row of its discussion changes as well. -EPERM: another one wrote it; -EACCES: it is hidden,
 * which is for ever. */
MUST_USE int event_edit(struct db_txn *t, const char *uid, struct discussion *d,
			const struct event_change *c);

#endif
