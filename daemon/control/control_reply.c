/* SPDX-License-Identifier: Apache-2.0 */
/* What all requests and answers of the control socket have in common. */
#include "daemon/control/control_priv.h"

#include <errno.h>

#include "daemon/base/err.h"

void control_reply(struct httpd_request *q, int status, struct buf *json)
{
	if (buf_add(json, "\n", 1) < 0)
		buf_free(json);
	httpd_reply(q, status, "application/json", json, NULL);
}

static void refuse(struct httpd_request *q, int status, const char *error, const char *allow,
		   const char *message)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };

	jwrite_object(&w, NULL);
	jwrite_text(&w, "error", error);
	jwrite_text(&w, "message", message);
	jwrite_object_end(&w);
	buf_add(&b, "\n", 1);
	httpd_reply(q, status, "application/json", &b, allow);
}

void control_refuse(struct httpd_request *q, int status, const char *error, const char *fmt, ...)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	refuse(q, status, error, NULL, buf_str(&text));
}

void control_refuse_method(struct httpd_request *q, const char *allow)
{
	refuse(q, 405, "method_not_allowed", allow, "this endpoint has another method");
}

void control_fail(struct httpd_request *q, int r)
{
	static const struct {
		int r, status;
		const char *error;
	} table[] = {
		{ ERR_NOREPO, 404, "no_repository" },  { ERR_NOREV, 404, "no_revision" },
		{ ERR_NOENTRY, 404, "no_file" },       { -ENOENT, 404, "not_found" },
		{ -ENOTDIR, 404, "not_found" },        { -EINVAL, 400, "bad_request" },
		{ -ENAMETOOLONG, 400, "bad_request" }, { -EAGAIN, 503, "busy" },
		{ ERR_STOPPING, 503, "stopping" },     { -ENOMEM, 503, "no_memory" },
		{ ERR_OFFLINE, 503, "offline" },
	};

	if (r == -ENOSPC || r == -EDQUOT) {
		refuse(q, 507, "no_space", NULL,
		       "the disk of the cache takes no more: make room on it, and ask again");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].r == r) {
			refuse(q, table[i].status, table[i].error, NULL, err_text(r));
			return;
		}
	refuse(q, err_http(r), "failed", NULL, err_text(r));
}

/* --- what is asked for */

static void refuse_member(struct httpd_request *q, const char *name, const char *const *known,
			  size_t count)
{
	CLEANUP(buf_free) struct buf list = { 0 };

	for (size_t i = 0; i < count; i++)
		buf_printf(&list, "%s\"%s\"", i ? ", " : "", known[i]);
	control_refuse(q, 400, "bad_request", "there is no \"%s\" here; there is %s", name,
		       buf_str(&list));
}

int control_take_object(struct httpd_request *q, const char *const *known, size_t count,
			struct jdoc **ret)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct buf *body = httpd_body(q);
	const char *stranger;

	if (jdoc_parse(buf_str(body), body->len, &d) < 0 || !jval_is_object(jdoc_root(d))) {
		control_refuse(q, 400, "bad_request", "the body must be one JSON object");
		return -EINVAL;
	}
	stranger = jval_stranger(jdoc_root(d), known, count);
	if (stranger) {
		refuse_member(q, stranger, known, count);
		return -EINVAL;
	}
	*ret = steal(d);
	return 0;
}

int64_t control_take_rate(struct httpd_request *q, const struct jval *object, const char *name,
			  int64_t otherwise)
{
	const struct jval *v = jval_get(object, name);
	int64_t rate = v ? jval_size(v) : otherwise;

	if (rate >= 0 && rate <= CONTROL_RATE_MAX)
		return rate;
	control_refuse(q, 400, "bad_request",
		       "\"%s\" must be a number of bytes per second: 0 for no limit, at most %jd",
		       name, (intmax_t)CONTROL_RATE_MAX);
	return -EINVAL;
}

/* --- what is told */

void control_write_percent(struct jwrite *w, uint64_t part, uint64_t whole)
{
	jwrite_number(w, "percent", whole ? (double)part * 100 / (double)whole : 100);
}

void control_write_failure(struct jwrite *w, const struct failure *f)
{
	if (!f) {
		jwrite_null(w, "last_error");
		return;
	}
	jwrite_object(w, "last_error");
	jwrite_text(w, "message", f->text);
	jwrite_text(w, "source", f->source);
	jwrite_int(w, "at", f->at_s);
	jwrite_object_end(w);
}
