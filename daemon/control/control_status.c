/* SPDX-License-Identifier: Apache-2.0 */
/* How things are: whether it lives, what it runs with, what is being fetched, what is kept. */
#include "daemon/control/control_priv.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"

void control_health(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	(void)c;
	buf_add_str(&b, "ok\n");
	httpd_reply(q, 200, "text/plain", &b, NULL);
}

/* --- status */

static void write_time(struct jwrite *w, const char *key, int64_t s)
{
	if (s)
		jwrite_int(w, key, s);
	else
		jwrite_null(w, key);
}

static void write_hub(struct jwrite *w, struct node *n, unsigned i)
{
	struct hub_health h;
	const char *name = node_hub_health(n, i, &h);

	jwrite_object(w, NULL);
	jwrite_text(w, "url", name);
	jwrite_text(w, "state", h.down_ms > 0 ? "down" : h.ok_s ? "ok" : "unknown");
	jwrite_number(w, "down_seconds", (double)h.down_ms / 1000);
	write_time(w, "last_ok", h.ok_s);
	write_time(w, "last_failure", h.failed_s);
	jwrite_text(w, "last_error", h.error[0] ? h.error : NULL);
	jwrite_object_end(w);
}

static void write_hubs(struct jwrite *w, struct node *n)
{
	jwrite_array(w, "hubs");
	for (unsigned i = 0; i < node_hub_count(n); i++)
		write_hub(w, n, i);
	jwrite_array_end(w);
}

static void write_fuse(struct jwrite *w, const struct control_face *face)
{
	unsigned major = 0, minor = 0;
	const char *library = face->fuse ? face->fuse(face->arg, &major, &minor) : NULL;
	char protocol[32];

	snprintf(protocol, sizeof(protocol), "%u.%u", major, minor);
	jwrite_text(w, "fuse_library", library);
	jwrite_text(w, "fuse_protocol", major ? protocol : NULL);
}

static void write_held(struct jwrite *w, const struct control_face *face)
{
	struct control_held held = { .by = "nobody" };

	if (face->held)
		face->held(face->holding, &held);
	jwrite_text(w, "held_by", held.by);
	if (held.holder_pid)
		jwrite_int(w, "holder_pid", held.holder_pid);
	else
		jwrite_null(w, "holder_pid");
	jwrite_uint(w, "takeovers", held.takeovers);
}

static void write_mount(struct jwrite *w, const struct control_face *face)
{
	const char *why_not = face->passthrough_why_not(face->arg);
	int64_t oldest_ms;
	unsigned under_way = face->under_way(face->arg, &oldest_ms);

	jwrite_text(w, "mountpoint", face->mountpoint);
	write_held(w, face);
	jwrite_bool(w, "passthrough", !why_not);
	jwrite_text(w, "passthrough_why_not", why_not);
	write_fuse(w, face);
	jwrite_uint(w, "requests_under_way", under_way);
	jwrite_number(w, "oldest_request_seconds", under_way ? (double)oldest_ms / 1000 : 0);
}

/* What costs nothing to know: /v1/cache looks at each blob. */
static void write_used(struct jwrite *w, struct node *n)
{
	uint64_t total, left;

	jwrite_object(w, "used");
	jwrite_uint(w, "cache_bytes", store_used_bytes(node_parts(n)->store));
	jwrite_uint(w, "capacity_bytes", node_capacity(n));
	if (node_space(n, &total, &left) == 0) {
		jwrite_uint(w, "disk_bytes", total);
		jwrite_uint(w, "disk_free_bytes", left);
	}
	jwrite_object_end(w);
}

void control_status(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };
	struct cache_limits limits = store_limits(node_parts(c->conf.node)->store);

	jwrite_object(&w, NULL);
	jwrite_text(&w, "version", MATRIXFS_VERSION);
	jwrite_int(&w, "pid", getpid());
	jwrite_int(&w, "since", c->since_s);
	jwrite_int(&w, "uptime_seconds", (clock_ms() - c->since_ms) / 1000);
	write_mount(&w, c->conf.face);
	jwrite_text(&w, "cache", c->conf.cache_dir);
	jwrite_bool(&w, "offline", c->conf.offline);
	jwrite_text(&w, "verify", c->conf.strict ? "strict" : "stream");
	jwrite_object(&w, "limits");
	jwrite_uint(&w, "cache_size", limits.max_bytes);
	jwrite_uint(&w, "cache_min_free", limits.min_free_bytes);
	jwrite_int(&w, "timeout_seconds", c->conf.timeout_ms / 1000);
	control_write_limits(&w, "bytes_per_second", c->conf.node);
	jwrite_object_end(&w);
	write_used(&w, c->conf.node);
	write_hubs(&w, c->conf.node);
	jwrite_object_end(&w);
	control_reply(q, 200, &b);
}

/* --- transfers */

void control_write_progress(struct jwrite *w, const struct transfer *t)
{
	jwrite_uint(w, "requests", t->requests);
	jwrite_uint(w, "asked_bytes", t->asked);
	jwrite_uint(w, "queued_bytes", t->queued);
	jwrite_uint(w, "bytes_per_second", t->bytes_s);
	jwrite_uint(w, "waiting", t->waiting);
	jwrite_number(w, "waiting_seconds", (double)t->waiting_ms / 1000);
	jwrite_number(w, "silent_seconds", t->silent_ms < 0 ? 0 : (double)t->silent_ms / 1000);
	jwrite_bool(w, "verified_only", t->verified_only);
}

struct listing {
	struct node *node;
	struct jwrite *w;
};

/* What went wrong since bytes of it last came: why it does not move. */
static void write_trouble(struct jwrite *w, struct node *n, const struct transfer *t)
{
	struct failure f;
	bool since = node_failure(n, t->etag, &f) && clock_wall_s() - f.at_s <= t->silent_ms / 1000;

	control_write_failure(w, since ? &f : NULL);
}

static int write_transfer(void *arg, const struct transfer *t)
{
	struct listing *l = arg;
	struct jwrite *w = l->w;
	char repo[REPO_KEY_MAX + 1];

	repo_id_key(&t->repo, repo);
	jwrite_object(w, NULL);
	jwrite_text(w, "repo", repo);
	jwrite_text(w, "commit", t->commit);
	jwrite_text(w, "path", t->path);
	jwrite_text(w, "etag", t->etag);
	jwrite_uint(w, "size", t->size);
	jwrite_uint(w, "present", t->present);
	control_write_percent(w, t->present, t->size);
	jwrite_text(w, "source", t->source[0] ? t->source : NULL);
	jwrite_text(w, "class", urgency_name(t->urgency));
	jwrite_uint(w, "readers", t->readers);
	control_write_progress(w, t);
	write_trouble(w, l->node, t);
	jwrite_object_end(w);
	return 0;
}

void control_transfers(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };
	struct listing l = { c->conf.node, &w };
	int r;

	jwrite_object(&w, NULL);
	jwrite_array(&w, "transfers");
	r = node_each_transfer(c->conf.node, write_transfer, &l);
	jwrite_array_end(&w);
	jwrite_object_end(&w);
	if (r < 0)
		control_fail(q, r);
	else
		control_reply(q, 200, &b);
}

/* --- cache */

static void write_part(struct jwrite *w, const char *key, uint64_t bytes, uint64_t blobs)
{
	jwrite_object(w, key);
	jwrite_uint(w, "bytes", bytes);
	jwrite_uint(w, "blobs", blobs);
	jwrite_object_end(w);
}

static int write_pin(void *arg, const struct pin *p)
{
	struct jwrite *w = arg;

	jwrite_object(w, NULL);
	jwrite_text(w, "repo", p->key);
	jwrite_text(w, "revision", p->revision);
	jwrite_text(w, "commit", p->commit[0] ? p->commit : NULL);
	jwrite_int(w, "since", p->since_s);
	jwrite_object_end(w);
	return 0;
}

static int write_cache(struct jwrite *w, struct keeper *k)
{
	struct keeper_cache cache;
	int r = keeper_cache(k, &cache);

	if (r < 0)
		return r;
	jwrite_object(w, NULL);
	write_part(w, "used", cache.used_bytes, cache.used_blobs);
	write_part(w, "pinned", cache.pinned_bytes, cache.pinned_blobs);
	write_part(w, "sealed", cache.sealed_bytes, cache.sealed_blobs);
	write_part(w, "incomplete", cache.incomplete_bytes, cache.incomplete_blobs);
	write_part(w, "evictable", cache.evictable_bytes, cache.evictable_blobs);
	jwrite_uint(w, "max_bytes", cache.limits.max_bytes);
	jwrite_uint(w, "min_free_bytes", cache.limits.min_free_bytes);
	jwrite_uint(w, "disk_bytes", cache.disk_bytes);
	jwrite_uint(w, "disk_free_bytes", cache.disk_free_bytes);
	jwrite_array(w, "pins");
	r = keeper_each_pin(k, write_pin, w);
	jwrite_array_end(w);
	jwrite_object_end(w);
	return r;
}

void control_cache(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };
	int r = write_cache(&w, c->conf.keeper);

	if (r < 0)
		control_fail(q, r);
	else
		control_reply(q, 200, &b);
}
