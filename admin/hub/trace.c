/* SPDX-License-Identifier: Apache-2.0 */
/* A trace belongs to its request in httpd from the moment it is made, and goes when that is over
 * for both sides: so whoever has not answered yet may use it. */
#include "admin/hub/trace.h"

#include <errno.h>
#include <string.h>

#include "admin/hub/access.h"
#include "admin/hub/ask.h"
#include "admin/audit/audit.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"

struct trace {
	struct server *server;
	struct audit_record *rec; /* owned */
	bool download;
	uint64_t length;          /* of the answer's body */
	uint64_t handed;          /* of it, as far as that is known: as much of it was made */
	struct audit_span *spans; /* owned */
	unsigned count;
	int broken; /* why we broke it off, or 0 */
};

void trace_who(const struct ask *a, const char **ret_user, const char **ret_token)
{
	*ret_user = a->who.known ? a->who.user : NULL;
	*ret_token = a->who.known ? a->who.token.name : NULL;
}

void trace_record(const struct ask *a, const char *kind, struct audit_record *ret)
{
	*ret = (struct audit_record){
		.kind = kind,
		.address = a->asked.address,
		.since_ms = a->asked.since_ms,
		.request_id = a->asked.id,
		.given_id = a->asked.given_id,
		.agent = a->asked.agent,
	};
	trace_who(a, &ret->user, &ret->token);
}

/* --- the end */

static void trace_free(struct trace *t)
{
	free(t->rec);
	free(t->spans);
	free(t);
}

/* What the kernel says of an answer that was cut counts its head as well: the last byte is never
 * among them. An answer of another status tells that the file could not be given after all. */
static uint64_t sent_of(const struct trace *t, const struct httpd_end *e, bool whole)
{
	uint64_t of_file = 0;

	for (unsigned i = 0; i < t->count; i++)
		of_file += t->spans[i].to - t->spans[i].from;
	if (whole || (e->status != 200 && e->status != 206))
		return whole ? of_file : 0;
	return min_u64(min_u64(e->bytes, t->length ? t->length - 1 : 0),
		       min_u64(t->handed, of_file));
}

static void end_download(struct trace *t, const struct httpd_end *e)
{
	bool whole = e->whole && !t->broken && (e->status == 200 || e->status == 206);

	t->rec->status = e->status;
	t->rec->why = "the connection broke before the end";
	if (t->broken) /* other texts do not stay */
		t->rec->why = err_index(t->broken) ? err_text(t->broken) : "it could not be read";
	audit_download_end(t->server->audit, t->rec, t->spans, t->count, sent_of(t, e, whole),
			   !whole);
}

static void note_access(const struct trace *t, const struct httpd_request *q,
			const struct httpd_end *e)
{
	const struct access_entry entry = {
		.address = t->rec->address,
		.user = t->rec->user,
		.time_s = t->rec->since_ms / 1000,
		.method = httpd_method(q),
		.target = httpd_target(q),
		.status = e->status,
		.bytes = e->bytes,
		.agent = t->rec->agent,
		.request_id = t->rec->request_id,
		.given_id = t->rec->given_id,
		.took_us = e->all_us,
	};

	access_note(t->server->access, &entry);
}

void trace_end(struct trace *t, const struct httpd_request *q, const struct httpd_end *e)
{
	if (!t)
		return;
	note_access(t, q, e);
	if (t->download)
		end_download(t, e);
	trace_free(t);
}

/* The request's trace tells this of it; it is made if there is none. NULL without memory. */
static struct trace *tell(struct ask *a, const struct audit_record *rec)
{
	struct audit_record *copy = audit_record_copy(rec);
	struct trace *t = a->trace;

	if (copy && !t)
		t = calloc(1, sizeof(*t));
	if (!copy || !t) {
		free(copy);
		return NULL;
	}
	free(t->rec);
	t->rec = copy;
	if (a->trace)
		return t;
	t->server = a->server;
	t->handed = UINT64_MAX;
	a->trace = t;
	httpd_attach(a->http, t);
	return t;
}

/* --- what is told */

void trace_begin(struct ask *a)
{
	struct audit_record rec;

	if (!a->server->access)
		return;
	trace_record(a, AUDIT_DOWNLOAD, &rec);
	if (!tell(a, &rec))
		log_debug("no memory for a line of the access log");
}

void trace_handed(struct trace *t, uint64_t pos, ssize_t n)
{
	if (!t)
		return;
	t->handed = pos + (n > 0 ? (uint64_t)n : 0);
	if (n < 0)
		t->broken = (int)n;
}

/* What was tried at the admin API: its path, in which no secrets are. */
static void describe_try(const struct ask *a, struct buf *ret)
{
	const char *target = httpd_target(a->http);

	buf_printf(ret, "%s %.*s", httpd_method(a->http), (int)strcspn(target, "?"), target);
}

/* It would change a repository. */
static bool is_change(const struct ask *a)
{
	return a->changes || ((a->role == ROLE_SPEAK || a->role == ROLE_WRITE) && !a->asked.head &&
			      strcmp(httpd_method(a->http), "GET") != 0);
}

static void tell_refusal(const struct ask *a, struct audit_record *rec, int r)
{
	CLEANUP(buf_free) struct buf tried = { 0 };

	if (a->role == ROLE_HUB || is_change(a)) {
		describe_try(a, &tried);
		rec->note = buf_str(&tried);
	}
	rec->outcome = AUDIT_REFUSED;
	rec->why = err_text(r);
	audit_refusal(a->server->audit, rec);
}

void trace_signin_refused(const struct ask *a, int r)
{
	struct audit_record rec;

	trace_record(a, a->role == ROLE_HUB ? AUDIT_ADMIN : AUDIT_SIGNIN, &rec);
	rec.status = err_http(r);
	tell_refusal(a, &rec, r);
}

static bool is_refusal(int r, int status)
{
	return r == ERR_NOREPO || status == 401 || status == 403;
}

void trace_failed(const struct ask *a, int r, int status)
{
	char repo[REPO_KEY_MAX + 1];
	struct audit_record rec;

	if (a->role == ROLE_HUB && r == ERR_FORBIDDEN) {
		trace_record(a, AUDIT_ADMIN, &rec);
		rec.status = status;
		tell_refusal(a, &rec, r);
		return;
	}
	if (!(a->file_wanted || is_change(a)) || !is_refusal(r, status) || auth_refuses(r))
		return;
	trace_record(a, is_change(a) ? AUDIT_CHANGE : AUDIT_DOWNLOAD, &rec);
	repo_id_key(&a->asked.target.repo, repo);
	rec.repo = repo;
	rec.commit = a->commit;
	rec.file = a->asked.target.path;
	rec.status = status;
	tell_refusal(a, &rec, r);
}

int trace_download(struct ask *a, uint64_t size, const struct audit_span *spans, unsigned count,
		   uint64_t length)
{
	char repo[REPO_KEY_MAX + 1];
	struct audit_record rec;

	trace_record(a, AUDIT_DOWNLOAD, &rec);
	repo_id_key(repo_id_of(a->repo), repo);
	rec.repo = repo;
	rec.commit = a->commit;
	rec.file = a->asked.target.path;
	rec.size = size;
	return trace_bytes(a, &rec, spans, count, length);
}

int trace_bytes(struct ask *a, struct audit_record *rec, const struct audit_span *spans,
		unsigned count, uint64_t length)
{
	CLEANUP(freep) struct audit_span *copy = NULL;
	struct trace *t;

	if (!a->server->audit)
		return 0;
	rec->has_bytes = true;
	t = tell(a, rec);
	copy = calloc(count ? count : 1, sizeof(*copy));
	if (!t || !copy)
		return -ENOMEM;
	if (count)
		memcpy(copy, spans, count * sizeof(*spans));
	t->spans = steal(copy);
	t->count = count;
	t->length = length;
	t->download = true;
	audit_download_begin(a->server->audit, t->rec);
	return 0;
}
