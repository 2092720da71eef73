/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of transfers in bytes per second: seen, and set while bytes flow. */
#include "daemon/control/control_priv.h"

#define LIMITS (1 + URGENCY_COUNT) /* the total, and one for each class */

static const char *name_of(unsigned i)
{
	return i == 0 ? "total" : urgency_name(i - 1);
}

static uint64_t *field(struct throttle_limits *l, unsigned i)
{
	return i == 0 ? &l->total : &l->of[i - 1];
}

void control_write_limits(struct jwrite *w, const char *key, struct node *n)
{
	struct throttle_limits now = node_limits(n);

	jwrite_object(w, key);
	for (unsigned i = 0; i < LIMITS; i++)
		jwrite_uint(w, name_of(i), *field(&now, i));
	jwrite_object_end(w);
}

void control_limits(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };

	control_write_limits(&w, NULL, c->conf.node);
	control_reply(q, 200, &b);
}

/* What the object does not name stays as it is. */
void control_set_limits(struct control *c, struct httpd_request *q, const char *rest)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct throttle_limits now = node_limits(c->conf.node);
	const char *names[LIMITS];

	for (unsigned i = 0; i < LIMITS; i++)
		names[i] = name_of(i);
	if (control_take_object(q, names, LIMITS, &d) < 0)
		return;
	for (unsigned i = 0; i < LIMITS; i++) {
		int64_t rate =
			control_take_rate(q, jdoc_root(d), names[i], (int64_t)*field(&now, i));

		if (rate < 0)
			return;
		*field(&now, i) = (uint64_t)rate;
	}
	node_set_limits(c->conf.node, &now);
	control_limits(c, q, rest);
}
