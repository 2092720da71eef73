/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of transfers in bytes per second: seen, and set while bytes flow. */
#include "daemon/control_priv.h"

#include <errno.h>

#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"

static const struct {
	const char *name;
	size_t offset;
} limits[] = {
	{ "total", offsetof(struct throttle_limits, total) },
	{ "demand", offsetof(struct throttle_limits, of[URGENCY_DEMAND]) },
	{ "ahead", offsetof(struct throttle_limits, of[URGENCY_AHEAD]) },
	{ "prefetch", offsetof(struct throttle_limits, of[URGENCY_PREFETCH]) },
	{ "background", offsetof(struct throttle_limits, of[URGENCY_BACKGROUND]) },
};

static uint64_t *field(struct throttle_limits *l, size_t i)
{
	return (uint64_t *)(void *)((char *)l + limits[i].offset);
}

void control_limits(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };
	struct throttle_limits now = node_limits(c->conf.node);

	jwrite_object(&w, NULL);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		jwrite_uint(&w, limits[i].name, *field(&now, i));
	jwrite_object_end(&w);
	control_reply(q, 200, &b);
}

/* Takes what the object names; what it does not stays. The name of what is no limit, or NULL. */
static const char *take_limits(const struct jval *root, struct throttle_limits *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		const struct jval *v = jval_get(root, limits[i].name);

		if (v && jval_size(v) < 0)
			return limits[i].name;
		if (v)
			*field(ret, i) = (uint64_t)jval_size(v);
	}
	return NULL;
}

void control_set_limits(struct control *c, struct httpd_request *q, const char *rest)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct throttle_limits now = node_limits(c->conf.node);
	const struct buf *body = httpd_body(q);
	const char *bad;

	if (jdoc_parse(buf_str(body), body->len, &d) < 0 || !jval_is_object(jdoc_root(d))) {
		control_refuse(q, 400, "bad_request",
			       "the body must be a JSON object, as {\"total\": 100000000}");
		return;
	}
	bad = take_limits(jdoc_root(d), &now);
	if (bad) {
		control_refuse(q, 400, "bad_request",
			       "\"%s\" must be a number of bytes per second, 0 for no limit", bad);
		return;
	}
	node_set_limits(c->conf.node, &now);
	control_limits(c, q, rest);
}
