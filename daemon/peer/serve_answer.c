/* SPDX-License-Identifier: Apache-2.0 */
/* What members are answered, but for bytes: each answer is signed. */
#include "daemon/peer/serve_priv.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

int serve_head(const struct guest *g, int status, const char *content_range, const char *others,
	       struct httpd_head *ret)
{
	CLEANUP(buf_free) struct buf info = { 0 };
	const struct serve *s = g->serve;
	char number[16] = "";
	struct cluster_answer answer = {
		.status = status,
		.content_range = content_range,
		.others = others,
		.zone = s->conf.zone,
		.number = number,
		.node = s->conf.process,
		.wall_ms = clock_wall_ms(),
	};
	int r;

	if (g->number)
		snprintf(number, sizeof(number), "%u", g->number);
	r = cluster_key_sign_answer(s->conf.key, &answer, g->nonce, &info);
	*ret = (struct httpd_head){ .status = status };
	if (r == 0)
		r = httpd_head_add(ret, "Authentication-Info", "%s", buf_str(&info));
	if (r == 0 && *content_range)
		r = httpd_head_add(ret, "Content-Range", "%s", content_range);
	if (r == 0 && *others)
		r = httpd_head_add(ret, WIRE_OTHERS, "%s", others);
	if (r == 0 && *number)
		r = httpd_head_add(ret, WIRE_NUMBER, "%s", number);
	if (r == 0 && *s->conf.zone)
		r = httpd_head_add(ret, WIRE_ZONE, "%s", s->conf.zone);
	return r;
}

/* Ends a request whose answer could not be written. */
static void break_off(const struct guest *g)
{
	struct buf body = { 0 };

	httpd_reply(g->http, 500, "text/plain", &body, NULL);
}

static void say(const struct guest *g, int status, const char *others, const char *cause)
{
	struct httpd_head head;
	struct buf body = { 0 };
	int r = serve_head(g, status, "", others, &head);

	if (r == 0 && *cause)
		r = httpd_head_add(&head, WIRE_CAUSE, "%s", cause);
	if (r < 0) {
		httpd_head_free(&head);
		break_off(g);
		return;
	}
	httpd_reply_head(g->http, &head, &body);
}

void serve_cause(const struct guest *g, int status, const char *cause)
{
	metrics_add(&g->serve->conf.counts->refused, 1);
	say(g, status, "", cause);
}

void serve_say(const struct guest *g, int status, const char (*others)[MEMBER_ADDRESS_MAX + 1],
	       unsigned count)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct peer_counts *counts = g->serve->conf.counts;

	wire_write_others(others, count, &text);
	metrics_add(status == WIRE_COMING      ? &counts->waits
		    : status == WIRE_ELSEWHERE ? &counts->redirects
					       : &counts->refused,
		    1);
	say(g, status, buf_str(&text), "");
}

void serve_fail(const struct guest *g, int r)
{
	int status = r == -ENOENT     ? WIRE_NOT_HERE
		     : r == -EAGAIN   ? WIRE_BUSY
		     : r == ERR_SIZE  ? WIRE_OTHER_SIZE
		     : err_is_disk(r) ? WIRE_FULL
				      : WIRE_FAILED;

	serve_cause(g, status, err_word(err_index(r)));
}
