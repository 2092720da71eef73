/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/peer_call.h"

#define WHOLE_MS 10000

static int on_head(void *arg UNUSED, const struct httpc_response *r UNUSED, int64_t took_ms UNUSED)
{
	return 0;
}

static int on_body(void *arg, const void *data, size_t len)
{
	return buf_add(arg, data, len);
}

int peer_call_run(const struct peer_call *e, const struct asker *who, struct buf *ret)
{
	struct httpc_cancel own = { 0 };
	const struct peer_request request = {
		.member = e->member,
		.method = e->method,
		.target = e->target,
		.range = "",
		.cancel = e->cancel ? e->cancel : &own,
		.patience_ms = e->patience_ms,
		.connect_ms = e->connect_ms,
		.whole_ms = e->whole_ms ? e->whole_ms : WHOLE_MS,
		.head = on_head,
		.body = on_body,
		.arg = ret,
	};

	return peer_request_run(&request, who);
}
