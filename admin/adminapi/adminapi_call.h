/* SPDX-License-Identifier: Apache-2.0 */
/* One request to the admin API: its route, what it says, checked, and its answer. A worker
 * runs it, so it may wait for the disk. */
#ifndef MATRIXFS_ADMINAPI_CALL_H
#define MATRIXFS_ADMINAPI_CALL_H

#include "admin/adminapi/adminapi_fields.h"
#include "admin/hub/ask.h"

#define API_ROOT "/api/admin/v1"
#define API_PARAMS_MAX 3
#define API_PARAM_MAX 600 /* bytes of a variable segment, decoded */
#define API_ITEMS_MAX 1000
#define API_ITEMS 100 /* of a page, unless it is asked for otherwise */
#define API_ANSWERED 1

struct api_call;

/* Does it and writes the answer with c->w. 0; API_ANSWERED (it has); a negative error, perhaps with
 * a sentence in c->why: -EINVAL and ERR_CONF are 400, -ENOENT 404, -EEXIST and -EBUSY 409, others
 * as the table of errors says. */
typedef int (*api_fn)(struct api_call *c);

struct api_route {
	const char *method, *path; /* "/users/{user}": behind API_ROOT */
	const char *id;            /* its name in the document: "user.add"; in the audit trail */
	const char *doc;
	api_fn run;
	const struct api_shape *content; /* what it takes, or NULL */
	bool bare;                       /* it may come without */
	const struct api_field *query;   /* fields of the query, or NULL */
	int status;                      /* of success */
	const struct api_shape *answer;
	bool list;        /* pages of such objects: "items", "next" */
	const char *type; /* of an answer that is no JSON ("text/csv|..."), or NULL */
};

struct api_call {
	struct ask *ask;
	struct db *db; /* for changes: what is owed for them comes with them */
	const struct api_route *route;
	char params[API_PARAMS_MAX][API_PARAM_MAX + 1]; /* in the order of the path */
	const struct jval *content; /* an object that was checked, or NULL; borrowed */
	struct buf answer;
	struct jwrite w;                /* to it */
	struct buf why, field, subject; /* subject: what was changed, for the audit trail */
};

/* Fills *c for a path (undecoded, no query) behind API_ROOT: false if it is not the route's. */
bool api_match(const struct api_route *route, const char *path, struct api_call *c);
/* Checks content and query by the route's tables. Negative as a handler's. */
MUST_USE int api_check(struct api_call *c, struct jdoc **ret_content);
void api_call_fini(struct api_call *c);

/* --- for handlers */

/* Refuses: the sentence goes to c->why. Returns r. */
int api_complain(struct api_call *c, int r, const char *fmt, ...) PRINTF(3, 4);
/* A field of the query, decoded; NULL if it is absent. Borrowed until the next call with `room`. */
const char *api_query(const struct api_call *c, const char *name, struct buf *room);
/* The same of one that is a number. */
uint64_t api_query_count(const struct api_call *c, const char *name, uint64_t otherwise);
/* A member of the content: a text, `otherwise` if it is absent; a boolean, -1. */
const char *api_text(const struct api_call *c, const char *name, const char *otherwise);
int api_bool(const struct api_call *c, const char *name);

/* Where accounts, tokens and rules are. */
struct db *api_db(const struct api_call *c);
/* Writes an object without members: there is nothing to tell. 0. */
int api_nothing(struct api_call *c);

/* A page of a list, under way. */
struct api_page {
	struct api_call *call;
	uint64_t left;
	char last[API_PARAM_MAX + 1]; /* where the next one begins, "": there is none */
	bool more;
};

/* Begins it: writes all up to the first item; *ret_after is where it goes on, NULL: from the
 * start. */
struct api_page api_page_begin(struct api_call *c, struct buf *room, const char **ret_after);
/* True if one more item, of that name, may be written now; else the list has ended. */
bool api_page_room(struct api_page *p, const char *name);
void api_page_end(struct api_page *p);

/* The status of a failure. */
int api_http(int r);
/* Answers with a failure. */
void api_fail(struct api_call *c, int r);
/* The same with a status of its own, and perhaps an Allow field. */
void api_refuse(struct api_call *c, int status, const char *allow, const char *message);

#endif
