/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the hubs can be asked, tried now: who waits for them is a thread of its own. */
#include "daemon/control/control_priv.h"

#include <errno.h>

#include "daemon/base/clock.h"
#include "daemon/node_probe.h"

#define CHECK_MS 4000 /* all of them together: a stop waits for it */

static const char *token_word(const struct hub_probe *p)
{
	if (p->status < 0)
		return "unknown";
	if (!p->token)
		return "none";
	if (p->status == 401 || p->status == 403)
		return "refused";
	return p->status == 200 ? "accepted" : "unknown";
}

static void write_probe(struct jwrite *w, const char *name, const struct hub_probe *p)
{
	jwrite_object(w, NULL);
	jwrite_text(w, "url", name);
	jwrite_bool(w, "answers", p->status >= 0);
	if (p->status >= 0)
		jwrite_int(w, "status", p->status);
	else
		jwrite_null(w, "status");
	jwrite_text(w, "error", p->why[0] ? p->why : NULL);
	jwrite_int(w, "milliseconds", p->took_ms);
	if (p->has_date)
		jwrite_int(w, "clock_ahead_seconds", p->ahead_s);
	else
		jwrite_null(w, "clock_ahead_seconds");
	jwrite_text(w, "token", token_word(p));
	jwrite_object_end(w);
}

/* Each gets its part of what is left: one that is silent leaves some for the next. */
static void check_hubs(struct node *n, struct jwrite *w)
{
	int64_t until_ms = clock_ms() + CHECK_MS;
	unsigned count = node_hub_count(n);

	jwrite_object(w, NULL);
	jwrite_array(w, "hubs");
	for (unsigned i = 0; i < count; i++) {
		int64_t now_ms = clock_ms();
		struct hub_probe p;
		const char *name;

		name = node_hub_probe(n, i, now_ms + (until_ms - now_ms) / (count - i), &p);
		write_probe(w, name, &p);
	}
	jwrite_array_end(w);
	jwrite_object_end(w);
}

struct check {
	struct node *node;
	struct httpd_request *q;
};

static void run_check(void *arg, uint64_t number UNUSED)
{
	CLEANUP(freep) struct check *k = arg;
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };

	check_hubs(k->node, &w);
	control_reply(k->q, 200, &b);
}

void control_check_hubs(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	struct check *k = calloc(1, sizeof(*k));
	int r = -ENOMEM;

	if (k) {
		*k = (struct check){ c->conf.node, q };
		r = workers_add(c->askers, &(struct work){ .fn = run_check, .arg = k });
	}
	if (r == 0)
		return;
	free(k);
	control_fail(q, r);
}
