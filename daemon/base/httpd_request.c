/* SPDX-License-Identifier: Apache-2.0 */
/* A request lives until both sides are done with it: the library with its connection, the handler
 * with its answer. */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "daemon/base/httpd_calls.h"
#include "daemon/base/url.h"

static void request_free(struct httpd_request *q)
{
	buf_free(&q->query);
	buf_free(&q->body);
	buf_free(&q->piece);
	free(q->target);
	free(q->method);
	free(q->path);
	free(q);
}

/* An absolute one may have no path, but a query. */
static char *copy_target(const char *target)
{
	const char *path = url_target_path(target), *query = strchr(target, '?');
	char *ret;

	if (!query || strchr(path, '?'))
		return strdup(path);
	return asprintf(&ret, "%s%s", path, query) < 0 ? NULL : ret;
}

struct httpd_request *httpd_request_new(struct httpd *h, struct MHD_Connection *c,
					const char *target)
{
	struct httpd_request *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->all = h;
	q->connection = c;
	q->target = copy_target(target);
	if (!q->target) {
		request_free(q);
		return NULL;
	}
	q->in_library = true;
	q->link = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	q->address = q->link->address;
	q->remote = q->link->remote;
	q->secure = q->link->cert;
	lock_take(&h->lock);
	q->next = h->requests;
	if (h->requests)
		h->requests->prev = q;
	h->requests = q;
	lock_drop(&h->lock);
	return q;
}

static void unlink_locked(struct httpd_request *q)
{
	*(q->prev ? &q->prev->next : &q->all->requests) = q->next;
	if (q->next)
		q->next->prev = q->prev;
}

/* It stays in the list until that was told: so a stop waits for it. */
static void end(struct httpd_request *q)
{
	struct httpd *h = q->all;

	if (h->conf.ended && q->method && q->path)
		h->conf.ended(h->conf.arg, q, &q->end);
	lock_take(&h->lock);
	unlink_locked(q);
	h->bodies -= q->kept;
	if (h->closed)
		cond_wake_all(&h->changed);
	lock_drop(&h->lock);
	request_free(q);
}

void httpd_leave(struct httpd_request *q, bool *side)
{
	struct httpd *h = q->all;
	bool last;

	lock_take(&h->lock);
	*side = false;
	last = !q->in_library && !q->in_handler;
	if (h->closed)
		cond_wake_all(&h->changed);
	lock_drop(&h->lock);
	if (last)
		end(q);
}

void httpd_enter(struct httpd *h)
{
	atomic_fetch_add(&h->inside, 1);
}

void httpd_exit(struct httpd *h)
{
	if (atomic_fetch_sub(&h->inside, 1) > 1 || !h->closed)
		return;
	lock_take(&h->lock);
	cond_wake_all(&h->changed);
	lock_drop(&h->lock);
}

void httpd_nudge(struct httpd *h)
{
	const uint64_t one = 1;

	(void)!write(h->wake_fd, &one, sizeof(one));
}

void httpd_keep_locked(struct httpd_request *q, int status, struct MHD_Response *m)
{
	bool suspended = q->stage == STAGE_PARKED || q->waits;

	q->stage = STAGE_ANSWERED;
	q->status = status;
	q->answer = m;
	q->waits = false;
	if (suspended && q->in_library)
		MHD_resume_connection(q->connection);
}

/* --- what it says */

const char *httpd_target(const struct httpd_request *q)
{
	return q->target;
}

const char *httpd_method(const struct httpd_request *q)
{
	return q->method;
}

const char *httpd_path(const struct httpd_request *q)
{
	return q->path;
}

const struct buf *httpd_body(const struct httpd_request *q)
{
	return &q->body;
}

bool httpd_is_secure(const struct httpd_request *q)
{
	return q->secure;
}

/* As inet_ntop has it, which takes its time: every request is told of with one. */
static void print_v4(const uint8_t at[static 4], char *to)
{
	for (int i = 0; i < 4; i++) {
		if (at[i] >= 100)
			*to++ = (char)('0' + at[i] / 100);
		if (at[i] >= 10)
			*to++ = (char)('0' + at[i] / 10 % 10);
		*to++ = (char)('0' + at[i] % 10);
		*to++ = i < 3 ? '.' : '\0';
	}
}

void httpd_address(const struct httpd_request *q, char ret[static HTTPD_ADDRESS_MAX])
{
	if (q->remote && IN6_IS_ADDR_V4MAPPED(&q->address))
		print_v4(&q->address.s6_addr[12], ret);
	else if (!q->remote || !inet_ntop(AF_INET6, &q->address.s6_addr, ret, HTTPD_ADDRESS_MAX))
		*ret = '\0';
}

void httpd_note(struct httpd_request *q, unsigned note)
{
	q->note = note;
}

unsigned httpd_noted(const struct httpd_request *q)
{
	return q->note;
}

void httpd_attach(struct httpd_request *q, void *what)
{
	q->attached = what;
}

void *httpd_attached(const struct httpd_request *q)
{
	return q->attached;
}

static void add_decoded(struct buf *b, const char *text, size_t len)
{
	size_t at = b->len;

	if (buf_add(b, text, len) < 0 || buf_add(b, "", 1) < 0)
		return;
	for (char *c = b->data + at; *c; c++)
		if (*c == '+')
			*c = ' ';
	b->len = at + url_decode(b->data + at) + 1;
}

static void decode_query(struct httpd_request *q)
{
	const char *at = strchr(q->target, '?');

	while (at++ && *at) {
		size_t len = strcspn(at, "&"), name = strcspn(at, "&=");

		add_decoded(&q->query, at, name);
		add_decoded(&q->query, at + name + (name < len), len - name - (name < len));
		at = at[len] ? at + len : NULL;
	}
}

const char *httpd_query(struct httpd_request *q, const char *name)
{
	const char *at, *end;

	if (!q->query.data)
		decode_query(q);
	at = q->query.failed ? NULL : q->query.data;
	for (end = at + q->query.len; at && at < end;) {
		const char *value = at + strlen(at) + 1;

		if (!strcmp(at, name))
			return value;
		at = value + strlen(value) + 1;
	}
	return NULL;
}

struct fields {
	const char *name;
	struct buf *to;
};

static enum MHD_Result add_field(void *arg, enum MHD_ValueKind kind UNUSED, const char *name,
				 const char *value)
{
	const struct fields *f = arg;

	if (strcasecmp(name, f->name) == 0)
		buf_printf(f->to, "%s%s", f->to->len ? ", " : "", value ? value : "");
	return MHD_YES;
}

int httpd_fields(const struct httpd_request *q, const char *name, struct buf *ret)
{
	struct fields f = { name, ret };

	MHD_get_connection_values(q->connection, MHD_HEADER_KIND, add_field, &f);
	return ret->failed;
}

const char *httpd_field(const struct httpd_request *q, const char *name)
{
	const char *value = NULL;
	size_t len = 0;

	if (MHD_lookup_connection_value_n(q->connection, MHD_HEADER_KIND, name, strlen(name),
					  &value, &len) != MHD_YES)
		return NULL;
	return value ? value : "";
}
