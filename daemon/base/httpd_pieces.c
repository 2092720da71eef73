/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies that go to their handlers in pieces. Whoever has no room for more suspends the connection,
 * and the kernel makes the client wait. The library takes no answer in the middle of a body: one
 * that comes there is kept to its end, and what comes until then is thrown away, to a limit. */
#include "daemon/base/httpd_pieces.h"

#include <microhttpd.h>
#include <poll.h>

#include "daemon/base/err.h"
#include "daemon/base/httpd_calls.h"

#define THROWN_BYTES_MAX (64 << 20) /* of a body that was answered before its end */

enum next { NEXT_TAKE, NEXT_WAIT, NEXT_THROW, NEXT_END };

/* What becomes of bytes that are there, `stuck` if its taker has no room for them. */
static enum next next_of(struct httpd_request *q, bool stuck)
{
	struct httpd *h = q->all;
	enum next next = NEXT_TAKE;

	lock_take(&h->lock);
	if (q->stage == STAGE_ANSWERED)
		next = NEXT_THROW;
	else if (h->over)
		next = NEXT_END;
	else if (stuck && !q->woken)
		next = NEXT_WAIT;
	q->woken = false;
	q->waits = next == NEXT_WAIT;
	if (q->waits)
		MHD_suspend_connection(q->connection);
	lock_drop(&h->lock);
	return next;
}

static size_t take(struct httpd_request *q, const char *data, size_t len)
{
	size_t n;

	httpd_enter(q->all);
	n = q->pieces.take(q->pieces.arg, data, len);
	httpd_exit(q->all);
	return n;
}

static void note_came(struct httpd_request *q, size_t len)
{
	lock_take(&q->all->lock);
	q->came += len;
	lock_drop(&q->all->lock);
}

bool httpd_pieces_came(struct httpd_request *q, const char *data, size_t *len)
{
	enum next next = next_of(q, false);
	size_t taken = 0;

	while (next == NEXT_TAKE && taken < *len) {
		taken += take(q, data + taken, *len - taken);
		next = taken < *len ? next_of(q, true) : NEXT_TAKE;
	}
	if (next == NEXT_THROW) {
		q->dropped += *len - taken;
		taken = *len;
	}
	note_came(q, taken);
	*len -= taken;
	return next != NEXT_END && q->dropped <= THROWN_BYTES_MAX;
}

bool httpd_pieces_throws(const struct httpd_request *q)
{
	return !httpd_field(q, MHD_HTTP_HEADER_EXPECT) && httpd_body_length(q) <= THROWN_BYTES_MAX;
}

void httpd_pieces_end(struct httpd_request *q, int r)
{
	struct httpd_pieces p;

	lock_take(&q->all->lock);
	p = q->pieces;
	q->pieces.end = NULL;
	lock_drop(&q->all->lock);
	if (!p.end)
		return;
	httpd_enter(q->all);
	p.end(p.arg, r);
	httpd_exit(q->all);
}

void httpd_receive(struct httpd_request *q, const struct httpd_pieces *p)
{
	struct httpd *h = q->all;
	bool over;

	lock_take(&h->lock);
	over = q->stage == STAGE_ANSWERED; /* by the stop, or its connection is gone */
	if (!over) {
		q->pieces = *p;
		if (q->stage == STAGE_PARKED)
			MHD_resume_connection(q->connection);
		q->stage = STAGE_PIECES;
	}
	lock_drop(&h->lock);
	if (over)
		p->end(p->arg, ERR_CUT);
}

int64_t httpd_body_length(const struct httpd_request *q)
{
	const char *length = httpd_field(q, MHD_HTTP_HEADER_CONTENT_LENGTH);

	if (httpd_field(q, MHD_HTTP_HEADER_TRANSFER_ENCODING))
		return -1;
	return length ? (int64_t)strtoull(length, NULL, 10) : 0;
}

/* A suspended connection is not watched by the library. */
static bool is_closed(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct pollfd p = { .fd = info ? info->connect_fd : -1, .events = POLLRDHUP };

	return poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

bool httpd_left(struct httpd_request *q)
{
	bool left;

	lock_take(&q->all->lock);
	left = !q->in_library || (q->stage == STAGE_ANSWERED && !q->early) ||
	       is_closed(q->connection);
	lock_drop(&q->all->lock);
	return left;
}
