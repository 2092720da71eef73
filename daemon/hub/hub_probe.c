/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/hub/hub_probe.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/hub/hub_priv.h"

static int on_head(void *arg, const struct httpc_response *r)
{
	struct hub_probe *p = arg;
	int64_t date_s = httpc_date_s(r);

	p->status = httpc_status(r);
	p->has_date = date_s >= 0;
	p->ahead_s = p->has_date ? date_s - clock_wall_s() : 0;
	return 0;
}

static int ask(struct hub *h, int64_t deadline_ms, struct hub_probe *ret)
{
	const struct hub_token *token = h->token;
	CLEANUP(buf_free) struct buf url = { 0 };
	struct httpc_request q = {
		.method = "GET",
		.accept = "application/json",
		.deadline_ms = deadline_ms,
		.head = on_head,
		.arg = ret,
	};

	if (buf_printf(&url, "%s/api/whoami-v2", h->url) < 0)
		return -ENOMEM;
	ret->token = token && *token->text;
	q.url = buf_str(&url);
	q.token = ret->token ? token->text : NULL;
	return httpc_run(h->http, &q);
}

void hub_probe(struct hub *h, int64_t deadline_ms, struct hub_probe *ret)
{
	int64_t began_ms = clock_ms();
	const char *more;
	int r;

	*ret = (struct hub_probe){ 0 };
	r = ask(h, deadline_ms, ret);
	ret->took_ms = clock_ms() - began_ms;
	if (r >= 0)
		return;
	more = err_noted(r);
	ret->status = r;
	snprintf(ret->why, sizeof(ret->why), "%s", *more ? more : err_text(r));
}
