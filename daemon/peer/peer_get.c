/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/peer_get.h"

#include "daemon/base/err.h"

#define SLACK_MS 1000 /* beyond its patience the head, or a whole answer without bytes, may take */

/* Of an answer with bytes: are they the first of those asked for? Their length is not signed. */
static int check_range(struct peer_get *q, const struct httpc_response *r)
{
	uint64_t first, last;
	int64_t total;

	if (httpc_content_range(r, &first, &last, &total) < 0 || first != q->ask->off ||
	    last >= q->ask->off + q->ask->len || total < 0 || (uint64_t)total != q->ask->size) {
		q->nonsense = true;
		return ERR_PROTO;
	}
	q->len = last - first + 1;
	return httpc_content_length(r) == (int64_t)q->len ? 0 : ERR_PROTO;
}

static int read_digests(struct peer_get *q, const struct httpc_response *r)
{
	const char *text = httpc_header(r, WIRE_DIGESTS);

	q->nonsense = !text || !wire_read_digests(q->ask, text, &q->digests);
	return q->nonsense ? ERR_PROTO : 0;
}

static int on_head(void *arg, const struct httpc_response *r, int64_t took_ms)
{
	struct peer_get *q = arg;
	const char *others = httpc_header(r, WIRE_OTHERS), *zone = httpc_header(r, WIRE_ZONE);
	const char *number = httpc_header(r, WIRE_NUMBER), *quiet = httpc_header(r, WIRE_QUIET);
	const char *cause = httpc_header(r, WIRE_CAUSE);

	q->first_ms = took_ms;
	q->status = httpc_status(r);
	q->other_count = others ? wire_read_others(others, q->others) : 0;
	q->number = number ? wire_read_number(number) : 0;
	q->quiet_ms = quiet ? wire_read_quiet(quiet) : -1;
	q->cause = cause ? err_from_word(cause) : 0;
	if (zone)
		member_tell_zone(q->member, zone);
	if (q->ask->digests)
		return q->status == WIRE_TOLD ? read_digests(q, r) : 0;
	return q->status == WIRE_BYTES ? check_range(q, r) : 0;
}

/* What comes with other answers is of no use. */
static int on_body(void *arg, const void *data, size_t len)
{
	struct peer_get *q = arg;

	if (q->status == WIRE_BYTES && !q->ask->digests)
		q->sunk = q->sink(q->arg, data, len);
	return q->sunk;
}

static int on_tick(void *arg)
{
	const struct peer_get *q = arg;

	return q->tick(q->arg);
}

int peer_get_run(struct peer_get *q, const struct asker *who)
{
	CLEANUP(buf_free) struct buf target = { 0 }, range = { 0 };
	struct peer_request request = {
		.member = q->member,
		.method = "GET",
		.cancel = q->cancel,
		.patience_ms = q->patience_ms,
		.connect_ms = q->connect_ms,
		.whole_ms = q->patience_ms + SLACK_MS,
		.lasting = q->ask->digests ? 0 : WIRE_BYTES,
		.head = on_head,
		.body = on_body,
		.tick = q->tick ? on_tick : NULL,
		.arg = q,
	};
	int r = wire_write_ask(q->ask, &target, &range);

	q->status = q->sunk = 0;
	q->nonsense = false;
	q->first_ms = q->quiet_ms = -1;
	q->other_count = 0;
	q->number = 0;
	q->cause = 0;
	request.target = buf_str(&target);
	request.range = buf_str(&range);
	if (r == 0)
		r = peer_request_run(&request, who);
	return r < 0 || q->sunk ? r : 0;
}
