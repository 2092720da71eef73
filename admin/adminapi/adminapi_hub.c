/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/adminapi/adminapi_hub.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/job_json.h"
#include "daemon/keeper.h"
#include "daemon/warmup.h"

#define REVISION "main"

/* --- shapes */

static const struct api_field cache_fields[] = {
	API_COUNT_ROW("used_bytes"),
	API_COUNT_ROW("sealed_bytes"),
	API_COUNT_ROW("incomplete_bytes"),
	API_COUNT_ROW("evictable_bytes"),
	API_COUNT_ROW("max_bytes"),
	API_COUNT_ROW("min_free_bytes"),
	{ 0 },
};
static const struct api_shape cache_shape = { "Cache", cache_fields };

static const struct api_field disk_fields[] = {
	API_COUNT_ROW("total_bytes"),
	API_COUNT_ROW("free_bytes"),
	{ 0 },
};
static const struct api_shape disk_shape = { "Disk", disk_fields };

static const struct api_field upstream_fields[] = {
	{ .name = "url", .kind = API_TEXT, .needed = true },
	{ .name = "state", .kind = API_WORD, .needed = true, .words = "ok|down|unknown" },
	{ .name = "down_seconds", .kind = API_NUMBER, .needed = true },
	{ .name = "last_ok", .kind = API_COUNT, .needed = true, .null = true },
	{ .name = "last_error", .kind = API_TEXT, .needed = true, .null = true },
	{ 0 },
};
static const struct api_shape upstream_shape = { "Upstream", upstream_fields };

static const struct api_field transfer_fields[] = {
	{ .name = "repo", .kind = API_TEXT, .needed = true },
	{ .name = "path", .kind = API_TEXT, .needed = true },
	API_COUNT_ROW("size"),
	API_COUNT_ROW("present_bytes"),
	API_COUNT_ROW("bytes_per_second"),
	API_COUNT_ROW("readers"),
	{ 0 },
};
static const struct api_shape transfer_shape = { "Transfer", transfer_fields };

static const struct api_field job_fields[] = {
	API_COUNT_ROW("id"),
	{ .name = "kind",
	  .kind = API_WORD,
	  .needed = true,
	  .words = "pull|pin|scrub|collect|share|warmup" },
	{ .name = "state",
	  .kind = API_WORD,
	  .needed = true,
	  .words = "running|done|failed|canceled" },
	{ .name = "what", .kind = API_TEXT, .needed = true, .null = true },
	{ .name = "waits",
	  .kind = API_BOOL,
	  .needed = true,
	  .doc = "For its turn: so many run at once." },
	API_COUNT_ROW("files_done"),
	API_COUNT_ROW("files_total"),
	API_COUNT_ROW("bytes_done"),
	API_COUNT_ROW("bytes_total"),
	{ .name = "error", .kind = API_TEXT, .needed = true, .null = true },
	{ .name = "started", .kind = API_NUMBER, .needed = true },
	{ .name = "ended", .kind = API_NUMBER, .needed = true, .null = true },
	{ 0 },
};
const struct api_shape api_job_shape = { "Job", job_fields };

static const struct api_field status_fields[] = {
	{ .name = "version", .kind = API_TEXT, .needed = true },
	API_COUNT_ROW("since"),
	API_COUNT_ROW("uptime_seconds"),
	{ .name = "offline", .kind = API_BOOL, .needed = true },
	API_COUNT_ROW("repositories"),
	{ .name = "cache", .kind = API_OBJECT, .needed = true, .of = &cache_shape },
	{ .name = "disk", .kind = API_OBJECT, .needed = true, .of = &disk_shape },
	{ .name = "upstreams", .kind = API_LIST, .needed = true, .of = &upstream_shape },
	{ .name = "transfers", .kind = API_LIST, .needed = true, .of = &transfer_shape },
	{ .name = "jobs", .kind = API_LIST, .needed = true, .of = &api_job_shape },
	{ 0 },
};
const struct api_shape api_status_shape = { "Status", status_fields };

static const struct api_field pull_fields[] = {
	{ .name = "repo", .kind = API_TEXT, .needed = true, .min = 1, .max = REPO_NAME_MAX },
	{ .name = "type", .kind = API_WORD, .words = REPO_TYPE_WORDS },
	{ .name = "revision", .kind = API_TEXT, .min = 1, .max = REVISION_MAX },
	{ .name = "nodes",
	  .kind = API_WORD,
	  .words = "all",
	  .doc = "All peers fetch it, and this hub." },
	{ .name = "share",
	  .kind = API_BOOL,
	  .doc = "Only what of it is a node's to bring for the others." },
	{ 0 },
};
const struct api_shape api_pull_shape = { "Pull", pull_fields };

static const struct api_field node_fields[] = {
	API_TEXT_ROW("address"),
	{ .name = "self", .kind = API_BOOL, .needed = true },
	{ .name = "state",
	  .kind = API_WORD,
	  .needed = true,
	  .words = "running|done|failed|canceled" },
	API_COUNT_ROW("files_done"),
	API_COUNT_ROW("files_total"),
	API_COUNT_ROW("bytes_done"),
	API_COUNT_ROW("bytes_total"),
	{ .name = "error", .kind = API_TEXT, .needed = true, .null = true },
	{ 0 },
};
static const struct api_shape node_shape = { "Node", node_fields };

static const struct api_field nodes_fields[] = {
	{ .name = "nodes", .kind = API_LIST, .needed = true, .of = &node_shape },
	{ 0 },
};
const struct api_shape api_nodes_shape = { "Nodes", nodes_fields };

/* --- status */

static int write_cache(struct api_call *c)
{
	struct jwrite *w = &c->w;
	struct keeper_cache k;
	int r = keeper_cache(c->ask->server->keeper, &k);

	if (r < 0)
		return r;
	jwrite_object(w, "cache");
	jwrite_uint(w, "used_bytes", k.used_bytes);
	jwrite_uint(w, "sealed_bytes", k.sealed_bytes);
	jwrite_uint(w, "incomplete_bytes", k.incomplete_bytes);
	jwrite_uint(w, "evictable_bytes", k.evictable_bytes);
	jwrite_uint(w, "max_bytes", k.limits.max_bytes);
	jwrite_uint(w, "min_free_bytes", k.limits.min_free_bytes);
	jwrite_object_end(w);
	jwrite_object(w, "disk");
	jwrite_uint(w, "total_bytes", k.disk_bytes);
	jwrite_uint(w, "free_bytes", k.disk_free_bytes);
	jwrite_object_end(w);
	return 0;
}

static void write_upstream(struct node *n, unsigned i, struct jwrite *w)
{
	struct hub_health h;
	const char *name = node_hub_health(n, i, &h);

	jwrite_object(w, NULL);
	jwrite_text(w, "url", name);
	jwrite_text(w, "state", h.down_ms > 0 ? "down" : h.ok_s ? "ok" : "unknown");
	jwrite_number(w, "down_seconds", (double)h.down_ms / 1000);
	if (h.ok_s)
		jwrite_int(w, "last_ok", h.ok_s);
	else
		jwrite_null(w, "last_ok");
	jwrite_text(w, "last_error", h.error[0] ? h.error : NULL);
	jwrite_object_end(w);
}

static int write_transfer(void *arg, const struct transfer *t)
{
	struct jwrite *w = arg;
	char repo[REPO_KEY_MAX + 1];

	repo_id_key(&t->repo, repo);
	jwrite_object(w, NULL);
	jwrite_text(w, "repo", repo);
	jwrite_text(w, "path", t->path);
	jwrite_uint(w, "size", t->size);
	jwrite_uint(w, "present_bytes", t->present);
	jwrite_uint(w, "bytes_per_second", t->bytes_s);
	jwrite_uint(w, "readers", t->readers);
	jwrite_object_end(w);
	return 0;
}

static int write_running(void *arg, const struct job_progress *p)
{
	if (p->state == JOB_RUNNING)
		job_write(p, arg);
	return 0;
}

static int count_repo(void *arg, struct repo *r UNUSED)
{
	++*(uint64_t *)arg;
	return 0;
}

static int write_work(struct api_call *c)
{
	struct node *n = c->ask->server->node;
	struct jwrite *w = &c->w;
	int r;

	jwrite_array(w, "upstreams");
	for (unsigned i = 0; i < node_hub_count(n); i++)
		write_upstream(n, i, w);
	jwrite_array_end(w);
	jwrite_array(w, "transfers");
	r = node_each_transfer(n, write_transfer, w);
	jwrite_array_end(w);
	jwrite_array(w, "jobs");
	keeper_each_job(c->ask->server->keeper, write_running, w);
	jwrite_array_end(w);
	return r;
}

int api_status(struct api_call *c)
{
	const struct server *s = c->ask->server;
	uint64_t repositories = 0;
	int r = known_each_repo(node_known(s->node), count_repo, &repositories);

	jwrite_object(&c->w, NULL);
	jwrite_text(&c->w, "version", MATRIXFS_VERSION);
	jwrite_int(&c->w, "since", s->since_s);
	jwrite_int(&c->w, "uptime_seconds", clock_wall_s() - s->since_s);
	jwrite_bool(&c->w, "offline", node_hub_count(s->node) == 0);
	jwrite_uint(&c->w, "repositories", repositories);
	if (r == 0)
		r = write_cache(c);
	if (r == 0)
		r = write_work(c);
	jwrite_object_end(&c->w);
	return r;
}

/* --- jobs */

static int write_job(struct api_call *c, uint64_t id)
{
	struct job_progress p;
	int r = keeper_job(c->ask->server->keeper, id, &p);

	if (r < 0)
		return api_complain(c, r, "there is no such job");
	job_write(&p, &c->w);
	return 0;
}

static enum repo_type type_of(const char *word)
{
	return !strcmp(word, "dataset") ? REPO_DATASET
	       : !strcmp(word, "space") ? REPO_SPACE
					: REPO_MODEL;
}

/* 0, which no job has, if it is no number. */
static uint64_t job_of(const struct api_call *c)
{
	const char *text = c->params[0];
	size_t digits = strspn(text, "0123456789");

	return digits < 20 && !text[digits] ? strtoull(text, NULL, 10) : 0;
}

static int start_pull(struct api_call *c, const struct repo_id *id, const char *revision,
		      uint64_t *ret_job)
{
	const struct server *s = c->ask->server;
	bool all = *api_text(c, "nodes", ""), share = api_bool(c, "share") > 0;

	if ((all || share) && !node_peers(s->node))
		return api_complain(c, -ENOENT, "this hub has no peers");
	if (all)
		return warmup_start(s->warmups, id, revision, share, ret_job);
	return share ? keeper_share(s->keeper, id, revision, ret_job)
		     : keeper_pull(s->keeper, id, revision, false, ret_job);
}

int api_pull(struct api_call *c)
{
	const char *repo = api_text(c, "repo", ""), *revision = api_text(c, "revision", REVISION);
	struct repo_names names;
	struct repo_id id;
	uint64_t job = 0;
	int r;

	if (repo_id_parse(type_of(api_text(c, "type", "model")), repo, &id) < 0)
		return api_complain(c, -ENOENT,
				    "there can be no repository \"%s\": it is "
				    "\"org/name\"",
				    repo);
	if (!revision_valid(revision))
		return api_complain(c, -ENOENT, "there can be no revision \"%s\"", revision);
	known_names_of(node_known(c->ask->server->node), &id, &names);
	if (!filter_repo(c->ask->filter, &names))
		return api_complain(c, -EBUSY, "the hub's rules (--allow, --deny) leave \"%s\" out",
				    id.name);
	buf_printf(&c->subject, "%s/%s@%s", repo_type_plural(id.type), id.name, revision);
	r = start_pull(c, &id, revision, &job);
	return r < 0 ? r : write_job(c, job);
}

int api_job_nodes(struct api_call *c)
{
	int r = warmup_write(c->ask->server->warmups, job_of(c), &c->w);

	return r < 0 ? api_complain(c, r, "there is no such job of all nodes") : 0;
}

static int write_each(void *arg, const struct job_progress *p)
{
	job_write(p, arg);
	return 0;
}

int api_jobs(struct api_call *c)
{
	jwrite_object(&c->w, NULL);
	jwrite_array(&c->w, "items");
	keeper_each_job(c->ask->server->keeper, write_each, &c->w);
	jwrite_array_end(&c->w);
	jwrite_null(&c->w, "next");
	jwrite_object_end(&c->w);
	return 0;
}

int api_job(struct api_call *c)
{
	return write_job(c, job_of(c));
}

int api_job_cancel(struct api_call *c)
{
	struct keeper *k = c->ask->server->keeper;
	uint64_t id = job_of(c);
	struct job_progress p;
	int r = keeper_job(k, id, &p);

	if (r == 0 && keeper_cancel_job(k, id) < 0)
		return api_complain(c, -EBUSY, "this job has ended");
	buf_printf(&c->subject, "%s", r == 0 ? p.what : "");
	return write_job(c, id);
}
