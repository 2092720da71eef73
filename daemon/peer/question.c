/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/question.h"

#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define TRIES 2       /* a second one with the clock that the first has told */
#define SLACK_MS 1000 /* beyond its patience the head, or a whole answer without bytes, may take */
#define BODY_MAX (64 << 10) /* of an answer without bytes of the blob */

/* One try: what is signed, and what must fit the answer. */
struct exchange {
	struct question *q;
	struct spoken spoken;
	int64_t asked_ms;
	int64_t until_ms; /* for all but the bytes of the blob, however they drip */
	uint64_t dropped;
};

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
	const char *number = httpc_header(r, WIRE_NUMBER), *quiet = httpc_header(r, WIRE_QUIET);
	int known = spoken_check(&x->spoken, r);

	q->first_ms = clock_ms() - x->asked_ms;
	if (known < 0)
		return known;
	q->status = httpc_status(r);
	q->other_count = others ? wire_read_others(others, q->others) : 0;
	q->number = number ? wire_read_number(number) : 0;
	q->quiet_ms = quiet ? wire_read_quiet(quiet) : -1;
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
	if (clock_ms() >= x->until_ms)
		return ERR_TIMEOUT;
	return x->dropped > BODY_MAX ? ERR_PROTO : 0;
}

static int run(struct exchange *x)
{
	struct httpc_cancel *cancel = x->q->cancel;
	const struct httpc_cancel before = { .patience_ms = cancel->patience_ms,
					     .connect_ms = cancel->connect_ms };
	struct httpc_request request = {
		.method = "GET",
		.url = buf_str(&x->spoken.url),
		.fields = x->spoken.fields,
		.field_count = x->spoken.field_count,
		.deadline_ms = CLOCK_FOREVER, /* silence ends it, length does not */
		.head = on_head,
		.body = on_body,
		.arg = x,
		.cancel = cancel,
	};
	int r;

	cancel->patience_ms = x->q->patience_ms;
	cancel->connect_ms = x->q->connect_ms;
	x->asked_ms = clock_ms();
	request.head_ms = x->until_ms = x->asked_ms + x->q->patience_ms + SLACK_MS;
	r = httpc_run(x->spoken.who->http, &request);
	cancel->patience_ms = before.patience_ms;
	cancel->connect_ms = before.connect_ms;
	return r < 0 || x->q->sunk ? r : 0;
}

/* Writes and signs what is asked, and asks it. */
static int try_once(struct question *q, const struct asker *who)
{
	struct exchange x = { .q = q, .spoken = { .who = who, .member = q->member } };
	CLEANUP(buf_free) struct buf target = { 0 }, range = { 0 };
	int r = wire_write_ask(q->ask, &target, &range);

	if (r == 0)
		r = spoken_write(&x.spoken, "GET", buf_str(&target), buf_str(&range));
	if (r == 0)
		r = run(&x);
	spoken_fini(&x.spoken);
	return r;
}

int question_ask(struct question *q, const struct asker *who)
{
	int r = 0;

	for (int i = 0; i < TRIES; i++) {
		q->status = q->sunk = 0;
		q->first_ms = q->quiet_ms = -1;
		q->other_count = 0;
		q->number = 0;
		r = try_once(q, who);
		if (r != 0 || q->status != WIRE_KEY)
			return r;
	}
	return ERR_TOKEN; /* signed by the key we share, and yet it does not take our word */
}
