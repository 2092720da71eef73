/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/httpc_priv.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/base/buf.h"

static int add_line(struct curl_slist **lines, const char *line)
{
	struct curl_slist *more;

	for (const char *c = line; *c; c++) {
		if (iscntrl((unsigned char)*c))
			return -EINVAL; /* would begin a header of its own */
	}
	more = curl_slist_append(*lines, line);
	if (!more)
		return -ENOMEM;
	*lines = more;
	return 0;
}

static int add_header(struct curl_slist **lines, const char *name, const char *value)
{
	CLEANUP(buf_free) struct buf line = { 0 };
	int r;

	if (!value)
		return 0;
	if (buf_printf(&line, "%s: %s", name, value) < 0)
		return -ENOMEM;
	r = add_line(lines, buf_str(&line));
	explicit_bzero(line.data, line.len);
	return r;
}

/* True for "Name: value": other forms libcurl would take for orders to leave a field out. */
static bool is_field(const char *line)
{
	size_t name = strcspn(line, ":; ");

	return name > 0 && strncmp(line + name, ": ", 2) == 0 &&
	       line[name + 1 + strspn(line + name + 1, " ")];
}

static int add_fields(struct curl_slist **lines, const struct httpc_request *q)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < q->field_count; i++)
		r = is_field(q->fields[i]) ? add_line(lines, q->fields[i]) : -EINVAL;
	return r;
}

int httpc_lines(const struct httpc_request *q, struct curl_slist **ret)
{
	CLEANUP(buf_free) struct buf bearer = { 0 };
	int r = add_header(ret, "Accept-Encoding", "identity");

	if (r == 0)
		r = add_header(ret, "Accept", q->accept);
	if (r == 0 && q->content)
		r = add_header(ret, "Content-Type", "application/json");
	if (r == 0)
		r = add_fields(ret, q);
	if (r < 0 || !q->token)
		return r;
	r = buf_printf(&bearer, "Bearer %s", q->token);
	if (r == 0)
		r = add_header(ret, "Authorization", buf_str(&bearer));
	if (bearer.data)
		explicit_bzero(bearer.data, bearer.len);
	return r;
}

void httpc_lines_free(struct curl_slist *lines)
{
	for (struct curl_slist *l = lines; l; l = l->next)
		explicit_bzero(l->data, strlen(l->data));
	curl_slist_free_all(lines);
}
