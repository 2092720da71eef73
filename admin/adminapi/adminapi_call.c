/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/adminapi/adminapi_call.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "daemon/base/err.h"
#include "daemon/base/url.h"
#include "daemon/base/why.h"

#define QUERY_NAME_MAX 64
#define CONTENT_BYTES_MAX (256 * 1024)

/* --- which route */

/* Decodes a segment of len bytes; false if it is empty or too long, or holds what no name does. */
static bool take_param(const char *text, size_t len, char ret[static API_PARAM_MAX + 1])
{
	size_t n;

	if (!len || len > API_PARAM_MAX)
		return false;
	memcpy(ret, text, len);
	ret[len] = '\0';
	n = url_decode(ret);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)ret[i] < 0x20 || ret[i] == 0x7f)
			return false;
	return n > 0 && !strstr(ret, "%00");
}

bool api_match(const struct api_route *route, const char *path, struct api_call *c)
{
	const char *want = route->path;
	unsigned n = 0;

	while (*want == '/' && *path == '/') {
		size_t len = strcspn(++want, "/"), have = strcspn(++path, "/");

		if (*want != '{') {
			if (len != have || strncmp(want, path, len) != 0)
				return false;
		} else if (n == API_PARAMS_MAX || !take_param(path, have, c->params[n++])) {
			return false;
		}
		want += len;
		path += have;
	}
	return !*want && !*path;
}

/* --- what it says */

static const struct api_field *find_field(const struct api_field *f, const char *name)
{
	for (; f && f->name; f++)
		if (!strcmp(f->name, name))
			return f;
	return NULL;
}

/* Each field of the query must be known, and be what it must be. */
static int check_field(struct api_call *c, const char *at)
{
	char name[QUERY_NAME_MAX + 1];
	CLEANUP(buf_free) struct buf value = { 0 };
	size_t len = strcspn(at, "=&");
	const struct api_field *f;
	int r;

	snprintf(name, sizeof(name), "%.*s", (int)len, at);
	url_decode(name);
	f = len <= QUERY_NAME_MAX ? find_field(c->route->query, name) : NULL;
	if (!f) {
		buf_add_str(&c->field, name);
		return complain(&c->why, "the query has a field \"%s\", which is not known here",
				name);
	}
	if (!target_next_field(&at, name, &value))
		return ERR_CONF;
	r = api_check_text(f, buf_str(&value), &c->why);
	if (r < 0)
		buf_add_str(&c->field, name);
	return r;
}

static int check_needed(struct api_call *c)
{
	for (const struct api_field *f = c->route->query; f && f->name; f++) {
		CLEANUP(buf_free) struct buf room = { 0 };

		if (!f->needed || api_query(c, f->name, &room))
			continue;
		buf_add_str(&c->field, f->name);
		return complain(&c->why, "the query lacks a field \"%s\"", f->name);
	}
	return 0;
}

static int check_query(struct api_call *c)
{
	const char *at = c->ask->asked.query;
	int r = check_needed(c);

	while (r == 0 && *at) {
		size_t len = strcspn(at, "&");

		r = len ? check_field(c, at) : 0;
		at += len + (at[len] == '&');
	}
	return r;
}

static int check_content(struct api_call *c, struct jdoc **ret)
{
	const struct buf *body = httpd_body(c->ask->http);
	int r;

	if (!c->route->content)
		return body->len ? complain(&c->why, "nothing is to be sent with this request") : 0;
	if (!body->len && c->route->bare)
		return 0;
	if (body->len > CONTENT_BYTES_MAX)
		return complain(&c->why, "the content has more than %d bytes", CONTENT_BYTES_MAX);
	r = jdoc_parse(buf_str(body), body->len, ret);
	if (r < 0)
		return r == -ENOMEM ? r : complain(&c->why, "the content is no JSON");
	c->content = jdoc_root(*ret);
	return api_check_object(c->route->content, c->content, &c->field, &c->why);
}

int api_check(struct api_call *c, struct jdoc **ret_content)
{
	int r = check_query(c);

	return r < 0 ? r : check_content(c, ret_content);
}

void api_call_fini(struct api_call *c)
{
	if (c->answer.data)
		explicit_bzero(c->answer.data, c->answer.cap);
	buf_free(&c->answer);
	buf_free(&c->why);
	buf_free(&c->field);
	buf_free(&c->subject);
}

/* --- for handlers */

int api_complain(struct api_call *c, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&c->why, fmt, ap);
	va_end(ap);
	return r;
}

const char *api_query(const struct api_call *c, const char *name, struct buf *room)
{
	return target_field(c->ask->asked.query, name, room) ? buf_str(room) : NULL;
}

uint64_t api_query_count(const struct api_call *c, const char *name, uint64_t otherwise)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	const char *text = api_query(c, name, &room);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

const char *api_text(const struct api_call *c, const char *name, const char *otherwise)
{
	const char *text = jval_get_str(c->content, name);

	return text ? text : otherwise;
}

int api_bool(const struct api_call *c, const char *name)
{
	return jval_bool(jval_get(c->content, name));
}

struct db *api_db(const struct api_call *c)
{
	return c->db;
}

int api_nothing(struct api_call *c)
{
	jwrite_object(&c->w, NULL);
	jwrite_object_end(&c->w);
	return 0;
}

/* --- pages */

struct api_page api_page_begin(struct api_call *c, struct buf *room, const char **ret_after)
{
	*ret_after = api_query(c, "cursor", room);
	jwrite_object(&c->w, NULL);
	jwrite_array(&c->w, "items");
	return (struct api_page){ .call = c, .left = api_query_count(c, "limit", API_ITEMS) };
}

bool api_page_room(struct api_page *p, const char *name)
{
	if (p->left == 0) {
		p->more = true;
		return false;
	}
	p->left--;
	snprintf(p->last, sizeof(p->last), "%s", name);
	return true;
}

void api_page_end(struct api_page *p)
{
	jwrite_array_end(&p->call->w);
	jwrite_text(&p->call->w, "next", p->more ? p->last : NULL);
	jwrite_object_end(&p->call->w);
}

/* --- failures */

void api_refuse(struct api_call *c, int status, const char *allow, const char *message)
{
	struct httpd_head h = answer_head(c->ask, status, ANSWER_JSON);
	CLEANUP(buf_free) struct buf json = { 0 };
	struct jwrite w = { .to = &json };

	if (allow)
		httpd_head_add(&h, "Allow", "%s", allow);
	if (status == 401)
		httpd_head_add(&h, "WWW-Authenticate", "Bearer");
	jwrite_object(&w, NULL);
	jwrite_text(&w, "error", message);
	if (c->field.len)
		jwrite_text(&w, "field", buf_str(&c->field));
	jwrite_object_end(&w);
	answer_json_head(c->ask, &h, &json);
}

int api_http(int r)
{
	switch (r) {
	case -EINVAL:
		return 400;
	case -EEXIST:
	case -EBUSY:
		return 409;
	case ERR_OFFLINE:
	case -EAGAIN:
		return 503;
	default:
		return err_http(r);
	}
}

void api_fail(struct api_call *c, int r)
{
	api_refuse(c, api_http(r), NULL, c->why.len ? buf_str(&c->why) : err_text(r));
}
