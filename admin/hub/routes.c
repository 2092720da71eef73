/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/routes.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "admin/hub/about.h"
#include "admin/adminapi/adminapi.h"
#include "admin/hub/answer.h"
#include "admin/audit/audit_metrics.h"
#include "admin/hub/branches.h"
#include "admin/hub/collections.h"
#include "admin/hub/discuss.h"
#include "admin/hub/discuss_list.h"
#include "admin/checkins.h"
#include "admin/health.h"
#include "admin/hub/checkin.h"
#include "admin/hub/checking.h"
#include "admin/hub/chunks.h"
#include "admin/hub/compare.h"
#include "admin/hub/gate_requests.h"
#include "admin/scrubber.h"
#include "admin/hub/info.h"
#include "admin/hub/lfs.h"
#include "admin/hub/lfs_bytes.h"
#include "admin/hub/likers.h"
#include "admin/hub/list.h"
#include "admin/hub/possessions.h"
#include "admin/hub/preupload.h"
#include "admin/hub/profiles.h"
#include "admin/hub/pull_drop.h"
#include "admin/hub/pulls.h"
#include "admin/hub/quicksearch.h"
#include "admin/hub/repo_create.h"
#include "admin/hub/repo_delete.h"
#include "admin/hub/repo_duplicate.h"
#include "admin/hub/repo_lfs.h"
#include "admin/hub/repo_move.h"
#include "admin/hub/repo_settings.h"
#include "admin/hub/repo_squash.h"
#include "admin/hub/resolve.h"
#include "admin/hub/tagging.h"
#include "admin/hub/taglist.h"
#include "admin/hub/trace.h"
#include "admin/hub/tree.h"
#include "admin/hub/upload.h"
#include "admin/hub/validate.h"
#include "admin/hub/webhooks.h"
#include "admin/hub/whoami.h"
#include "admin/hub/xet.h"
#include "admin/hub/xet_read.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/httpd_pieces.h"
#include "daemon/exposition.h"
#include "daemon/peer/member_checkin.h"

#define BODY_MAX (1024 * 1024) /* of a request that changes or asks something */

struct route {
	const char *method;  /* NULL: any, the handler says which */
	const char *pattern; /* see target.h; the first that fits counts */
	ask_fn run;
	enum role role; /* what it needs: see ask_start */
};

static int show_metrics(struct ask *a);

static const struct route routes[] = {
	{ "GET", "/healthz", about_health, ROLE_NONE },
	{ "GET", "/readyz", about_ready, ROLE_NONE },
	{ "GET", "/metrics", show_metrics, ROLE_NONE },
	{ "GET", "/api/whoami-v2", whoami, ROLE_NONE },
	{ "GET", "/api/agent-harnesses", about_harnesses, ROLE_NONE },
	{ "GET", "/api/telemetry/:path", about_nothing, ROLE_NONE },
	{ "POST", "/api/validate-yaml", validate_yaml, ROLE_NONE },
	{ "POST", "/api/matrixfs/members", checkin_take, ROLE_NONE },
	{ NULL, "/api/admin/v1/:path?", adminapi_run, ROLE_HUB },
	{ "POST", "/api/repos/create", repo_create, ROLE_NONE },
	{ "DELETE", "/api/repos/delete", repo_delete, ROLE_NONE },
	{ "POST", "/api/repos/move", repo_move, ROLE_NONE },
	{ "PUT", "/api/:type/:repo/settings", repo_settings, ROLE_WRITE },
	{ "POST", "/api/:type/:repo/duplicate", repo_duplicate, ROLE_READ },
	{ "POST", "/api/:type/:repo/super-squash/:rev", repo_squash, ROLE_WRITE },
	{ "GET", "/api/:type/:repo/lfs-files", repo_lfs_list, ROLE_WRITE },
	{ "POST", "/api/:type/:repo/lfs-files/batch", repo_lfs_delete, ROLE_WRITE },
	{ "POST", "/api/:type/:repo/user-access-request/handle", gate_handle, ROLE_WRITE },
	{ "POST", "/api/:type/:repo/user-access-request/grant", gate_grant, ROLE_WRITE },
	{ "POST", "/api/:type/:repo/user-access-request/cancel", gate_cancel, ROLE_READ },
	{ "GET", "/api/:type/:repo/user-access-request/:path", gate_list, ROLE_WRITE },
	{ "POST", "/:prefix/:repo/ask-access", gate_ask, ROLE_READ },
	{ "POST", "/api/:type/:repo/preupload/:rev", preupload, ROLE_SPEAK },
	{ "POST", "/api/:type/:repo/commit/:rev", upload_commit, ROLE_SPEAK },
	{ "POST", "/api/:type/:repo/branch/:path", branch_add, ROLE_WRITE },
	{ "DELETE", "/api/:type/:repo/branch/:path", branch_remove, ROLE_WRITE },
	{ "POST", "/api/:type/:repo/tag/:rev", tag_add, ROLE_WRITE },
	{ "DELETE", "/api/:type/:repo/tag/:path", tag_remove, ROLE_WRITE },
	{ "GET", "/api/:type/:repo/discussions", discuss_list, ROLE_READ },
	{ "POST", "/api/:type/:repo/discussions", discuss_open, ROLE_SPEAK },
	{ "GET", "/api/:type/:repo/discussions/:num", discuss_show, ROLE_READ },
	{ "POST", "/api/:type/:repo/discussions/:num/comment", discuss_comment, ROLE_SPEAK },
	{ "POST", "/api/:type/:repo/discussions/:num/comment/:path", discuss_edit, ROLE_SPEAK },
	{ "POST", "/api/:type/:repo/discussions/:num/title", discuss_rename, ROLE_SPEAK },
	{ "POST", "/api/:type/:repo/discussions/:num/status", discuss_status, ROLE_SPEAK },
	{ "POST", "/api/:type/:repo/discussions/:num/merge", pull_merge, ROLE_WRITE },
	{ "DELETE", "/api/:type/:repo/discussions/:num/ref", pull_drop, ROLE_SPEAK },
	{ "POST", "/api/:type/:repo/like", likers_add, ROLE_SPEAK },
	{ "DELETE", "/api/:type/:repo/like", likers_remove, ROLE_SPEAK },
	{ "GET", "/api/:type/:repo/likers", likers_list, ROLE_READ },
	{ "GET", "/api/users/:path", profiles_user, ROLE_NONE },
	{ "GET", "/api/organizations/:path", profiles_org, ROLE_NONE },
	{ "GET", "/api/collections", collections_list, ROLE_NONE },
	{ "POST", "/api/collections", collections_add, ROLE_NONE },
	{ "GET", "/api/collections/:path", collections_show, ROLE_NONE },
	{ "POST", "/api/collections/:path", collections_add_item, ROLE_NONE },
	{ "PATCH", "/api/collections/:path", collections_change, ROLE_NONE },
	{ "DELETE", "/api/collections/:path", collections_remove, ROLE_NONE },
	{ "GET", "/api/settings/repositories", possessions_own, ROLE_NONE },
	{ "GET", "/api/settings/webhooks", webhooks_list, ROLE_NONE },
	{ "POST", "/api/settings/webhooks", webhooks_add, ROLE_NONE },
	{ "GET", "/api/settings/webhooks/:path", webhooks_show, ROLE_NONE },
	{ "POST", "/api/settings/webhooks/:path", webhooks_change, ROLE_NONE },
	{ "DELETE", "/api/settings/webhooks/:path", webhooks_remove, ROLE_NONE },
	{ "POST", "/api/:type/:repo/promote/:rev", tag_promote, ROLE_WRITE },
	{ "POST", "/api/:type/:repo/rollback/:path", tag_rollback, ROLE_WRITE },
	{ "PUT", "/api/:type/:repo/checks/:rev", check_set, ROLE_WRITE },
	{ "GET", "/api/:type/:repo/checks/:rev", check_list, ROLE_READ },
	{ "GET", "/api/:type/:repo/reflog", tag_log, ROLE_READ },
	{ "GET", "/api/:type", list_repos, ROLE_NONE },
	{ "GET", "/api/spaces/semantic-search", list_found_spaces, ROLE_NONE },
	{ "GET", "/api/quicksearch", quicksearch, ROLE_NONE },
	{ "GET", "/api/models-tags-by-type", taglist_models, ROLE_NONE },
	{ "GET", "/api/datasets-tags-by-type", taglist_datasets, ROLE_NONE },
	{ "GET", "/api/:type/:repo/tree/:rev/:path?", tree_list, ROLE_READ },
	{ "POST", "/api/:type/:repo/paths-info/:rev", tree_paths, ROLE_READ },
	{ "GET", "/api/:type/:repo/chunks/:rev/:path", chunks_show, ROLE_READ },
	{ "GET", "/api/:type/:repo/revision/:rev", info_repo, ROLE_READ },
	{ "GET", "/api/:type/:repo/refs", info_refs, ROLE_READ },
	{ "GET", "/api/:type/:repo/commits/:rev", info_commits, ROLE_READ },
	{ "GET", "/api/:type/:repo/compare/:path", compare_raw, ROLE_READ },
	{ "GET", "/api/:type/:repo/auth-check", info_check, ROLE_READ },
	{ "GET", "/api/:type/:repo/auth-check/write", info_check, ROLE_WRITE },
	{ "GET", "/api/:type/:repo", info_repo, ROLE_READ },
	{ "POST", "/:prefix/:repo.git/info/lfs/objects/batch", lfs_batch, ROLE_READ },
	{ "POST", "/:prefix/:repo.git/info/lfs/objects/verify", lfs_verify, ROLE_SPEAK },
	{ "PUT", "/api/lfs/:path", lfs_put, ROLE_NONE },
	{ "POST", "/api/lfs/:path", lfs_join, ROLE_NONE },
	{ "GET", "/api/lfs/:path", lfs_get, ROLE_NONE },
	{ "GET", "/api/:type/:repo/xet-write-token/:rev", xet_write_token, ROLE_SPEAK },
	{ "GET", "/api/:type/:repo/xet-read-token/:rev", xet_read_token, ROLE_READ },
	{ "GET", "/api/xet/:num/v1/reconstructions", xet_reconstruct_all, ROLE_NONE },
	{ "GET", "/api/xet/:num/v1/reconstructions/:path", xet_reconstruct, ROLE_NONE },
	{ "GET", "/api/xet/:num/v2/reconstructions/:path", xet_reconstruct_v2, ROLE_NONE },
	{ "GET", "/api/xet/1/v1/bytes/:path", xet_give_bytes, ROLE_NONE },
	{ "POST", "/api/xet/:num/v1/xorbs/default/:path", xet_put_xorb, ROLE_NONE },
	{ "POST", "/api/xet/:num/v1/shards", xet_put_shard, ROLE_NONE },
	{ "POST", "/api/xet/:num/v2/shards", xet_put_shard_v2, ROLE_NONE },
	/* As clients said before there were versions: hf_xet 1.5.1 and before, 1.2, 1.1. */
	{ "POST", "/api/xet/:num/shards", xet_put_shard, ROLE_NONE },
	{ "GET", "/api/xet/:num/reconstructions/:path", xet_reconstruct, ROLE_NONE },
	{ "GET", "/api/xet/:num/reconstruction/:path", xet_reconstruct, ROLE_NONE },
	{ "GET", "/api/xet/:num/v1/chunks/default/:path", xet_find_chunk, ROLE_NONE },
	{ "GET", "/api/xet/:num/v1/chunks/default-merkledb/:path", xet_find_chunk, ROLE_NONE },
	{ NULL, "/api/xet/:path?", xet_nothing, ROLE_NONE },
	{ "POST", "/v1/telemetry", xet_nothing, ROLE_NONE }, /* where clients think the store is */
	{ "GET", "/:prefix/:repo/resolve/:rev/:path", resolve_file, ROLE_READ },
	{ "GET", "/:prefix/:repo/raw/:rev/:path", resolve_raw, ROLE_READ },
};

/* Those that may bring more than BODY_MAX, or less, or bring it in pieces. */
static const struct {
	ask_fn run;
	ssize_t max;
} bodies[] = {
	{ tree_paths, 8 * 1024 * 1024 },    /* names of files */
	{ preupload, 8 * 1024 * 1024 },     /* and how they begin */
	{ validate_yaml, 8 * 1024 * 1024 }, /* a whole README.md */
	{ repo_create, 8 * 1024 * 1024 },   /* with its first files */
	{ upload_commit, HTTPD_PIECES },    /* whole files */
	{ lfs_put, HTTPD_PIECES },          /* the same */
	{ xet_put_xorb, HTTPD_PIECES },     { xet_put_shard, HTTPD_PIECES },
	{ xet_put_shard_v2, HTTPD_PIECES }, { checkin_take, MEMBER_CHECKIN_BODY_MAX },
};

static bool is_method(const struct route *route, const char *method)
{
	return !route->method || target_takes(route->method, method);
}

/* ---- what is counted ---- */

static const char *label_of(unsigned route)
{
	return route && route <= ARRAY_LEN(routes) ? routes[route - 1].pattern : "none";
}
_Static_assert(ARRAY_LEN(routes) < METER_ROUTES_MAX, "a route has no place");

void routes_ended(void *server, const struct httpd_request *q, const struct httpd_end *end)
{
	struct server *s = server;

	meter_end(&s->meter, httpd_noted(q), end);
	trace_end(httpd_attached(q), q, end);
}

static int show_metrics(struct ask *a)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct server *s = a->server;
	struct httpd *http = s->http;
	struct httpd_head h = answer_head(a, 200, EXPOSITION_TYPE);

	exposition_head(&text, "build_info", "gauge", "1, with the version.");
	exposition_sample(&text, "build_info", "version", MATRIXFS_VERSION, 1);
	exposition_gauge(&text, "start_time_seconds", (uint64_t)s->since_s, "When it was started.");
	exposition_gauge(&text, "http_connections", http ? httpd_connections(http) : 0,
			 "Connections that are open.");
	exposition_gauge(&text, "read_only", server_read_only(s) < 0,
			 "1 if the disk has no room for changes.");
	exposition_gauge(&text, "lost_uploads", scrubber_lost(s->scrubber),
			 "Uploaded files whose bytes are damaged or missing.");
	if (s->checkins)
		exposition_gauge(&text, "members", checkins_count(s->checkins, clock_ms()),
				 "Nodes that have checked in lately.");
	meter_write(&s->meter, label_of, &text);
	audit_metrics(s->audit, &text);
	exposition_node(&text, s->node);
	answer_json_head(a, &h, &text);
	return 0;
}

/* ---- what fits none ---- */

/* The path as it came, without its query: httpd has refused a longer one. */
static void path_of(const struct httpd_request *q, char ret[static HTTPD_TARGET_MAX + 1])
{
	const char *target = httpd_target(q);

	snprintf(ret, HTTPD_TARGET_MAX + 1, "%.*s", (int)strcspn(target, "?"), target);
}

/* Clients take a 404 that does not say what is missing for a hub that is down. */
static int no_such_route(struct ask *a)
{
	char path[HTTPD_TARGET_MAX + 1];

	path_of(a->http, path);
	if (target_names_none(path))
		return ERR_NOREPO;
	answer_refuse(a, 404, "Sorry, there is nothing at this address");
	return 0;
}

/* "GET, HEAD, POST": of all routes that the path fits. */
static void add_allowed(const char *path, struct buf *ret)
{
	struct target t;

	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		if (routes[i].method && target_match(routes[i].pattern, path, &t))
			target_allow(routes[i].method, ret);
}

static int no_such_method(struct ask *a)
{
	CLEANUP(buf_free) struct buf allow = { 0 };
	char path[HTTPD_TARGET_MAX + 1];

	path_of(a->http, path);
	add_allowed(path, &allow);
	answer_refuse_method(a, buf_str(&allow));
	return 0;
}

/* What is packed would have to be unpacked before it can be looked at; no client packs it. */
static bool is_packed(const struct httpd_request *q)
{
	const char *coding = httpd_field(q, "Content-Encoding");

	return coding && *coding && strcasecmp(coding, "identity") != 0;
}

static int no_such_coding(struct ask *a)
{
	answer_refuse(a, 415, "A body with \"Content-Encoding: %s\" is not taken: send it as it is",
		      httpd_field(a->http, "Content-Encoding"));
	return 0;
}

/* The first that fits a request, or NULL; *ret_known if only the method does not. */
static const struct route *find(const struct httpd_request *q, struct target *ret, bool *ret_known)
{
	char path[HTTPD_TARGET_MAX + 1];

	path_of(q, path);
	*ret_known = false;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (!target_match(routes[i].pattern, path, ret))
			continue;
		if (is_method(&routes[i], httpd_method(q)))
			return &routes[i];
		*ret_known = true;
	}
	*ret = (struct target){ 0 };
	return NULL;
}

static ssize_t body_max(const struct route *route)
{
	if (route->method && !strcmp(route->method, "GET"))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		if (bodies[i].run == route->run)
			return bodies[i].max;
	return BODY_MAX;
}

/* Whatever will be refused needs no body for that. */
ssize_t routes_body_max(void *server UNUSED, const struct httpd_request *q)
{
	struct target t;
	bool known;
	const struct route *route = find(q, &t, &known);

	return route ? body_max(route) : -1;
}

/* Its requests bear something else than the token of somebody. */
static bool is_keyed(ask_fn run)
{
	static const ask_fn keyed[] = {
		checkin_take,   xet_put_xorb,        xet_put_shard,      xet_put_shard_v2,
		xet_nothing,    xet_reconstruct,     xet_reconstruct_v2, xet_give_bytes,
		xet_find_chunk, xet_reconstruct_all,
	};

	for (size_t i = 0; i < ARRAY_LEN(keyed); i++)
		if (keyed[i] == run)
			return true;
	return false;
}

void routes_handle(void *server, struct httpd_request *q)
{
	struct target t;
	bool known;
	const struct route *route = find(q, &t, &known);

	if (route)
		httpd_note(q, (unsigned)(route - routes) + 1);
	if (route && is_keyed(route->run))
		ask_start_keyed(server, q, &t, route->run);
	else if (route && is_packed(q))
		ask_start(server, q, &t, ROLE_NONE, no_such_coding);
	else
		ask_start(server, q, &t, route ? route->role : ROLE_NONE,
			  route   ? route->run
			  : known ? no_such_method
				  : no_such_route);
}
