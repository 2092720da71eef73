/* SPDX-License-Identifier: Apache-2.0 */
/* Input: a query, a newline, and the content of a request to the admin API. What passes its tables
 * is what they say, and what does not is refused with a sentence. */
#include "admin/adminapi/adminapi_call.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "admin/adminapi/adminapi_tokens.h"
#include "daemon/base/err.h"
#include "daemon/base/httpd_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define LIMIT 1000

static const struct api_field query[] = {
	{ .name = "cursor", .kind = API_TEXT, .max = 96 },
	{ .name = "limit", .kind = API_COUNT, .min = 1, .max = LIMIT },
	{ .name = "kind", .kind = API_WORD, .words = "user|org" },
	{ .name = "from", .kind = API_TIME },
	{ 0 },
};

static const struct api_route routes[] = {
	{ .method = "POST", .path = "/tokens", .content = &api_token_new_shape, .query = query },
	{ .method = "PUT", .path = "/rules", .content = &api_rule_shape, .bare = true },
};

static void check_passed(const struct api_call *c)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	const char *kind = c->route->query ? api_query(c, "kind", &room) : NULL;
	uint64_t limit;

	assert(!kind || strcmp(kind, "user") == 0 || strcmp(kind, "org") == 0);
	if (c->route->query) {
		limit = api_query_count(c, "limit", 1);
		assert(limit >= 1 && limit <= LIMIT);
	}
	assert(c->content || c->route->bare);
	for (const struct api_field *f = c->route->content->fields; c->content && f->name; f++) {
		const struct jval *v = jval_get(c->content, f->name);

		assert(v || !f->needed);
		assert(!v || f->kind != API_WORD || api_has_word(f->words, jval_str(v)));
		assert(!v || f->kind != API_COUNT || api_count(v) >= f->min);
	}
}

static void check_route(const struct api_route *route, const char *text, const char *content)
{
	struct httpd_request http = { 0 };
	struct ask ask = { .http = &http, .asked.query = text };
	struct api_call c = { .ask = &ask, .route = route };
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	int r = buf_add_str(&http.body, content);

	assert(r == 0);
	r = api_check(&c, &doc);
	assert(r == 0 || (r == ERR_CONF && c.why.len));
	if (r == 0)
		check_passed(&c);
	api_call_fini(&c);
	buf_free(&http.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	char *content;

	if (buf_add(&text, data, len) < 0 || buf_add(&text, "", 1) < 0)
		return 0;
	content = strchr(text.data, '\n');
	if (!content)
		return 0;
	*content++ = '\0';
	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		check_route(&routes[i], text.data, content);
	return 0;
}
