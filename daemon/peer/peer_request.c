/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/peer_request.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/peer/wire.h"

#define TOO_MANY 429

/* One attempt: what is sent, and what came. */
struct attempt {
	const struct peer_request *s;
	const struct asker *who;
	struct buf url, authorization, range, zone;
	const char *fields[3];
	unsigned field_count;
	char nonce[CLUSTER_NONCE_HEX + 1];
	int64_t asked_ms;
	int status; /* of a head that a member has signed; 0: there was none */
	uint64_t came;
};

/* ---- what is sent ---- */

static void add_field(struct attempt *t, const struct buf *line)
{
	t->fields[t->field_count++] = buf_str(line);
}

static int sign(struct attempt *t)
{
	const struct peer_request *s = t->s;
	const struct cluster_words words = {
		.method = s->method,
		.target = s->target,
		.range = s->range,
		.node = t->who->address,
		.to = member_address(s->member),
		.zone = t->who->zone,
	};

	return cluster_key_authorize(t->who->key, &words, member_clock_ahead_ms(s->member),
				     &t->authorization, t->nonce);
}

static int compose(struct attempt *t)
{
	const struct peer_request *s = t->s;
	int r = sign(t);

	buf_printf(&t->url, "%s://%s%s", t->who->secure ? "https" : "http",
		   member_address(s->member), s->target);
	buf_printf(&t->range, "Range: %s", s->range);
	buf_printf(&t->zone, WIRE_ZONE ": %s", t->who->zone);
	if (r == 0 && (t->url.failed || t->range.failed || t->zone.failed))
		r = -ENOMEM;
	add_field(t, &t->authorization);
	if (*s->range)
		add_field(t, &t->range);
	if (*t->who->zone)
		add_field(t, &t->zone);
	return r;
}

/* ---- what comes ---- */

/* The list that was signed: which one it is says the status. Who sits on the line could give the
 * right one the other's name, and put his own in its place: an answer with the other is no
 * member's. */
static bool find_list(const struct httpc_response *r, const char **ret)
{
	bool told = httpc_status(r) == WIRE_TOLD;

	*ret = httpc_header(r, told ? WIRE_DIGESTS : WIRE_OTHERS);
	return !httpc_header(r, told ? WIRE_OTHERS : WIRE_DIGESTS);
}

static bool is_signed(const struct attempt *t, const struct httpc_response *r)
{
	const char *info = httpc_header(r, "Authentication-Info"), *list;
	bool alone = find_list(r, &list);
	const struct cluster_answer answer = {
		.status = httpc_status(r),
		.content_range = httpc_header(r, "Content-Range"),
		.others = list,
		.zone = httpc_header(r, WIRE_ZONE),
		.number = httpc_header(r, WIRE_NUMBER),
		.quiet = httpc_header(r, WIRE_QUIET),
	};
	char node[CLUSTER_NODE_MAX + 1];
	int64_t ahead_ms;

	if (!alone || !cluster_key_believe(t->who->key, &answer, t->nonce, info, node, &ahead_ms))
		return false;
	if (!strcmp(node, t->who->process))
		member_is_self(t->s->member, clock_ms());
	else
		member_tell_clock(t->s->member, ahead_ms, clock_ms());
	return true;
}

static int on_head(void *arg, const struct httpc_response *r)
{
	int64_t now_ms = clock_ms();
	int status = httpc_status(r);
	struct attempt *t = arg;

	if (!is_signed(t, r))
		return status == WIRE_BUSY || status == TOO_MANY ? ERR_BUSY : ERR_TOKEN;
	t->status = status;
	return status == WIRE_KEY ? 0 : t->s->head(t->s->arg, r, now_ms - t->asked_ms);
}

static int on_body(void *arg, const void *data, size_t len)
{
	struct attempt *t = arg;

	t->came += len;
	if (t->status != t->s->lasting) {
		if (clock_ms() >= t->asked_ms + t->s->whole_ms)
			return ERR_TIMEOUT;
		if (t->came > PEER_REQUEST_BODY_MAX)
			return ERR_PROTO;
	}
	return t->status == WIRE_KEY ? 0 : t->s->body(t->s->arg, data, len);
}

static int on_tick(void *arg)
{
	const struct attempt *t = arg;

	return t->s->tick(t->s->arg);
}

/* ---- both ---- */

static int run(struct attempt *t)
{
	const struct peer_request *s = t->s;
	const int64_t patience_ms = s->cancel->patience_ms, connect_ms = s->cancel->connect_ms;
	struct httpc_request request = {
		.method = s->method,
		.url = buf_str(&t->url),
		.fields = t->fields,
		.field_count = t->field_count,
		.head = on_head,
		.body = on_body,
		.tick = s->tick ? on_tick : NULL,
		.tick_ms = PEER_REQUEST_TICK_MS,
		.arg = t,
		.cancel = s->cancel,
	};
	int r;

	s->cancel->patience_ms = s->patience_ms;
	s->cancel->connect_ms = s->connect_ms;
	t->asked_ms = clock_ms();
	request.head_ms = t->asked_ms + s->whole_ms;
	request.deadline_ms = s->lasting ? CLOCK_FOREVER : request.head_ms;
	r = httpc_run(t->who->http, &request);
	s->cancel->patience_ms = patience_ms;
	s->cancel->connect_ms = connect_ms;
	return r;
}

/* True if it is to be signed again: whoever signs a refusal has our key, and tells its clock. */
static bool try_once(const struct peer_request *s, const struct asker *who, int *ret)
{
	struct attempt t = { .s = s, .who = who };

	*ret = compose(&t);
	if (*ret == 0)
		*ret = run(&t);
	if (who->troubles)
		tls_troubles_note(who->troubles, member_address(s->member), who->secure, *ret,
				  err_noted(*ret));
	buf_free(&t.url);
	buf_free(&t.authorization);
	buf_free(&t.range);
	buf_free(&t.zone);
	return *ret == WIRE_KEY && t.status == WIRE_KEY;
}

int peer_request_run(const struct peer_request *s, const struct asker *who)
{
	int r;

	for (int i = 0; i < CLUSTER_TRIES; i++)
		if (!try_once(s, who, &r))
			return r;
	return ERR_TOKEN; /* signed by the key we share, and yet it does not take our word */
}
