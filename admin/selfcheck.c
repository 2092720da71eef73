/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/selfcheck.h"

#include <errno.h>

#include "daemon/base/buf.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/httpc.h"
#include "daemon/base/listen.h"

#define PATIENCE_MS 20000

struct selfcheck {
	struct httpc *http;
	struct buf url;
};

int selfcheck_new(const struct httpd_door *door, struct selfcheck **ret)
{
	const struct httpc_conf conf = {
		.user_agent = "matrixhubd-selfcheck/" MATRIXFS_VERSION,
		.connect_ms = PATIENCE_MS,
		.stall_ms = PATIENCE_MS,
		.direct = true,
	};
	struct selfcheck *s = calloc(1, sizeof(*s));
	int r = s ? httpc_new(&conf, &s->http) : -ENOMEM;

	*ret = NULL;
	if (r == 0) {
		buf_printf(&s->url, "http%s://", door->tls ? "s" : "");
		listen_tell(door->fd, &s->url);
		buf_add_str(&s->url, "/healthz");
		r = s->url.failed;
	}
	if (r < 0)
		selfcheck_free(s);
	else
		*ret = s;
	return r;
}

/* A certificate that is not for this address came from the hub all the same. */
int selfcheck_ask(struct selfcheck *s)
{
	const struct httpc_request q = {
		.method = "GET",
		.url = buf_str(&s->url),
		.deadline_ms = clock_ms() + PATIENCE_MS,
	};
	int r = httpc_run(s->http, &q);

	return r == ERR_TLS || r > 0 ? 0 : r;
}

void selfcheck_free(struct selfcheck *s)
{
	if (!s)
		return;
	httpc_free(s->http);
	buf_free(&s->url);
	free(s);
}
