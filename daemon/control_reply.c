/* SPDX-License-Identifier: Apache-2.0 */
/* What all answers of the control socket have in common. */
#include "daemon/control_priv.h"

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
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].r == r) {
			refuse(q, table[i].status, table[i].error, NULL, err_text(r));
			return;
		}
	refuse(q, err_http(r), "failed", NULL, err_text(r));
}
