/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_verbs.h"

#include <string.h>

#include "admin/audit/audit_filter.h"
#include "admin/ctl/ctl_bench.h"
#include "admin/ctl/ctl_complete.h"
#include "admin/ctl/ctl_config.h"
#include "admin/ctl/ctl_doctor.h"
#include "admin/ctl/ctl_env.h"
#include "admin/ctl/ctl_node.h"
#include "admin/ctl/ctl_screen.h"
#include "admin/ctl/ctl_whom.h"
#include "admin/ctl/ctl_work.h"
#include "admin/account/rights.h"
#include "daemon/peer/peer_counts.h"

static const struct ctl_option globals[] = {
	{ "hub", "URL", "The hub. Else MATRIXHUB_URL names it, else it is http://127.0.0.1:8080.",
	  0, 0 },
	{ "token-file", "FILE",
	  "File with an administrator's token (\"-\": standard input). Else MATRIXHUB_TOKEN_FILE "
	  "names it, or MATRIXHUB_TOKEN holds the token.",
	  0, 0 },
	{ "node", "SOCKET",
	  "Ask a matrixfs and no hub: its control socket (CACHE/control), or its cache. Else "
	  "MATRIXFS_NODE names it, else it is in the default cache.",
	  0, 0 },
	{ "json", NULL, "Print the answer as JSON.", 0, 0 },
	{ 0 },
};

#define TYPE \
	{ \
		"type", REPO_TYPE_WORDS, "Kind of the repository (default: model).", 0, 0 \
	}
#define LIMIT \
	{ \
		"limit", "N", "At most so many; without it all.", 0, 0 \
	}
#define ROLE(needed) \
	{ \
		"role", ROLE_WORDS, "What its holder may do.", needed, 0 \
	}

#define EXPIRES \
	{ \
		"expires-days", "N", "It ends after so many days (default: never).", 0, 0 \
	}

static const struct ctl_option type_only[] = { TYPE, { 0 } };
static const struct ctl_option limit_only[] = { LIMIT, { 0 } };

static const struct ctl_option pull_options[] = {
	TYPE,
	{ "nodes", "all", "All peers fetch it, and who is asked.", 0, 0 },
	{ "share", NULL, "Only what of it is a node's to bring for the others.", 0, 0 },
	{ "no-wait", NULL, "Start it and do not wait for its end.", 0, true },
	{ 0 },
};

static const struct ctl_option pin_options[] = {
	TYPE,
	{ "no-wait", NULL, "Start it and do not wait for its end.", 0, true },
	{ 0 },
};

static const struct ctl_option ls_options[] = {
	{ "type", REPO_TYPE_WORDS, "Only this kind; of one repository its kind (default: model).",
	  0, 0 },
	{ 0 },
};

static const struct ctl_option top_options[] = {
	{ "interval", "N", "Look every so many seconds (default: 1).", 0, true },
	{ "count", "N", "End after so many looks.", 0, true },
	{ 0 },
};

static const struct ctl_option env_options[] = {
	{ "engine", CTL_ENGINES, "Which client (default: transformers).", 0, true },
	{ 0 },
};

static const struct ctl_option bench_options[] = {
	TYPE,
	{ "size", "N", "Read and write so many MiB (default: 256).", 0, true },
	{ 0 },
};

static const struct ctl_option check_config_options[] = {
	{ "program", "matrixfs|matrixhubd", "Whose it is (default: matrixfs).", 0, true },
	{ 0 },
};

static const struct ctl_option collect_options[] = {
	{ "dry-run", NULL, "Only tell what would go, and why.", 0, 0 },
	{ "no-wait", NULL, "Start it and do not wait for its end.", 0, true },
	{ 0 },
};

static const struct ctl_option scrub_options[] = {
	{ "bytes-per-second", "N", "Of a matrixfs: no faster than that.", 0, 0 },
	{ "no-wait", NULL, "Start it and do not wait for its end.", 0, true },
	{ 0 },
};

static const struct ctl_option repo_list_options[] = {
	{ "type", REPO_TYPE_WORDS, "Only this kind.", 0, 0 },
	{ "search", "TEXT", "Only those with this in their name.", 0, 0 },
	LIMIT,
	{ 0 },
};

static const struct ctl_option repo_set_options[] = {
	TYPE,
	{ "visibility", VISIBILITY_WORDS "|default",
	  "Who sees it: anybody; who has a right to; or as its namespace and upstream say.", 1, 0 },
	{ 0 },
};

#define AGAIN \
	{ \
		"again", NULL, \
			"It is the same one who had the name before: repositories, comments and " \
			"pull requests that bear it are theirs.", \
			0, 0 \
	}

static const struct ctl_option user_add_options[] = {
	{ "full-name", "TEXT", "Name for people.", 0, 0 },
	{ "email", "ADDRESS", "Address of mail.", 0, 0 },
	{ "admin", "yes|no", "May administer the hub (default: no).", 0, 0 },
	AGAIN,
	{ 0 },
};

static const struct ctl_option user_set_options[] = {
	{ "full-name", "TEXT", "Name for people.", 0, 0 },
	{ "email", "ADDRESS", "Address of mail.", 0, 0 },
	{ "admin", "yes|no", "May administer the hub.", 0, 0 },
	{ "disabled", "yes|no", "All tokens of it are refused.", 0, 0 },
	{ 0 },
};

static const struct ctl_option org_options[] = {
	{ "full-name", "TEXT", "Name for people.", 0, 0 },
	{ "default-visibility", VISIBILITY_WORDS, "Of repositories made in it.", 0, 0 },
	{ 0 },
};

static const struct ctl_option org_add_options[] = {
	{ "full-name", "TEXT", "Name for people.", 0, 0 },
	{ "default-visibility", VISIBILITY_WORDS, "Of repositories made in it.", 0, 0 },
	AGAIN,
	{ 0 },
};

static const struct ctl_option member_options[] = { ROLE(false), { 0 } };

static const struct ctl_option token_create_options[] = {
	{ "name", "TEXT", "What the token is called, in lists and in the audit trail.", true, 0 },
	ROLE(false),
	{ "grants", "WHAT:ROLE,...",
	  "Instead of a role, what it may do where: models/org/name:read, org:write.", 0, 0 },
	EXPIRES,
	{ 0 },
};

static const struct ctl_option token_import_options[] = {
	{ "secret-file", "FILE",
	  "File with the value that clients hold already (\"-\": standard input).", true, true },
	{ "name", "TEXT", "What the token is called, in lists and in the audit trail.", true, 0 },
	ROLE(true),
	EXPIRES,
	{ 0 },
};

static const struct ctl_option rule_options[] = { ROLE(true), { 0 } };

#define REASON(needed) \
	{ \
		"reason", "TEXT", "Why. It is kept with the tag's history.", needed, 0 \
	}
#define REQUIRE \
	{ \
		"require", "CHECK,...", \
			"Checks that must have passed; NAME@USER: if that user says so.", 0, 0 \
	}
#define PROMOTION \
	{ \
		"rule", "NAME", "By this rule; else by the first that allows it.", 0, 0 \
	}

static const struct ctl_option lock_options[] = { TYPE, REASON(false), { 0 } };
static const struct ctl_option unlock_options[] = { TYPE, REASON(true), { 0 } };
static const struct ctl_option lock_rule_options[] = { REASON(false), { 0 } };
static const struct ctl_option why_options[] = { REASON(true), { 0 } };
static const struct ctl_option log_options[] = { TYPE, LIMIT, { 0 } };
static const struct ctl_option promote_options[] = {
	{ "to", "TAG", "The tag that gets it.", true, 0 },
	REQUIRE,
	PROMOTION,
	REASON(false),
	TYPE,
	{ 0 },
};
static const struct ctl_option rollback_options[] = {
	REQUIRE, PROMOTION, REASON(false), TYPE, { 0 },
};
static const struct ctl_option promotion_options[] = {
	{ "to", "TAG", "The tag that moves so, and in no other way.", true, 0 },
	{ "from", "GLOB", "Tags it may come from (default: all), or refs/heads/main.", 0, 0 },
	{ "who", "WHO,...",
	  "Users, organizations, or members of a role (org:write); default: who may administer "
	  "the repository.",
	  0, 0 },
	REQUIRE,
	{ 0 },
};
static const struct ctl_option check_options[] = {
	{ "url", "URL", "Where more is told.", 0, 0 },
	TYPE,
	{ 0 },
};

static const struct ctl_option tail_options[] = {
	{ "count", "N", "Begin with so many (default: 20).", 0, true },
	{ "follow", NULL, "Go on with those that come.", 0, true },
	{ 0 },
};

#define TIME(name, doc) \
	{ \
		name, "TIME", doc, 0, 0 \
	}
#define WORD(name, words, doc) \
	{ \
		name, words, doc, 0, 0 \
	}
#define TEXT(name, looks, max, doc) \
	{ \
		name, looks, doc, 0, 0 \
	}
#define AUDIT_FILTER AUDIT_FILTER_LIST(TIME, WORD, TEXT)

static const struct ctl_option query_options[] = { AUDIT_FILTER, LIMIT, { 0 } };
static const struct ctl_option export_options[] = {
	{ "format", "jsonl|csv", "Lines of JSON (default), or of comma-separated values.", 0, 0 },
	{ "output", "FILE", "New file for it, which only you may read.", 0, true },
	AUDIT_FILTER,
	{ 0 },
};

#define COLUMN(field, unit, ...) " " #field unit
static const char peers_shape[] = "address zone" PEER_COUNTS(
	COLUMN) " connections"
		";members address zone weight state bytes_in:size bytes_out:size bytes_wrong:size "
		"first_byte_ms until:time why";

static const char where_shape[] =
	"etag size:size present:size members answered"
	";segments segment bytes:size present:size owner holders held_by followers";

static const char nfs_shape[] =
	";clients address connections mounts requests bytes:size denied since:time "
	"last_request:time";

#define JOB_COLUMNS " id kind state what bytes_done:size bytes_total:size error started:time"

static const char promotion_shape[] = "tag commit was rule from checks changed";

static const struct ctl_verb verbs[] = {
	{ "status", "", NULL,
	  "How a matrixfs or a hub is: cache, disk, hubs, what it is doing, on one screen.", "GET",
	  "/status", NULL, NULL, ctl_status },
	{ "top", "", top_options, "The same, again and again.", "GET", "/status", NULL, NULL,
	  ctl_top },
	{ "ls", "[REPO[@REV]]", ls_options,
	  "Repositories that are known here, or the files of one, and what of them is in the "
	  "cache.",
	  "GET", "/repos", NULL, NULL, ctl_ls },
	{ "pull", "REPO[@REV]", pull_options,
	  "Fetch all files of a revision (main) into the cache.", "POST", "/pull", ctl_shape_job,
	  NULL, ctl_pull },
	{ "pin", "REPO[@REV]", pin_options,
	  "The same, and keep them from eviction, also after a restart.", "POST", "/pin",
	  ctl_shape_job, NULL, ctl_pull },
	{ "unpin", "REPO[@REV]", type_only, "Leave them to eviction again.", "POST", "/unpin", NULL,
	  "{REPO} is pinned no longer", NULL },
	{ "evict", "REPO[@REV]", type_only,
	  "Drop the bytes of a revision that are neither open nor pinned.", "POST", "/evict",
	  "freed_bytes:size", NULL, NULL },
	{ "why", "PATH", NULL,
	  "All that is known of a file of a mount: why it is slow, wrong or not there.", "GET",
	  "/why", NULL, NULL, ctl_why },
	{ "doctor", "", NULL,
	  "Look at all that a matrixfs needs (kernel, mount, cache, hubs, token, clock, peers, "
	  "engines), or a hub (TLS, clock, token, disk, upstreams, scrub): each is ok, warn or "
	  "fail, with what to do.",
	  "GET", "/status", NULL, NULL, ctl_doctor },
	{ "bench", "[REPO[@REV]]", bench_options,
	  "Measure the disk of the cache, SHA-256 and, with REPO, the link by pulling it; which is "
	  "the limit?",
	  "POST", "/pull", NULL, NULL, ctl_bench },
	{ "config show", "", NULL,
	  "The parameters a matrixfs runs with, as lines of a configuration file.", "GET",
	  "/config", NULL, NULL, ctl_config_show },
	{ "config check", "[FILE]", check_config_options,
	  "Whether a configuration file (or the one that is used) is right.", "", "", NULL, NULL,
	  ctl_config_check },
	{ "env", "", env_options,
	  "What a client is to be told in its environment to read from the mount, or from a hub: "
	  "eval \"$(matrixctl env)\".",
	  "GET", "/status", NULL, NULL, ctl_env },
	{ "peers", "", NULL, "Who the peers are, how they behave, and what went to and fro.", "GET",
	  "/peers", peers_shape, NULL, NULL },
	{ "peers where", "PATH", NULL,
	  "Which peers the segments of a file of a mount belong to, and which have them now.",
	  "GET", "/peers/owners", where_shape, NULL, NULL },
	{ "peers forgive", "[ADDRESS]", NULL,
	  "Take back the bans of those whose bytes were wrong: all, or one's.", "POST",
	  "/peers/forgive", NULL, NULL, ctl_forgive },
	{ "nfs", "", NULL, "Who comes to a mount by NFS, and what each was given.", "GET", "/nfs",
	  nfs_shape, NULL, NULL },
	{ "job list", "", NULL, "Pulls and other long work, running and lately ended.", "GET",
	  "/jobs", ";items" JOB_COLUMNS, NULL, NULL },
	{ "job cancel", "ID", NULL, "End a job; what it has brought stays.", "POST",
	  "/jobs/{ID}/cancel", ctl_shape_job, NULL, NULL },
	{ "collect", "", collect_options,
	  "Take away what nobody needs of what was uploaded: it also goes by itself.", "POST",
	  "/collect", ctl_shape_collected, NULL, ctl_collect },
	{ "scrub", "", scrub_options,
	  "Read again what was uploaded, or all that a matrixfs keeps; fails if something is "
	  "lost.",
	  "POST", "/scrub", ctl_shape_scrubbed, NULL, ctl_scrub },
	{ "completion bash", "", NULL,
	  "The script by which bash completes command lines: eval \"$(matrixctl completion "
	  "bash)\".",
	  "", "", NULL, NULL, ctl_completion_bash },
	{ "completion zsh", "", NULL, "The same for zsh.", "", "", NULL, NULL, ctl_completion_zsh },
	{ "completion words", "LINE", NULL,
	  "What may stand where a command line ends: the scripts ask it.", "", "", NULL, NULL,
	  ctl_completion_words },
	{ "backup begin", "", NULL,
	  "Copy the rows into the data directory, and collect nothing meanwhile.", "POST",
	  "/backup", "rows until:time", NULL, NULL },
	{ "backup end", "", NULL, "All has been copied.", "DELETE", "/backup", NULL,
	  "uploads are collected again", NULL },
	{ "quota list", "", limit_only, "What namespaces hold of uploads, and may.", "GET",
	  "/quotas", ";items namespace used_bytes:size limit_bytes:size files", NULL, NULL },
	{ "quota set", "NAMESPACE SIZE", NULL, "How much one may hold: as 10GiB; none is no limit.",
	  "PUT", "/quotas/{NAMESPACE}", "namespace used_bytes:size limit_bytes:size files", NULL,
	  NULL },
	{ "repo list", "", repo_list_options, "Repositories that are known here.", "GET", "/repos",
	  ";items type id visibility", NULL, NULL },
	{ "repo info", "REPO", type_only, "What is known of one, and what of it is in the cache.",
	  "GET", "/repos/{type}s/{REPO}", ctl_shape_repo, NULL, NULL },
	{ "repo set", "REPO", repo_set_options, "Change who sees one.", "PATCH",
	  "/repos/{type}s/{REPO}", "type id visibility because formerly", NULL, NULL },
	{ "repo delete-from-cache", "REPO[@REV]", type_only,
	  "Drop the bytes of a revision (main) that are not in use.", "DELETE",
	  "/repos/{type}s/{REPO}/cache", "freed_bytes:size", NULL, NULL },
	{ "repo lineage", "REPO", NULL,
	  "What a model was made from, and what was made from it, as cards say (base_model).",
	  "GET", "/lineage/{REPO}",
	  "id;ancestors id relation from depth hosted;descendants id relation from depth hosted",
	  NULL, NULL },
	{ "tag list", "REPO", type_only, "Tags of a repository.", "GET", "/api/{type}s/{REPO}/refs",
	  ";tags name targetCommit", NULL, NULL },
	{ "tag status", "REPO", log_options,
	  "Tags of a repository that is hosted here, and "
	  "what locks them.",
	  "GET", "/repos/{type}s/{REPO}/tags",
	  ";items name commit locked lock beneath rule reason user since:time hidden", NULL, NULL },
	{ "tag lock", "REPO TAG", lock_options,
	  "Lock a tag by itself: nothing moves or deletes it, not even a promotion.", "PUT",
	  "/repos/{type}s/{REPO}/tags/{TAG}/lock", NULL, "tag {TAG} of {REPO} is locked", NULL },
	{ "tag unlock", "REPO TAG", unlock_options,
	  "Unlock a tag. One that only a rule locks is released for one change; of one that is "
	  "locked by itself as well, the rule holds it on.",
	  "DELETE", "/repos/{type}s/{REPO}/tags/{TAG}/lock", "name locked lock rule", NULL, NULL },
	{ "tag lock-rule list", "[WHAT]", limit_only, "Which tags are locked from their birth.",
	  "GET", "/lock-rules", ";items what tags reason user since:time damaged", NULL, NULL },
	{ "tag lock-rule set", "WHAT TAGS", lock_rule_options,
	  "Lock all tags with such a name (\"v*\") in a repository (models/org/name) or a "
	  "namespace, those that are there and those that come.",
	  "PUT", "/lock-rules", NULL, "tags \"{TAGS}\" of {WHAT} are locked", NULL },
	{ "tag lock-rule remove", "WHAT TAGS", why_options, "Take such a rule back.", "DELETE",
	  "/lock-rules", NULL, "no rule locks \"{TAGS}\" of {WHAT} any more", NULL },
	{ "tag promote", "REPO FROM", promote_options,
	  "Give a tag the commit that another tag (or refs/heads/main) names, as a rule allows.",
	  "POST", "/api/{type}s/{REPO}/promote/{FROM}", promotion_shape, NULL, NULL },
	{ "tag rollback", "REPO TAG", rollback_options,
	  "Promote what a tag named before its last promotion.", "POST",
	  "/api/{type}s/{REPO}/rollback/{TAG}", promotion_shape, NULL, NULL },
	{ "tag log", "REPO [TAG]", log_options,
	  "Which commit each tag (or refs/heads/main) named, since when, by whom, and why; the "
	  "last move first.",
	  "GET", "/api/{type}s/{REPO}/reflog",
	  ";moves date ref act commit was user rule from checks reason", NULL, NULL },
	{ "pr drop", "REPO NUM", type_only,
	  "Let go of the commits of a pull request that is closed or merged: the collector takes "
	  "what nothing else names.",
	  "DELETE", "/api/{type}s/{REPO}/discussions/{NUM}/ref", NULL,
	  "the commits of pull request {NUM} of {REPO} are let go", NULL },
	{ "promotion list", "[WHAT]", limit_only, "By which rules tags are promoted.", "GET",
	  "/promotion-rules", ";items what name to from who require user since:time damaged", NULL,
	  NULL },
	{ "promotion set", "WHAT NAME", promotion_options,
	  "Let a tag of a repository (models/org/name) or a namespace move by promotion, and in no "
	  "other way.",
	  "PUT", "/promotion-rules", NULL, "the rule {NAME} of {WHAT} leads to {to}", NULL },
	{ "promotion remove", "WHAT NAME", why_options, "Take such a rule back.", "DELETE",
	  "/promotion-rules", NULL, "the rule {NAME} of {WHAT} is gone", NULL },
	{ "check set", "REPO COMMIT NAME RESULT", check_options,
	  "Say of a commit that a check has passed or failed.", "PUT",
	  "/api/{type}s/{REPO}/checks/{COMMIT}", NULL, "{NAME} {RESULT}", NULL },
	{ "check list", "REPO COMMIT", type_only, "What was found out about a commit.", "GET",
	  "/api/{type}s/{REPO}/checks/{COMMIT}", "commit;checks name result user date url", NULL,
	  NULL },
	{ "user add", "NAME", user_add_options, "Make a user.", "POST", "/users", NULL,
	  "user {NAME} added", NULL },
	{ "user list", "", limit_only, "All users.", "GET", "/users",
	  ";items name full_name email admin disabled created:time", NULL, NULL },
	{ "user info", "NAME", NULL, "One user.", "GET", "/users/{NAME}",
	  "name full_name email admin disabled created:time organizations", NULL, NULL },
	{ "user set", "NAME", user_set_options, "Change a user; what is not named stays.", "PATCH",
	  "/users/{NAME}", NULL, "user {NAME} changed", NULL },
	{ "user disable", "NAME", NULL, "Refuse all its tokens, until \"user set --disabled=no\".",
	  "POST", "/users/{NAME}/disable", NULL, "user {NAME} is disabled", NULL },
	{ "user remove", "NAME", NULL, "Remove a user, its tokens and memberships.", "DELETE",
	  "/users/{NAME}", NULL, "user {NAME} removed", NULL },
	{ "org add", "NAME", org_add_options, "Make an organization.", "POST", "/orgs", NULL,
	  "organization {NAME} added", NULL },
	{ "org list", "", limit_only, "All organizations.", "GET", "/orgs",
	  ";items name full_name default_visibility created:time", NULL, NULL },
	{ "org set", "NAME", org_options, "Change one; what is not named stays.", "PATCH",
	  "/orgs/{NAME}", NULL, "organization {NAME} changed", NULL },
	{ "org remove", "NAME", NULL, "Remove one and its memberships.", "DELETE", "/orgs/{NAME}",
	  NULL, "organization {NAME} removed", NULL },
	{ "org member add", "ORG USER", member_options,
	  "Make a user a member (default role: read), or change the role.", "PUT",
	  "/orgs/{ORG}/members/{USER}", NULL, "{USER} is a member of {ORG}", NULL },
	{ "org member list", "ORG", limit_only, "Members of an organization.", "GET",
	  "/orgs/{ORG}/members", ";items user role", NULL, NULL },
	{ "org member remove", "ORG USER", NULL, "End a membership.", "DELETE",
	  "/orgs/{ORG}/members/{USER}", NULL, "{USER} is no member of {ORG} any more", NULL },
	{ "token create", "USER", token_create_options,
	  "Make a token for a user. Its value is printed, this once.", "POST", "/tokens",
	  ctl_shape_token, NULL, ctl_token_create },
	{ "token import", "USER", token_import_options,
	  "Take over a value that a client of another hub holds.", "POST", "/tokens",
	  ctl_shape_token, NULL, ctl_token_import },
	{ "token list", "[USER]", limit_only, "Tokens, without their values.", "GET", "/tokens",
	  ";items user name role grants expires:time used:time", NULL, NULL },
	{ "token revoke", "USER NAME", NULL, "End a token, now.", "DELETE", "/tokens/{USER}/{NAME}",
	  NULL, "token {NAME} of {USER} revoked", NULL },
	{ "rule list", "[WHAT]", limit_only, "Who may do what beside owners and members.", "GET",
	  "/rules", ";items what whom role", NULL, NULL },
	{ "rule set", "WHAT WHOM", rule_options,
	  "Let a user, an organization or \"*\" read or write a repository (models/org/name) or a "
	  "namespace.",
	  "PUT", "/rules", NULL, "{WHOM} may {role} {WHAT}", NULL },
	{ "rule remove", "WHAT WHOM", NULL, "Take a rule back.", "DELETE", "/rules", NULL,
	  "the rule of {WHOM} about {WHAT} is gone", NULL },
	{ "audit tail", "", tail_options, "The last records of the audit trail.", "GET", "/audit",
	  ctl_shape_record, NULL, ctl_audit_tail },
	{ "audit query", "", query_options, "Records of the audit trail, oldest first.", "GET",
	  "/audit", ";items time kind act user token address repo file bytes:size outcome why note",
	  NULL, NULL },
	{ "audit verify", "", NULL, "Find removed, changed or reordered records; fails if any is.",
	  "GET", "/audit/verify",
	  "whole records first_seq last_seq dropped_seq witness_seq hash"
	  ";problems segment line seq what text",
	  NULL, ctl_audit_verify },
	{ "audit export", "", export_options, "The audit trail, to the output or into a file.",
	  "GET", "/audit/export", NULL, NULL, ctl_audit_export },
};

const struct ctl_table ctl_verbs = { globals, verbs, ARRAY_LEN(verbs) };

/* Where a matrixfs is asked otherwise than a hub. */
static const struct ctl_verb node_verbs[] = {
	{ "scrub", "", scrub_options, "", "POST", "/scrub", NULL, NULL, ctl_scrub_node },
	{ "job list", "", NULL, "", "GET", "/jobs", ";jobs" JOB_COLUMNS, NULL, NULL },
	{ "job cancel", "ID", NULL, "", "DELETE", "/jobs/{ID}", ctl_shape_job, NULL, NULL },
};

const struct ctl_verb *ctl_node_verb(const struct ctl_verb *v)
{
	enum ctl_whom whom = ctl_whom(v);

	for (size_t i = 0; i < ARRAY_LEN(node_verbs); i++)
		if (!strcmp(v->words, node_verbs[i].words))
			return &node_verbs[i];
	return whom == CTL_NODE || whom == CTL_EITHER || whom == CTL_RATHER ? v : NULL;
}

bool ctl_is_of_peers(const struct ctl_verb *v)
{
	static const char word[] = "peers";

	return !strncmp(v->words, word, strlen(word));
}

const char *ctl_global(const struct ctl_line *l, const char *name)
{
	return ctl_global_of(&ctl_verbs, l, name);
}
