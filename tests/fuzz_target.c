/* SPDX-License-Identifier: Apache-2.0 */
/* Input: a request's target, path and query, or a form behind the '?'. Whatever route it is taken
 * for, its names are names, and where the repository stood lies in it. */
#include "admin/hub/target.h"

#include <assert.h>
#include <string.h>

#include "admin/adminapi/adminapi_call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* One of each kind that the hub's table has. */
static const char *const patterns[] = {
	"/healthz",
	"/api/telemetry/:path",
	"/api/admin/v1/:path?",
	"/api/:type",
	"/api/:type/:repo",
	"/api/:type/:repo/tree/:rev/:path?",
	"/api/:type/:repo/revision/:rev",
	"/:prefix/:repo/resolve/:rev/:path",
};

static void check_repo(const struct target *t, const char *path)
{
	struct repo_id again;
	int r = repo_id_parse(t->repo.type, t->repo.name, &again);

	assert(r == 0 && strcmp(again.name, t->repo.name) == 0);
	assert(t->repo_len > 0 && t->repo_at + t->repo_len <= strlen(path));
}

static void check_match(const char *pattern, const char *path)
{
	struct target t;

	if (!target_match(pattern, path, &t))
		return;
	if (strstr(pattern, ":repo"))
		check_repo(&t, path);
	assert(!strstr(pattern, ":rev") || revision_valid(t.rev));
	assert(memchr(t.path, '\0', sizeof(t.path)));
	assert(!*t.path || strstr(pattern, ":path"));
}

static void check_admin(const char *path)
{
	static const struct api_route route = { .path = "/orgs/{org}/members/{user}" };
	struct api_call c = { 0 };

	if (!api_match(&route, path, &c))
		return;
	for (unsigned i = 0; i < 2; i++) /* as many as the route has */
		assert(c.params[i][0] && memchr(c.params[i], '\0', API_PARAM_MAX + 1));
}

static void check_query(const char *query)
{
	CLEANUP(buf_free) struct buf value = { 0 };
	const char *at = query;
	size_t fields = 1;

	for (const char *c = query; *c; c++)
		fields += *c == '&';
	while (target_next_field(&at, "expand", &value)) {
		assert(fields-- > 0 && at >= query && at <= query + strlen(query));
		assert(!value.len || !memchr(value.data, '\0', value.len));
	}
	assert(!*at);
	assert(!target_flag(query, "full") || target_field(query, "full", &value));
	assert(target_number(query, "limit", 7) < 1000000000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	char *query;

	if (buf_add(&text, data, len) < 0 || buf_add(&text, "", 1) < 0)
		return 0;
	query = strchr(text.data, '?');
	if (query)
		*query++ = '\0';
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
		check_match(patterns[i], text.data);
	check_admin(text.data);
	if (query)
		check_query(query);
	return 0;
}
