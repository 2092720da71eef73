/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/errand.h"

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/peer/wire.h"

#define TRIES 2 /* a second one with the clock that the first has told */
#define ANSWER_MAX (64 << 10)
#define WHOLE_MS 10000

struct running {
	struct spoken spoken;
	struct buf *answer;
};

static int on_head(void *arg, const struct httpc_response *r)
{
	struct running *g = arg;

	return spoken_check(&g->spoken, r);
}

static int on_body(void *arg, const void *data, size_t len)
{
	struct running *g = arg;

	if (g->answer->len + len > ANSWER_MAX)
		return ERR_PROTO;
	return buf_add(g->answer, data, len);
}

static int try_once(const struct errand *e, const struct asker *who, struct buf *ret)
{
	struct running g = { .spoken = { .who = who, .member = e->member }, .answer = ret };
	struct httpc_cancel own = { 0 }, *cancel = e->cancel ? e->cancel : &own;
	struct httpc_request q = {
		.method = e->method,
		.deadline_ms = clock_ms() + WHOLE_MS,
		.head = on_head,
		.body = on_body,
		.arg = &g,
		.cancel = cancel,
	};
	int r = spoken_write(&g.spoken, e->method, e->target, "");

	cancel->patience_ms = e->patience_ms;
	q.url = buf_str(&g.spoken.url);
	q.fields = g.spoken.fields;
	q.field_count = g.spoken.field_count;
	if (r == 0)
		r = httpc_run(who->http, &q);
	spoken_fini(&g.spoken);
	return r;
}

int errand_run(const struct errand *e, const struct asker *who, struct buf *ret)
{
	for (int i = 0; i < TRIES; i++) {
		int r = try_once(e, who, ret);

		if (r != WIRE_KEY)
			return r;
		buf_clear(ret);
	}
	return ERR_TOKEN;
}
