/* SPDX-License-Identifier: Apache-2.0 */
/* What all answers of the hub have in common: request ids, error fields. What clients decide by is
 * in the head, since a HEAD has no body (hf-contract §1.0). Each call answers the request. */
#ifndef MATRIXFS_ANSWER_H
#define MATRIXFS_ANSWER_H

#include "admin/catalogue/catalogue.h"
#include "admin/hub/ask.h"
#include "admin/hub/ready.h"
#include "daemon/base/jwrite.h"

/* The type of most of them. */
#define ANSWER_JSON "application/json; charset=utf-8"

/* A head with the fields of every answer; `type` may be NULL. */
struct httpd_head answer_head(const struct ask *a, int status, const char *type);
/* A field that says where the next page of a list is: by that path on this hub. */
void answer_next(const struct ask *a, struct httpd_head *h, const char *fmt, ...) PRINTF(3, 4);
/* JSON, which is taken. */
void answer_json(const struct ask *a, int status, struct buf *json);
/* The same with more fields: the head is taken as well. */
void answer_json_head(const struct ask *a, struct httpd_head *h, struct buf *json);
/* The key of a text that was told from the files of the request's commit and from its query alone;
 * `kind` tells questions apart. */
MUST_USE int answer_ready_key(const struct ask *a, const char *kind, struct buf *ret);
/* As ready_put, of what this request worked out: it may have begun before something ceased to be
 * so. */
MUST_USE int answer_ready_put(const struct ask *a, const char *key, struct buf *text,
			      const struct ready_note *note, struct ready_text **ret);
/* A text that is ready, packed as the client takes it; 304 if it has that already. The head is
 * taken. */
void answer_ready(const struct ask *a, struct httpd_head *h, struct ready_text *t);
/* Writes what is told of a repository of which no document says more: members of its object. How it
 * is gated, or NULL. */
void answer_repo_state(struct jwrite *w, const char *gated);
/* Writes what is counted here of a repository that is hosted here. */
void answer_repo_counts(struct jwrite *w, const struct catalogue_entry *e);
/* Failure r, in the words, the status and the fields of the hub whose clients ask. */
void answer_fail(const struct ask *a, int r);
/* The same in words of the caller's. */
void answer_fail_saying(const struct ask *a, int r, const char *fmt, ...) PRINTF(3, 4);
/* Answers what the request's conditions say of a file with that tag (condition.h): false if they
 * let it go on. */
bool answer_held_back(const struct ask *a, const char *etag);
/* Another failure: {"error": message}. */
void answer_refuse(const struct ask *a, int status, const char *fmt, ...) PRINTF(3, 4);
/* The same with a word for programs in X-Error-Code. */
void answer_refuse_as(const struct ask *a, int status, const char *code, const char *fmt, ...)
	PRINTF(4, 5);
/* A failure that may be over in so many seconds: Retry-After. */
void answer_refuse_for(const struct ask *a, int status, unsigned seconds, const char *message);
/* 405: the method is none of those. */
void answer_refuse_method(const struct ask *a, const char *allow);

#endif
