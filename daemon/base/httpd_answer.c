/* SPDX-License-Identifier: Apache-2.0 */
/* Answers. One that is made while it goes out suspends its connection while there is nothing to
 * send: a stream until the next tick, a flow until it is woken. */
#include <assert.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <string.h>

#include "daemon/base/httpd_calls.h"

#define STREAM_PIECE 4096
#define FLOW_PIECE (64 * 1024)

/* --- answers */

static struct MHD_Response *make_answer(const char *type, struct buf *body, const char *allow)
{
	size_t len = body->len;
	char *data = buf_take(body);
	struct MHD_Response *m;

	if (!data)
		return NULL;
	m = MHD_create_response_from_buffer(len, data, MHD_RESPMEM_MUST_FREE);
	if (!m) {
		free(data);
		return NULL;
	}
	MHD_add_response_header(m, "Content-Type", type);
	MHD_add_response_header(m, "Cache-Control", "no-store");
	if (allow)
		MHD_add_response_header(m, "Allow", allow);
	return m;
}

struct MHD_Response *httpd_refusal(const struct httpd *h, const char *error, const char *message)
{
	CLEANUP(buf_free) struct buf body = { 0 };
	struct MHD_Response *m;

	if (h->conf.error_is_sentence)
		buf_printf(&body, "{\"error\":\"%s\"}\n", message);
	else
		buf_printf(&body, "{\"error\":\"%s\",\"message\":\"%s\"}\n", error, message);
	m = make_answer("application/json", &body, NULL);
	if (!m)
		return NULL;
	/* Clients of a hub look here. */
	MHD_add_response_header(m, "X-Error-Code", error);
	MHD_add_response_header(m, "X-Error-Message", message);
	return m;
}

/* Hands over the answer, which may come when nobody wants it any more: then false. len is its
 * body's. `done`, or NULL, is called at the end of one that was taken. */
static bool give_until(struct httpd_request *q, int status, struct MHD_Response *m, uint64_t len,
		       void (*done)(void *arg, uint64_t sent), void *arg)
{
	struct httpd *h = q->all;
	bool taken;

	lock_take(&h->lock);
	assert(q->in_handler);
	assert(!q->early); /* ends otherwise: httpd_early.h */
	taken = q->stage != STAGE_ANSWERED && q->in_library;
	if (taken) {
		q->length = len;
		q->done = done;
		q->done_arg = arg;
		httpd_keep_locked(q, status, m);
	}
	lock_drop(&h->lock);
	if (!taken && m)
		MHD_destroy_response(m);
	return taken;
}

static void give(struct httpd_request *q, int status, struct MHD_Response *m, uint64_t len)
{
	(void)give_until(q, status, m, len, NULL, NULL);
}

void httpd_answer_over(struct httpd_request *q)
{
	struct httpd *h = q->all;
	struct MHD_Response *unsent;
	void (*done)(void *arg, uint64_t sent);

	lock_take(&h->lock);
	q->stage = STAGE_ANSWERED; /* no other may come now */
	unsent = steal(q->answer);
	done = steal(q->done);
	lock_drop(&h->lock);
	if (unsent)
		MHD_destroy_response(unsent);
	if (!done)
		return;
	done(q->done_arg, q->end.bytes);
	httpd_leave(q, &q->in_handler);
}

/* The same for one that is all there: the handler is done with the request. */
static void answer(struct httpd_request *q, int status, struct MHD_Response *m, uint64_t len)
{
	give(q, status, m, len);
	httpd_leave(q, &q->in_handler);
}

void httpd_reply(struct httpd_request *q, int status, const char *type, struct buf *body,
		 const char *allow)
{
	size_t len = body->len;

	if (httpd_end_early(q, status, body))
		return;
	answer(q, status, make_answer(type, body, allow), len);
	buf_free(body);
}

/* --- streams */

/* Sleeps until the next tick, or not at all when the server stops: then it is the end. */
static bool sleep_on(struct httpd_request *q)
{
	struct httpd *h = q->all;
	bool stop;

	lock_take(&h->lock);
	stop = h->closed;
	if (!stop) {
		q->asleep = true;
		if (h->sleeping++ == 0)
			httpd_nudge(h);
		MHD_suspend_connection(q->connection);
	}
	lock_drop(&h->lock);
	return !stop;
}

static int next_piece(struct httpd_request *q)
{
	int r;

	httpd_enter(q->all);
	r = q->stream.next(q->stream.arg, &q->piece);
	httpd_exit(q->all);
	return r;
}

static ssize_t stream_read(void *arg, uint64_t pos UNUSED, char *to, size_t max)
{
	struct httpd_request *q = arg;
	size_t left;

	if (q->piece_at == q->piece.len) {
		buf_clear(&q->piece);
		q->piece_at = 0;
		if (q->stream_result == 0 && !q->all->closed)
			q->stream_result = next_piece(q);
	}
	left = q->piece.len - q->piece_at;
	if (left > 0) {
		left = left < max ? left : max;
		memcpy(to, q->piece.data + q->piece_at, left);
		q->piece_at += left;
		q->length += left;
		return (ssize_t)left;
	}
	if (q->stream_result == 0 && sleep_on(q))
		return 0;
	return q->stream_result < 0 ? MHD_CONTENT_READER_END_WITH_ERROR
				    : MHD_CONTENT_READER_END_OF_STREAM;
}

static void stream_end(void *arg)
{
	struct httpd_request *q = arg;

	q->stream.end(q->stream.arg);
	buf_free(&q->piece);
	httpd_leave(q, &q->in_handler);
}

void httpd_reply_stream(struct httpd_request *q, const char *type, const struct httpd_stream *s)
{
	struct MHD_Response *m;

	q->stream = *s;
	/* The stream is the handler's side of the request until it ends. */
	m = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_PIECE, stream_read, q,
					      stream_end);
	if (!m) {
		s->end(s->arg);
		answer(q, 500, NULL, 0);
		return;
	}
	MHD_add_response_header(m, "Content-Type", type);
	MHD_add_response_header(m, "Cache-Control", "no-store");
	give(q, 200, m, 0);
}

/* --- heads */

int httpd_head_add(struct httpd_head *h, const char *name, const char *fmt, ...)
{
	va_list ap;

	buf_add(&h->fields, name, strlen(name) + 1);
	va_start(ap, fmt);
	buf_vprintf(&h->fields, fmt, ap);
	va_end(ap);
	return buf_add(&h->fields, "", 1);
}

void httpd_head_free(struct httpd_head *h)
{
	buf_free(&h->fields);
}

/* Puts the head on an answer, and takes it; NULL if there is none, or the head is not whole. */
static struct MHD_Response *with_head(struct MHD_Response *m, struct httpd_head *h)
{
	const char *at = h->fields.data, *end = at + h->fields.len;

	while (m && at < end) {
		const char *value = at + strlen(at) + 1;

		MHD_add_response_header(m, at, value);
		at = value + strlen(value) + 1;
	}
	if (m && h->fields.failed) {
		MHD_destroy_response(m);
		m = NULL;
	}
	httpd_head_free(h);
	return m;
}

void httpd_reply_head(struct httpd_request *q, struct httpd_head *h, struct buf *body)
{
	size_t len = body->len;
	struct MHD_Response *m = NULL;
	char *data;

	if (httpd_end_early(q, h->status, body)) {
		httpd_head_free(h);
		return;
	}
	data = len ? buf_take(body) : NULL;
	if (data || !body->failed)
		m = MHD_create_response_from_buffer(len, data, MHD_RESPMEM_MUST_FREE);
	if (!m)
		free(data);
	buf_free(body);
	answer(q, h->status, with_head(m, h), len);
}

static ssize_t read_nothing(void *arg UNUSED, uint64_t pos UNUSED, char *to UNUSED,
			    size_t max UNUSED)
{
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

void httpd_reply_length(struct httpd_request *q, struct httpd_head *h, uint64_t len)
{
	struct MHD_Response *m =
		MHD_create_response_from_callback(len, 1, read_nothing, NULL, NULL);

	answer(q, h->status, with_head(m, h), 0);
}

void httpd_reply_bytes(struct httpd_request *q, struct httpd_head *h, const void *data, size_t len,
		       void (*done)(void *arg), void *arg)
{
	struct MHD_Response *m = MHD_create_response_from_buffer_with_free_callback_cls(
		len, (void *)(uintptr_t)data, done, arg);

	if (!m)
		done(arg);
	answer(q, h->status, with_head(m, h), len);
}

/* The library closes the descriptor it is given. */
static struct MHD_Response *make_file(int fd, uint64_t off, uint64_t len)
{
	CLEANUP(closep) int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct MHD_Response *m = own < 0 ? NULL
					 : MHD_create_response_from_fd_at_offset64(len, own, off);

	if (m)
		steal_fd(&own);
	return m;
}

void httpd_reply_file(struct httpd_request *q, struct httpd_head *h, int fd, uint64_t off,
		      uint64_t len, void (*done)(void *arg, uint64_t sent), void *arg)
{
	struct MHD_Response *m = with_head(make_file(fd, off, len), h);

	/* What is sent is the handler's side of the request until it ends. */
	if (m && give_until(q, h->status, m, len, done, arg))
		return;
	done(arg, 0);
	if (m)
		httpd_leave(q, &q->in_handler);
	else
		answer(q, 500, NULL, 0);
}

/* --- flows */

/* Nothing is there yet. True: it may be there now; else *ret is what the library is told. */
static bool is_there_now(struct httpd_request *q, ssize_t *ret)
{
	struct httpd *h = q->all;
	bool now;

	lock_take(&h->lock);
	now = q->woken && !h->over;
	q->woken = false;
	*ret = h->over ? MHD_CONTENT_READER_END_WITH_ERROR : 0;
	if (!now && !h->over) {
		q->waits = true;
		MHD_suspend_connection(q->connection);
	}
	lock_drop(&h->lock);
	return now;
}

static ssize_t flow_read(void *arg, uint64_t pos, char *to, size_t max)
{
	struct httpd_request *q = arg;
	ssize_t n, told;

	do {
		httpd_enter(q->all);
		n = q->flow.read(q->flow.arg, pos, to, max);
		httpd_exit(q->all);
		if (n != 0)
			return n < 0 ? MHD_CONTENT_READER_END_WITH_ERROR : n;
	} while (is_there_now(q, &told));
	return told;
}

static void flow_end(void *arg)
{
	struct httpd_request *q = arg;

	q->flow.end(q->flow.arg);
	httpd_leave(q, &q->in_handler);
}

void httpd_reply_flow(struct httpd_request *q, struct httpd_head *h, const struct httpd_flow *f)
{
	struct MHD_Response *m;

	q->flow = *f;
	/* The flow is the handler's side of the request until it ends. */
	m = h->fields.failed
		    ? NULL
		    : MHD_create_response_from_callback(f->len, FLOW_PIECE, flow_read, q, flow_end);
	if (m) {
		give(q, h->status, with_head(m, h), f->len);
		return;
	}
	httpd_head_free(h);
	f->end(f->arg);
	answer(q, 500, NULL, 0);
}

void httpd_wake(struct httpd_request *q)
{
	struct httpd *h = q->all;

	lock_take(&h->lock);
	q->woken = !q->waits;
	if (q->waits)
		MHD_resume_connection(q->connection);
	q->waits = false;
	lock_drop(&h->lock);
}

void httpd_wake_all_locked(struct httpd *h)
{
	for (struct httpd_request *q = h->requests; q; q = q->next) {
		if (q->asleep || q->waits)
			MHD_resume_connection(q->connection);
		q->asleep = q->waits = false;
	}
	h->sleeping = 0;
}
