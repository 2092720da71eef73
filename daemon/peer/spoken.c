/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/spoken.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/peer/wire.h"

#define TOO_MANY 429

static void add_field(struct spoken *s, const struct buf *line)
{
	s->fields[s->field_count++] = buf_str(line);
}

int spoken_write(struct spoken *s, const char *method, const char *target, const char *range)
{
	struct cluster_words words = {
		.method = method,
		.target = target,
		.range = range,
		.node = s->who->address,
		.to = member_address(s->member),
		.zone = s->who->zone,
	};
	int r;

	buf_add_str(&s->authorization, "Authorization: ");
	r = cluster_key_sign(s->who->key, &words,
			     clock_wall_ms() + member_clock_ahead_ms(s->member), &s->authorization,
			     s->nonce);
	buf_printf(&s->url, "%s://%s%s", s->who->secure ? "https" : "http",
		   member_address(s->member), target);
	buf_printf(&s->range, "Range: %s", range);
	buf_printf(&s->zone, WIRE_ZONE ": %s", s->who->zone);
	if (r == 0 && (s->url.failed || s->range.failed || s->zone.failed))
		r = -ENOMEM;
	add_field(s, &s->authorization);
	if (*range)
		add_field(s, &s->range);
	if (*s->who->zone)
		add_field(s, &s->zone);
	return r;
}

static bool is_signed(struct spoken *s, const struct httpc_response *r)
{
	const char *info = httpc_header(r, "Authentication-Info");
	const char *others = httpc_header(r, WIRE_OTHERS);
	const struct cluster_answer answer = {
		.status = httpc_status(r),
		.content_range = httpc_header(r, "Content-Range"),
		.others = others ? others : httpc_header(r, WIRE_DIGESTS),
		.zone = httpc_header(r, WIRE_ZONE),
		.number = httpc_header(r, WIRE_NUMBER),
		.quiet = httpc_header(r, WIRE_QUIET),
	};
	char node[CLUSTER_NODE_MAX + 1];
	int64_t wall_ms;

	if (!info ||
	    !cluster_key_check_answer(s->who->key, &answer, s->nonce, info, node, &wall_ms))
		return false;
	if (!strcmp(node, s->who->process))
		member_is_self(s->member, clock_ms());
	else
		member_tell_clock(s->member, wall_ms - clock_wall_ms(), clock_ms());
	return true;
}

int spoken_check(struct spoken *s, const struct httpc_response *r)
{
	int status = httpc_status(r);

	if (is_signed(s, r))
		return 0;
	return status == WIRE_BUSY || status == TOO_MANY ? ERR_BUSY : ERR_TOKEN;
}

void spoken_fini(struct spoken *s)
{
	buf_free(&s->url);
	buf_free(&s->authorization);
	buf_free(&s->range);
	buf_free(&s->zone);
}
