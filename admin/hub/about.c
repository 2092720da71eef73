/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/about.h"

#include "admin/hub/answer.h"
#include "admin/health.h"
#include "daemon/base/jwrite.h"

static int answer_text(struct ask *a, int status, const char *json)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	buf_add_str(&text, json);
	answer_json(a, status, &text);
	return 0;
}

int about_health(struct ask *a)
{
	return answer_text(a, 200, "{\"status\":\"ok\"}");
}

static void write_upstreams(struct node *n, struct jwrite *w)
{
	jwrite_array(w, "upstreams");
	for (unsigned i = 0; i < node_hub_count(n); i++) {
		struct hub_health health;
		const char *name = node_hub_health(n, i, &health);

		jwrite_object(w, NULL);
		jwrite_text(w, "name", name);
		jwrite_bool(w, "up", !health.down_ms);
		jwrite_object_end(w);
	}
	jwrite_array_end(w);
}

static void write_reasons(const struct health *h, struct jwrite *w)
{
	jwrite_bool(w, "degraded",
		    h->index || h->read_only || h->audit || h->upstreams_down || h->lost ||
			    h->rules || h->names);
	jwrite_array(w, "reasons");
	if (h->index)
		jwrite_text(w, NULL, "index");
	if (h->read_only)
		jwrite_text(w, NULL, "disk");
	if (h->audit)
		jwrite_text(w, NULL, "audit");
	if (h->lost)
		jwrite_text(w, NULL, "uploads");
	if (h->rules)
		jwrite_text(w, NULL, "rules");
	if (h->names)
		jwrite_text(w, NULL, "names");
	if (h->upstreams_down)
		jwrite_text(w, NULL, "upstream");
	jwrite_array_end(w);
}

/* Whatever is amiss but the index makes it degraded, not unfit: what is here is served. */
int about_ready(struct ask *a)
{
	CLEANUP(buf_free) struct buf json = { 0 };
	struct jwrite w = { .to = &json };
	struct health h;

	health_check(a->server, &h);
	jwrite_object(&w, NULL);
	jwrite_bool(&w, "ready", !h.index);
	write_reasons(&h, &w);
	jwrite_bool(&w, "read_only", h.read_only);
	jwrite_bool(&w, "audit_writable", !h.audit);
	jwrite_uint(&w, "lost_uploads", h.lost);
	jwrite_uint(&w, "damaged_rules", h.rules);
	jwrite_uint(&w, "names_kept", h.names);
	jwrite_uint(&w, "disk_free_bytes", h.disk_free_bytes);
	write_upstreams(a->server->node, &w);
	jwrite_object_end(&w);
	answer_json(a, h.index ? 503 : 200, &json);
	return 0;
}

int about_harnesses(struct ask *a)
{
	return answer_text(a, 200, "{\"standardEnvVars\":[],\"harnesses\":{}}");
}

int about_nothing(struct ask *a)
{
	return answer_text(a, 200, "{}");
}
