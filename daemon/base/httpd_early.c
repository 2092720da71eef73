/* SPDX-License-Identifier: Apache-2.0 */
/* The handler keeps its side of the request: what goes out meanwhile is the library's alone. */
#include "daemon/base/httpd_early.h"

#include <microhttpd.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/httpd_calls.h"

#define PIECE 4096

static size_t take_piece_locked(struct httpd_request *q, char *to, size_t max)
{
	size_t left = q->piece.len - q->piece_at;

	left = left < max ? left : max;
	memcpy(to, q->piece.data + q->piece_at, left);
	q->piece_at += left;
	q->length += left;
	return left;
}

/* Suspended until the next tick, or until the answer is there. */
static void sleep_locked(struct httpd_request *q)
{
	struct httpd *h = q->all;

	q->waits = true;
	if (h->sleeping++ == 0)
		httpd_nudge(h);
	MHD_suspend_connection(q->connection);
}

static ssize_t read_locked(struct httpd_request *q, char *to, size_t max)
{
	int64_t now_ms = clock_ms();

	if (q->piece_at < q->piece.len)
		return (ssize_t)take_piece_locked(q, to, max);
	if (q->early_over)
		return q->piece.failed ? MHD_CONTENT_READER_END_WITH_ERROR
				       : MHD_CONTENT_READER_END_OF_STREAM;
	if (q->all->over)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (now_ms < q->tell_ms) {
		sleep_locked(q);
		return 0;
	}
	q->tell_ms = now_ms + q->early->every_ms;
	buf_clear(&q->piece);
	q->piece_at = 0;
	if (buf_add_str(&q->piece, q->early->meanwhile) < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	return (ssize_t)take_piece_locked(q, to, max);
}

static ssize_t read_early(void *arg, uint64_t pos UNUSED, char *to, size_t max)
{
	struct httpd_request *q = arg;
	ssize_t n;

	lock_take(&q->all->lock);
	n = read_locked(q, to, max);
	lock_drop(&q->all->lock);
	return n;
}

void httpd_begin_early(struct httpd_request *q, const struct httpd_early *e)
{
	struct MHD_Response *m =
		MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE, read_early, q, NULL);
	bool taken;

	if (!m)
		return; /* the answer is one as any other */
	MHD_add_response_header(m, "Content-Type", e->type);
	MHD_add_response_header(m, "Cache-Control", "no-store");
	lock_take(&q->all->lock);
	taken = q->stage != STAGE_ANSWERED && q->in_library;
	if (taken) {
		q->early = e;
		httpd_keep_locked(q, 200, m);
	}
	lock_drop(&q->all->lock);
	if (!taken)
		MHD_destroy_response(m);
}

bool httpd_end_early(struct httpd_request *q, int status, struct buf *body)
{
	CLEANUP(buf_free) struct buf last = { 0 };
	struct httpd *h = q->all;

	if (!q->early)
		return false;
	q->early->last(status, body, &last);
	buf_free(body);
	lock_take(&h->lock);
	buf_add(&q->piece, buf_str(&last), last.len);
	q->piece.failed = q->piece.failed ? q->piece.failed : last.failed;
	q->early_over = true;
	if (q->waits)
		MHD_resume_connection(q->connection);
	q->waits = false;
	lock_drop(&h->lock);
	httpd_leave(q, &q->in_handler);
	return true;
}
