/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/question.h"

#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define TRIES 2             /* a second one with the clock that the first has told */
#define BODY_MAX (64 << 10) /* of an answer without bytes of the blob */

/* One try: what is signed, and what must fit the answer. */
struct exchange {
	struct question *q;
	const struct asker *who;
	int64_t asked_ms;
	char nonce[CLUSTER_NONCE_HEX + 1];
	uint64_t dropped;
};

static void note_clock(struct question *q, int64_t wall_ms)
{
	member_tell_clock(q->member, wall_ms - clock_wall_ms());
}

/* Whether a member has signed this head, whatever it says. */
static bool is_signed(struct exchange *x, const struct httpc_response *r)
{
	const char *info = httpc_header(r, "Authentication-Info");
	const char *range = httpc_header(r, "Content-Range");
	const char *others = httpc_header(r, WIRE_OTHERS);
	const char *signed_text = others ? others : httpc_header(r, WIRE_DIGESTS);
	struct cluster_answer answer = {
		.status = httpc_status(r),
		.content_range = range ? range : "",
		.others = signed_text ? signed_text : "",
	};
	char node[CLUSTER_NODE_MAX + 1];
	int64_t wall_ms;

	if (!info ||
	    !cluster_key_check_answer(x->who->key, &answer, x->nonce, info, node, &wall_ms))
		return false;
	note_clock(x->q, wall_ms);
	return true;
}

/* Of an answer with bytes: are they the first of those asked for? */
static int check_range(struct question *q, const struct httpc_response *r)
{
	uint64_t first, last;
	int64_t total;

	if (httpc_content_range(r, &first, &last, &total) < 0 || first != q->ask->off ||
	    last >= q->ask->off + q->ask->len)
		return ERR_PROTO;
	if (total < 0 || (uint64_t)total != q->ask->size)
		return ERR_SIZE;
	q->len = last - first + 1;
	return httpc_content_length(r) == (int64_t)q->len ? 0 : ERR_PROTO;
}

static int read_digests(struct question *q, const struct httpc_response *r)
{
	const char *text = httpc_header(r, WIRE_DIGESTS);

	return text && wire_read_digests(q->ask, text, &q->digests) ? 0 : ERR_PROTO;
}

static int on_head(void *arg, const struct httpc_response *r)
{
	struct exchange *x = arg;
	struct question *q = x->q;
	const char *others = httpc_header(r, WIRE_OTHERS), *zone = httpc_header(r, WIRE_ZONE);

	q->first_ms = clock_ms() - x->asked_ms;
	if (!is_signed(x, r))
		return ERR_TOKEN;
	q->status = httpc_status(r);
	q->retry_ms = httpc_retry_after_ms(r);
	q->other_count = others ? wire_read_others(others, q->others) : 0;
	if (zone)
		member_tell_zone(q->member, zone);
	if (q->ask->digests)
		return q->status == WIRE_TOLD ? read_digests(q, r) : 0;
	return q->status == WIRE_BYTES ? check_range(q, r) : 0;
}

static int on_body(void *arg, const void *data, size_t len)
{
	struct exchange *x = arg;

	if (x->q->status == WIRE_BYTES && !x->q->ask->digests) {
		x->q->sunk = x->q->sink(x->q->arg, data, len);
		return x->q->sunk;
	}
	x->dropped += len;
	return x->dropped > BODY_MAX ? ERR_PROTO : 0;
}

static int run(struct exchange *x, const char *url, const char *const *fields, unsigned count)
{
	struct httpc_cancel *cancel = x->q->cancel;
	int64_t before = cancel->patience_ms;
	struct httpc_request request = {
		.method = "GET",
		.url = url,
		.fields = fields,
		.field_count = count,
		.deadline_ms = CLOCK_FOREVER, /* silence ends it, length does not */
		.head = on_head,
		.body = on_body,
		.arg = x,
		.cancel = cancel,
	};
	int r;

	cancel->patience_ms = x->q->patience_ms;
	x->asked_ms = clock_ms();
	r = httpc_run(x->who->http, &request);
	cancel->patience_ms = before;
	return r < 0 || x->q->sunk ? r : 0;
}

/* Writes and signs what is asked, and asks it. */
static int try_once(struct question *q, const struct asker *who)
{
	struct exchange x = { .q = q, .who = who };
	CLEANUP(buf_free) struct buf url = { 0 }, target = { 0 }, range = { 0 };
	CLEANUP(buf_free) struct buf authorization = { 0 }, range_line = { 0 }, zone = { 0 };
	struct cluster_words words = { .method = "GET", .node = who->address };
	const char *fields[3];
	unsigned count = 1;
	int r = wire_write_ask(q->ask, &target, &range);

	words.target = buf_str(&target);
	words.range = buf_str(&range);
	buf_add_str(&authorization, "Authorization: ");
	if (r == 0)
		r = cluster_key_sign(who->key, &words,
				     clock_wall_ms() + member_clock_ahead_ms(q->member),
				     &authorization, x.nonce);
	buf_printf(&url, "http://%s%s", member_address(q->member), buf_str(&target));
	buf_printf(&range_line, "Range: %s", buf_str(&range));
	buf_printf(&zone, WIRE_ZONE ": %s", who->zone);
	if (r == 0 && (url.failed || range_line.failed || zone.failed))
		r = -ENOMEM;
	fields[0] = buf_str(&authorization);
	if (range.len)
		fields[count++] = buf_str(&range_line);
	if (*who->zone)
		fields[count++] = buf_str(&zone);
	return r < 0 ? r : run(&x, buf_str(&url), fields, count);
}

int question_ask(struct question *q, const struct asker *who)
{
	int r = 0;

	for (int i = 0; i < TRIES; i++) {
		q->status = q->sunk = 0;
		q->first_ms = q->retry_ms = -1;
		q->other_count = 0;
		r = try_once(q, who);
		if (r != 0 || q->status != WIRE_KEY)
			return r;
	}
	return ERR_TOKEN; /* signed by the key we share, and yet it does not take our word */
}
