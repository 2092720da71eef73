/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/adminapi/adminapi.h"

#include <string.h>

#include "admin/adminapi/adminapi_accounts.h"
#include "admin/adminapi/adminapi_audit.h"
#include "admin/adminapi/adminapi_call.h"
#include "admin/adminapi/adminapi_hub.h"
#include "admin/adminapi/adminapi_kept.h"
#include "admin/adminapi/adminapi_lineage.h"
#include "admin/adminapi/adminapi_openapi.h"
#include "admin/adminapi/adminapi_promotions.h"
#include "admin/adminapi/adminapi_peers.h"
#include "admin/adminapi/adminapi_repos.h"
#include "admin/adminapi/adminapi_scope.h"
#include "admin/adminapi/adminapi_tags.h"
#include "admin/adminapi/adminapi_tokens.h"
#include "admin/hub/answer.h"
#include "admin/audit/audit.h"
#include "admin/audit/audit_filter.h"
#include "admin/health.h"
#include "admin/hub/trace.h"
#include "daemon/base/err.h"

static int api_document(struct api_call *c);

/* --- the table */

static const struct api_shape document_shape = { "Document", (const struct api_field[]){ { 0 } } };

#define CURSOR \
	{ \
		.name = "cursor", .kind = API_TEXT, .max = API_PARAM_MAX, \
		.doc = "A page's \"next\"." \
	}
#define LIMIT \
	{ \
		.name = "limit", .kind = API_COUNT, .min = 1, .max = API_ITEMS_MAX, \
		.doc = "Items of a page." \
	}

static const struct api_field repos_query[] = {
	{ .name = "type", .kind = API_WORD, .words = REPO_TYPE_WORDS },
	{ .name = "search", .kind = API_TEXT, .max = REPO_NAME_MAX, .doc = "Part of the name." },
	CURSOR,
	LIMIT,
	{ 0 },
};
static const struct api_field revision_query[] = {
	{ .name = "revision", .kind = API_TEXT, .min = 1, .max = REVISION_MAX },
	{ 0 },
};

static const struct api_field page_query[] = { CURSOR, LIMIT, { 0 } };
static const struct api_field collected_query[] = {
	{ .name = "dry_run", .kind = API_WORD, .words = "true|false" },
	{ 0 },
};
static const struct api_field tokens_query[] = {
	{ .name = "user",
	  .kind = API_TEXT,
	  .min = 1,
	  .max = ACCOUNT_NAME_MAX,
	  .doc = "Only of this one." },
	CURSOR,
	LIMIT,
	{ 0 },
};
static const struct api_field rules_query[] = {
	{ .name = "what",
	  .kind = API_TEXT,
	  .min = 1,
	  .max = REPO_KEY_MAX,
	  .doc = "Only about this." },
	CURSOR,
	LIMIT,
	{ 0 },
};
static const struct api_field rule_query[] = {
	{ .name = "what", .kind = API_TEXT, .needed = true, .min = 1, .max = REPO_KEY_MAX },
	{ .name = "whom", .kind = API_TEXT, .needed = true, .min = 1, .max = ACCOUNT_NAME_MAX },
	{ 0 },
};

#define WHAT(needed_) \
	{ \
		.name = "what", .kind = API_TEXT, .needed = needed_, .min = 1, .max = REPO_KEY_MAX \
	}
#define REASON \
	{ \
		.name = "reason", .kind = API_TEXT, .needed = true, .min = 1, \
		.max = API_REASON_LETTERS, .doc = "Why it is no longer locked." \
	}

static const struct api_field unlock_query[] = { REASON, { 0 } };
static const struct api_field about_query[] = { WHAT(false), CURSOR, LIMIT, { 0 } };
static const struct api_field lock_rule_query[] = {
	WHAT(true),
	{ .name = "tags", .kind = API_TEXT, .needed = true, .min = 1, .max = TAG_GLOB_MAX },
	REASON,
	{ 0 },
};
static const struct api_field promotion_query[] = {
	WHAT(true),
	{ .name = "name", .kind = API_TEXT, .needed = true, .min = 1, .max = TAG_RULE_NAME_MAX },
	REASON,
	{ 0 },
};

#define TIME(name_, words) \
	{ \
		.name = name_, .kind = API_TIME \
	}
#define WORD(name_, words_, doc_) \
	{ \
		.name = name_, .kind = API_WORD, .words = words_, .doc = doc_ \
	}
#define TEXT(name_, looks, max_, doc_) \
	{ \
		.name = name_, .kind = API_TEXT, .min = 1, .max = max_, .doc = doc_ \
	}
#define AUDIT_FILTER AUDIT_FILTER_LIST(TIME, WORD, TEXT)

static const struct api_field audit_query[] = {
	AUDIT_FILTER,
	{ .name = "last",
	  .kind = API_COUNT,
	  .min = 0,
	  .max = API_ITEMS_MAX,
	  .doc = "Begin with so many of the last ones, in the place of a limit." },
	CURSOR,
	LIMIT,
	{ 0 },
};
static const struct api_field export_query[] = {
	{ .name = "format", .kind = API_WORD, .words = "jsonl|csv" },
	AUDIT_FILTER,
	{ 0 },
};

static const struct api_field params[] = {
	{ .name = "user", .kind = API_TEXT, .min = 1, .max = ACCOUNT_NAME_MAX },
	{ .name = "org", .kind = API_TEXT, .min = 1, .max = ACCOUNT_NAME_MAX },
	{ .name = "namespace", .kind = API_TEXT, .min = 1, .max = ACCOUNT_NAME_MAX },
	{ .name = "token",
	  .kind = API_TEXT,
	  .min = 1,
	  .max = TOKEN_NAME_LETTERS_MAX,
	  .doc = "Its name." },
	{ .name = "job", .kind = API_COUNT, .min = 0, .max = 1000000000 },
	{ .name = "type", .kind = API_WORD, .words = "models|datasets|spaces" },
	{ .name = "repo",
	  .kind = API_TEXT,
	  .min = 1,
	  .max = REPO_NAME_MAX,
	  .doc = "One segment: the slash of \"org/name\" is written %2F." },
	{ .name = "tag", .kind = API_TEXT, .min = 1, .max = REVISION_MAX },
	{ 0 },
};

static const struct api_route routes[] = {
	{ "GET", "/openapi.json", "document", "This document.", api_document, NULL, false, NULL,
	  200, &document_shape, false, NULL },
	{ "GET", "/status", "status", "How the hub is, and what it is doing.", api_status, NULL,
	  false, NULL, 200, &api_status_shape, false, NULL },
	{ "POST", "/pull", "pull", "Fetch all files of a revision.", api_pull, &api_pull_shape,
	  false, NULL, 202, &api_job_shape, false, NULL },
	{ "GET", "/peers", "peer.list", "Who the peers are, and what went to and fro.", api_peers,
	  NULL, false, NULL, 200, &api_peers_shape, false, NULL },
	{ "POST", "/peers/forgive", "peer.forgive",
	  "Take back the bans of those whose bytes were wrong.", api_peers_forgive,
	  &api_forgive_shape, true, NULL, 200, &api_forgiven_shape, false, NULL },
	{ "GET", "/members", "cluster-member.list", "Nodes that have checked in lately.",
	  api_checkins, NULL, false, page_query, 200, &api_checkin_shape, true, NULL },
	{ "GET", "/jobs", "job.list", "Jobs, running and lately ended.", api_jobs, NULL, false,
	  NULL, 200, &api_job_shape, true, NULL },
	{ "GET", "/jobs/{job}", "job.get", "How far one is.", api_job, NULL, false, NULL, 200,
	  &api_job_shape, false, NULL },
	{ "GET", "/jobs/{job}/nodes", "job.nodes", "How far each node is with one of all nodes.",
	  api_job_nodes, NULL, false, NULL, 200, &api_nodes_shape, false, NULL },
	{ "POST", "/jobs/{job}/cancel", "job.cancel", "End one that runs.", api_job_cancel, NULL,
	  false, NULL, 202, &api_job_shape, false, NULL },
	{ "GET", "/repos", "repo.list", "Repositories that are known here.", api_repos, NULL, false,
	  repos_query, 200, &api_repo_shape, true, NULL },
	{ "GET", "/repos/{type}/{repo}", "repo.get", "What is known of one.", api_repo, NULL, false,
	  NULL, 200, &api_repo_info_shape, false, NULL },
	{ "DELETE", "/repos/{type}/{repo}/cache", "repo.evict",
	  "Drop the bytes of a revision that are not in use.", api_repo_evict, NULL, false,
	  revision_query, 200, &api_freed_shape, false, NULL },
	{ "PATCH", "/repos/{type}/{repo}", "repo.change", "Change who sees one.", api_repo_change,
	  &api_repo_change_shape, false, NULL, 200, &api_repo_shape, false, NULL },
	{ "POST", "/collect", "collect", "Take away what nobody needs of what was uploaded.",
	  api_collect, &api_collect_shape, true, NULL, 202, &api_job_shape, false, NULL },
	{ "GET", "/collect", "collect.get", "What the last one took, or would have.", api_collected,
	  NULL, false, collected_query, 200, &api_collected_shape, false, NULL },
	{ "POST", "/scrub", "scrub", "Read again what was uploaded.", api_scrub, NULL, false, NULL,
	  202, &api_job_shape, false, NULL },
	{ "GET", "/scrub", "scrub.get", "What the last one found, and what is lost now.",
	  api_scrubbed, NULL, false, NULL, 200, &api_scrubbed_shape, false, NULL },
	{ "POST", "/backup", "backup.begin",
	  "Copy the rows, and collect nothing until the bytes are copied as well.", api_backup,
	  NULL, false, NULL, 200, &api_backup_shape, false, NULL },
	{ "DELETE", "/backup", "backup.end", "They are.", api_backup_end, NULL, false, NULL, 200,
	  &api_nothing_shape, false, NULL },
	{ "GET", "/quotas", "quota.list", "What namespaces hold, and may.", api_quotas, NULL, false,
	  page_query, 200, &api_quota_shape, true, NULL },
	{ "PUT", "/quotas/{namespace}", "quota.put", "Change how much one may hold.", api_quota_put,
	  &api_quota_change_shape, false, NULL, 200, &api_quota_shape, false, NULL },
	{ "GET", "/repos/{type}/{repo}/tags", "tag.list", "Tags, and what locks them.", api_tags,
	  NULL, false, page_query, 200, &api_tag_shape, true, NULL },
	{ "PUT", "/repos/{type}/{repo}/tags/{tag}/lock", "tag.lock",
	  "Lock a tag by itself: not even a promotion moves it.", api_tag_lock, &api_lock_shape,
	  true, NULL, 200, &api_tag_shape, false, NULL },
	{ "DELETE", "/repos/{type}/{repo}/tags/{tag}/lock", "tag.unlock",
	  "Unlock a tag; one that only a rule locks, for one change.", api_tag_unlock, NULL, false,
	  unlock_query, 200, &api_tag_shape, false, NULL },
	{ "GET", "/lock-rules", "lock-rule.list", "Which tags are locked from their birth.",
	  api_lock_rules, NULL, false, about_query, 200, &api_lock_rule_shape, true, NULL },
	{ "PUT", "/lock-rules", "lock-rule.put",
	  "Lock all tags with such a name, those that are there and those that come.",
	  api_lock_rule_put, &api_lock_rule_new_shape, false, NULL, 200, &api_lock_rule_shape,
	  false, NULL },
	{ "DELETE", "/lock-rules", "lock-rule.remove", "Take such a rule back.",
	  api_lock_rule_remove, NULL, false, lock_rule_query, 200, &api_nothing_shape, false,
	  NULL },
	{ "GET", "/promotion-rules", "promotion-rule.list", "By which rules tags are promoted.",
	  api_promotions, NULL, false, about_query, 200, &api_promotion_shape, true, NULL },
	{ "PUT", "/promotion-rules", "promotion-rule.put",
	  "Let a tag move by promotion, and in no other way.", api_promotion_put,
	  &api_promotion_new_shape, false, NULL, 200, &api_promotion_shape, false, NULL },
	{ "DELETE", "/promotion-rules", "promotion-rule.remove", "Take such a rule back.",
	  api_promotion_remove, NULL, false, promotion_query, 200, &api_nothing_shape, false,
	  NULL },
	{ "GET", "/lineage/{repo}", "repo.lineage",
	  "What a model was made from, and what was made from it, as cards say.", api_lineage, NULL,
	  false, NULL, 200, &api_lineage_shape, false, NULL },
	{ "GET", "/users", "user.list", "All users.", api_users, NULL, false, page_query, 200,
	  &api_user_shape, true, NULL },
	{ "POST", "/users", "user.add", "Make a user.", api_user_add, &api_user_new_shape, false,
	  NULL, 201, &api_user_shape, false, NULL },
	{ "GET", "/users/{user}", "user.get", "One user.", api_user, NULL, false, NULL, 200,
	  &api_user_shape, false, NULL },
	{ "PATCH", "/users/{user}", "user.change", "Change a user; what is not named stays.",
	  api_user_change, &api_user_change_shape, false, NULL, 200, &api_user_shape, false, NULL },
	{ "POST", "/users/{user}/disable", "user.disable", "Refuse all its tokens.",
	  api_user_disable, NULL, false, NULL, 200, &api_user_shape, false, NULL },
	{ "DELETE", "/users/{user}", "user.remove", "Remove a user, its tokens and memberships.",
	  api_user_remove, NULL, false, NULL, 200, &api_nothing_shape, false, NULL },
	{ "GET", "/orgs", "org.list", "All organizations.", api_orgs, NULL, false, page_query, 200,
	  &api_org_shape, true, NULL },
	{ "POST", "/orgs", "org.add", "Make an organization.", api_org_add, &api_org_new_shape,
	  false, NULL, 201, &api_org_shape, false, NULL },
	{ "GET", "/orgs/{org}", "org.get", "One organization.", api_org, NULL, false, NULL, 200,
	  &api_org_shape, false, NULL },
	{ "PATCH", "/orgs/{org}", "org.change", "Change one; what is not named stays.",
	  api_org_change, &api_org_change_shape, false, NULL, 200, &api_org_shape, false, NULL },
	{ "DELETE", "/orgs/{org}", "org.remove", "Remove one and its memberships.", api_org_remove,
	  NULL, false, NULL, 200, &api_nothing_shape, false, NULL },
	{ "GET", "/orgs/{org}/members", "member.list", "Members of an organization.", api_members,
	  NULL, false, page_query, 200, &api_member_shape, true, NULL },
	{ "PUT", "/orgs/{org}/members/{user}", "member.put",
	  "Make a user a member, or change the role.", api_member_put, &api_member_change_shape,
	  true, NULL, 200, &api_member_shape, false, NULL },
	{ "DELETE", "/orgs/{org}/members/{user}", "member.remove", "End a membership.",
	  api_member_remove, NULL, false, NULL, 200, &api_nothing_shape, false, NULL },
	{ "GET", "/tokens", "token.list", "Tokens, without their values.", api_tokens, NULL, false,
	  tokens_query, 200, &api_token_shape, true, NULL },
	{ "POST", "/tokens", "token.add", "Make a token, or take over a value.", api_token_add,
	  &api_token_new_shape, false, NULL, 201, &api_token_shape, false, NULL },
	{ "DELETE", "/tokens/{user}/{token}", "token.revoke", "End a token, now.", api_token_remove,
	  NULL, false, NULL, 200, &api_nothing_shape, false, NULL },
	{ "GET", "/rules", "rule.list", "Who may do what beside owners and members.", api_rules,
	  NULL, false, rules_query, 200, &api_rule_shape, true, NULL },
	{ "PUT", "/rules", "rule.put", "Let somebody read or write a repository or a namespace.",
	  api_rule_put, &api_rule_shape, false, NULL, 200, &api_rule_shape, false, NULL },
	{ "DELETE", "/rules", "rule.remove", "Take a rule back.", api_rule_remove, NULL, false,
	  rule_query, 200, &api_nothing_shape, false, NULL },
	{ "GET", "/audit", "audit.list", "Records of the audit trail.", api_audit, NULL, false,
	  audit_query, 200, &api_records_shape, false, NULL },
	{ "GET", "/audit/verify", "audit.verify", "Whether it is whole.", api_audit_verify, NULL,
	  false, NULL, 200, &api_verdict_shape, false, NULL },
	{ "GET", "/audit/export", "audit.export", "Records, as lines.", api_audit_export, NULL,
	  false, export_query, 200, NULL, false, "application/x-ndjson|text/csv" },
};

static int api_document(struct api_call *c)
{
	openapi_write(routes, ARRAY_LEN(routes), params, c->ask->asked.origin, &c->w);
	return 0;
}

/* --- which route */

/* The path behind API_ROOT, as it came. */
static void take_path(const struct ask *a, struct buf *ret)
{
	const char *target = httpd_target(a->http) + sizeof(API_ROOT) - 1;

	buf_add(ret, target, strcspn(target, "?"));
}

/* NULL if there is none: then it has answered. */
static const struct api_route *find(struct api_call *c, const char *path)
{
	const char *method = httpd_method(c->ask->http);
	CLEANUP(buf_free) struct buf allow = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (!api_match(&routes[i], path, c))
			continue;
		if (target_takes(routes[i].method, method))
			return &routes[i];
		target_allow(routes[i].method, &allow);
	}
	if (allow.len)
		api_refuse(c, 405, buf_str(&allow), "this cannot be done here");
	else
		api_refuse(c, 404, NULL, "there is nothing at this address of the admin API");
	return NULL;
}

/* --- what is recorded of it */

static bool is_change(const struct api_call *c)
{
	return strcmp(c->route->method, "GET") != 0;
}

static void describe(void *call, struct audit_record *ret)
{
	const struct api_call *c = call;

	trace_record(c->ask, AUDIT_ADMIN, ret);
	ret->act = c->route->id;
	ret->note = c->subject.len ? buf_str(&c->subject) : NULL;
	ret->status = c->route->status;
	ret->outcome = AUDIT_DONE;
}

/* A change that was made is recorded before anybody hears of success: what is in the metadata was
 * owed from the moment on at which it was. What was not made is recorded as well. */
static int record(struct api_call *c, int r)
{
	struct audit *audit = c->ask->server->audit;
	struct audit_record rec;
	int paid = 0;

	describe(c, &rec);
	if (audit_debt_made(c->ask->debt))
		paid = audit_debt_pay(c->ask->debt);
	else if (r >= 0)
		return audit_commit(audit, &rec, NULL);
	if (r >= 0)
		return paid;
	rec.status = api_http(r);
	rec.outcome = AUDIT_FAILED;
	rec.why = c->why.len ? buf_str(&c->why) : err_text(r);
	audit_note(audit, &rec);
	return r;
}

static int change(struct api_call *c)
{
	struct ask *a = c->ask;
	int r = audit_may_change(a->server->audit);

	if (r < 0)
		return api_complain(c, r,
				    "the audit trail takes no records, so nothing may be "
				    "changed: %s",
				    err_text(r));
	r = audit_debt_new(a->server->debts, &a->debt);
	if (r < 0)
		return r;
	c->db = audit_debt_db(a->debt, describe, c);
	r = c->route->run(c);
	if (r == 0 && c->answer.failed)
		r = c->answer.failed;
	return record(c, r);
}

/* --- one request */

static void reply(struct api_call *c, int r)
{
	if (r == 0 && c->answer.failed)
		r = c->answer.failed;
	if (r < 0)
		api_fail(c, r);
	else if (r == 0)
		answer_json(c->ask, c->route->status, &c->answer);
}

/* What looks or takes away goes on when the disk is full. */
static bool takes_room(const struct api_route *r)
{
	static const char *const free[] = { "/collect", "/scrub" };

	for (size_t i = 0; i < ARRAY_LEN(free); i++)
		if (!strcmp(r->path, free[i]))
			return false;
	return strcmp(r->method, "GET") != 0 && strcmp(r->method, "DELETE") != 0;
}

static void serve(struct ask *a)
{
	CLEANUP(api_call_fini) struct api_call c = { .ask = a };
	CLEANUP(jdoc_freep) struct jdoc *content = NULL;
	CLEANUP(buf_free) struct buf path = { 0 };
	int r;

	c.w.to = &c.answer;
	c.db = a->server->rights.db;
	take_path(a, &path);
	c.route = find(&c, buf_str(&path));
	if (!c.route)
		return;
	r = takes_room(c.route) ? server_read_only(a->server) : 0;
	if (r == 0)
		r = api_check(&c, &content);
	if (r == 0)
		r = is_change(&c) ? change(&c) : c.route->run(&c);
	reply(&c, r);
}

/* Changes of one kind of thing are made one after another, so that the trail tells them in that
 * order; who only looks waits for nobody. */
static uint64_t lane_of(const struct ask *a)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	const char *kind;

	if (a->asked.head || !strcmp(httpd_method(a->http), "GET"))
		return 0;
	take_path(a, &path);
	kind = buf_str(&path);
	return ask_lane_of(kind, kind[0] ? 1 + strcspn(kind + 1, "/") : 0);
}

int adminapi_run(struct ask *a)
{
	int r;

	if (!ask_aside(a, lane_of(a), &r))
		return r;
	serve(a);
	return 0;
}
