/* SPDX-License-Identifier: Apache-2.0 */
/* What audit and access log are told of a request, some of it when the request itself is gone: its
 * answer takes longer than its handler. */
#ifndef MATRIXFS_TRACE_H
#define MATRIXFS_TRACE_H

#include <sys/types.h>

#include "admin/audit/audit_open.h"

struct ask;
struct httpd_end;
struct httpd_request;
struct trace;

/* The name and the name of the token of who asks, NULL if nobody knows: the only place that looks
 * into it for a record. Borrowed from the request. */
void trace_who(const struct ask *a, const char **ret_user, const char **ret_token);
/* Fills in who, from where, and with what id: what records of one request have in common. Its texts
 * are borrowed from the request. */
void trace_record(const struct ask *a, const char *kind, struct audit_record *ret);

/* It is known who asks: with an access log, the end of the request is going to be told. */
void trace_begin(struct ask *a);
/* Its credentials were refused, with r: at the admin API that is one of its acts. */
void trace_signin_refused(const struct ask *a, int r);
/* It fails with r, answered with that status: the refusal is told of files, of changes, and of the
 * admin API. */
void trace_failed(const struct ask *a, int r, int status);
/* Bytes of a file of the request's commit are going to be its answer, `length` with what stands
 * between them. Before the answer. -ENOMEM: then it must not be given. */
MUST_USE int trace_download(struct ask *a, uint64_t size, const struct audit_span *spans,
			    unsigned count, uint64_t length);
/* The same of a file that its link names: rec says which, of what size, and who was given the link.
 */
MUST_USE int trace_bytes(struct ask *a, struct audit_record *rec, const struct audit_span *spans,
			 unsigned count, uint64_t length);
/* n more bytes of its body are handed over, those at pos; or it breaks off there because of a
 * negative n. t: of the request, NULL is none. Until the answer has ended. */
void trace_handed(struct trace *t, uint64_t pos, ssize_t n);
/* Its request is over: tells of it, and is freed. t as above. */
void trace_end(struct trace *t, const struct httpd_request *q, const struct httpd_end *e);

#endif
