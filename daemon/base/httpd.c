/* SPDX-License-Identifier: Apache-2.0 */
/* The library calls on_request() several times for each request: first with its head (an answer
 * queued there would make it close the connection, since the body is still to come), then with
 * pieces of the body, then at its end. An answer may only be queued inside such a call; so one that
 * comes later is kept in the request, whose connection was suspended, and resuming it brings
 * another call. A request lives until both sides are done with it: the library with its connection,
 * the handler with its answer. */
#include "daemon/base/httpd.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/url.h"

#define HEAD_BYTES_MAX (32 * 1024) /* memory of a connection: request line and headers */
#define STACK_BYTES (256 * 1024)
#define DROPPED_BYTES_MAX (1 << 20) /* of a body too large, read to be polite */
#define STREAM_PIECE 4096
#define REFUSAL_MS 200 /* at stop, for refusals to get out */
#define HELD_MS 10000  /* at stop, for who still holds a request */

struct httpd {
	struct httpd_conf conf;
	struct MHD_Daemon *daemon;
	pthread_t ticker;
	struct lock lock;
	struct cond changed; /* a stream sleeps, a request has gone, or stop */
	/* Guarded by lock. */
	struct httpd_request *requests; /* that the library or a handler has */
	unsigned sleeping;              /* streams that wait for the ticker */
	bool stop;
};

enum stage {
	STAGE_BODY,    /* still coming in */
	STAGE_HANDLER, /* inside handle() */
	STAGE_PARKED,  /* the handler returned without an answer: suspended */
	STAGE_ANSWERED
};

struct httpd_request {
	struct httpd *all;
	struct httpd_request *prev, *next; /* guarded by all->lock */
	struct MHD_Connection *connection;
	char *method, *path;
	struct buf body;
	size_t dropped; /* bytes of a body that is too large */
	/* Guarded by all->lock. */
	enum stage stage;
	bool in_library, in_handler; /* who still has it */
	struct MHD_Response *answer; /* to be queued */
	int status;
	/* A streamed answer: touched by the connection's thread, but for what the lock guards. */
	struct httpd_stream stream;
	struct buf piece;
	size_t piece_at;
	int stream_result;
	bool asleep; /* guarded by all->lock: suspended until the next tick */
};

/* --- a request's life */

static struct httpd_request *request_new(struct httpd *h, struct MHD_Connection *c,
					 const char *method, const char *path)
{
	struct httpd_request *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->all = h;
	q->connection = c;
	q->method = strdup(method);
	q->path = strdup(path);
	if (!q->method || !q->path) {
		free(q->method);
		free(q->path);
		free(q);
		return NULL;
	}
	q->in_library = true;
	lock_take(&h->lock);
	q->next = h->requests;
	if (h->requests)
		h->requests->prev = q;
	h->requests = q;
	lock_drop(&h->lock);
	return q;
}

static void unlink_locked(struct httpd_request *q)
{
	struct httpd *h = q->all;

	if (q->prev)
		q->prev->next = q->next;
	else
		h->requests = q->next;
	if (q->next)
		q->next->prev = q->prev;
}

static void request_free(struct httpd_request *q)
{
	buf_free(&q->body);
	free(q->method);
	free(q->path);
	free(q);
}

/* One side is done with it. */
static void leave(struct httpd_request *q, bool *side)
{
	struct httpd *h = q->all;
	bool last;

	lock_take(&h->lock);
	*side = false;
	last = !q->in_library && !q->in_handler;
	if (last)
		unlink_locked(q);
	if (h->stop)
		cond_wake_all(&h->changed);
	lock_drop(&h->lock);
	if (last)
		request_free(q);
}

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

static struct MHD_Response *refusal(const char *error, const char *message)
{
	CLEANUP(buf_free) struct buf body = { 0 };

	buf_printf(&body, "{\"error\":\"%s\",\"message\":\"%s\"}\n", error, message);
	return make_answer("application/json", &body, NULL);
}

/* Keeps the answer; a request that is parked goes on. The first answer counts. */
static void keep_answer_locked(struct httpd_request *q, int status, struct MHD_Response *m)
{
	bool parked = q->stage == STAGE_PARKED;

	q->stage = STAGE_ANSWERED;
	q->status = status;
	q->answer = m;
	if (parked && q->in_library)
		MHD_resume_connection(q->connection);
}

/* The handler's answer, which may come when nobody wants it any more. */
static void answer(struct httpd_request *q, int status, struct MHD_Response *m)
{
	struct httpd *h = q->all;

	lock_take(&h->lock);
	assert(q->in_handler);
	if (q->stage != STAGE_ANSWERED && q->in_library) {
		keep_answer_locked(q, status, m);
		m = NULL;
	}
	lock_drop(&h->lock);
	if (m)
		MHD_destroy_response(m);
	leave(q, &q->in_handler);
}

void httpd_reply(struct httpd_request *q, int status, const char *type, struct buf *body,
		 const char *allow)
{
	answer(q, status, make_answer(type, body, allow));
	buf_free(body);
}

/* Gives the library what was kept. Without memory for an answer the connection ends. */
static enum MHD_Result queue_answer(struct httpd_request *q)
{
	struct MHD_Response *m = steal(q->answer);
	enum MHD_Result ok;

	if (!m)
		return MHD_NO;
	ok = MHD_queue_response(q->connection, (unsigned)q->status, m);
	MHD_destroy_response(m);
	return ok;
}

/* --- streams */

/* Sleeps until the next tick, or not at all when the server stops: then it is the end. */
static bool sleep_on(struct httpd_request *q)
{
	struct httpd *h = q->all;
	bool stop;

	lock_take(&h->lock);
	stop = h->stop;
	if (!stop) {
		q->asleep = true;
		if (h->sleeping++ == 0)
			cond_wake_all(&h->changed);
		MHD_suspend_connection(q->connection);
	}
	lock_drop(&h->lock);
	return !stop;
}

static bool is_stopping(struct httpd *h)
{
	bool stop;

	lock_take(&h->lock);
	stop = h->stop;
	lock_drop(&h->lock);
	return stop;
}

static ssize_t stream_read(void *arg, uint64_t pos, char *to, size_t max)
{
	struct httpd_request *q = arg;
	size_t left;

	(void)pos;
	if (q->piece_at == q->piece.len) {
		buf_clear(&q->piece);
		q->piece_at = 0;
		if (q->stream_result == 0 && !is_stopping(q->all))
			q->stream_result = q->stream.next(q->stream.arg, &q->piece);
	}
	left = q->piece.len - q->piece_at;
	if (left > 0) {
		left = left < max ? left : max;
		memcpy(to, q->piece.data + q->piece_at, left);
		q->piece_at += left;
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
	leave(q, &q->in_handler);
}

void httpd_reply_stream(struct httpd_request *q, const char *type, const struct httpd_stream *s)
{
	struct httpd *h = q->all;
	struct MHD_Response *m;

	q->stream = *s;
	/* The stream is the handler's side of the request until it ends. */
	m = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_PIECE, stream_read, q,
					      stream_end);
	if (!m) {
		s->end(s->arg);
		answer(q, 500, NULL);
		return;
	}
	MHD_add_response_header(m, "Content-Type", type);
	MHD_add_response_header(m, "Cache-Control", "no-store");
	lock_take(&h->lock);
	if (q->stage != STAGE_ANSWERED && q->in_library) {
		keep_answer_locked(q, 200, m);
		m = NULL;
	}
	lock_drop(&h->lock);
	if (m)
		MHD_destroy_response(m);
}

static void wake_streams_locked(struct httpd *h)
{
	for (struct httpd_request *q = h->requests; q; q = q->next) {
		if (!q->asleep)
			continue;
		q->asleep = false;
		MHD_resume_connection(q->connection);
	}
	h->sleeping = 0;
}

static void *tick(void *arg)
{
	struct httpd *h = arg;
	int64_t next_ms = CLOCK_FOREVER;

	lock_take(&h->lock);
	while (!h->stop) {
		if (h->sleeping && next_ms == CLOCK_FOREVER)
			next_ms = clock_ms() + HTTPD_POLL_MS;
		if (clock_ms() >= next_ms) {
			wake_streams_locked(h);
			next_ms = CLOCK_FOREVER;
		}
		cond_wait(&h->changed, &h->lock, next_ms);
	}
	lock_drop(&h->lock);
	return NULL;
}

/* --- what the library calls */

static size_t unescape(void *arg, struct MHD_Connection *c, char *text)
{
	(void)arg;
	(void)c;
	return url_decode(text);
}

static enum MHD_Result take_body(struct httpd_request *q, const char *data, size_t *len)
{
	size_t max = q->all->conf.body_max;

	if (q->dropped || *len > max - q->body.len)
		q->dropped += *len;
	else if (buf_add(&q->body, data, *len) < 0)
		return MHD_NO;
	*len = 0;
	return q->dropped > DROPPED_BYTES_MAX ? MHD_NO : MHD_YES;
}

/* The handler has returned: its answer goes out, or the connection waits for it. */
static enum MHD_Result after_handler(struct httpd *h, struct httpd_request *q)
{
	lock_take(&h->lock);
	if (q->stage == STAGE_HANDLER && h->stop)
		keep_answer_locked(q, 503, refusal("stopping", "matrixfs is stopping"));
	if (q->stage == STAGE_HANDLER) {
		q->stage = STAGE_PARKED;
		MHD_suspend_connection(q->connection);
		lock_drop(&h->lock);
		return MHD_YES;
	}
	lock_drop(&h->lock);
	return queue_answer(q);
}

static bool claims_too_much(const struct httpd_request *q)
{
	const char *length = httpd_field(q, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return length && strtoull(length, NULL, 10) > q->all->conf.body_max;
}

static enum MHD_Result refuse_body(struct httpd_request *q)
{
	q->status = 413;
	q->answer = refusal("too_large", "the body of this request is too large");
	return queue_answer(q);
}

static enum MHD_Result handle(struct httpd *h, struct httpd_request *q)
{
	if (q->dropped)
		return refuse_body(q);
	lock_take(&h->lock);
	q->stage = STAGE_HANDLER;
	q->in_handler = true;
	lock_drop(&h->lock);
	h->conf.handle(h->conf.arg, q);
	return after_handler(h, q);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *path,
				  const char *method, const char *version, const char *data,
				  size_t *len, void **state)
{
	struct httpd *h = arg;
	struct httpd_request *q = *state;

	(void)version;
	if (!q) {
		*state = q = request_new(h, c, method, path);
		if (!q)
			return MHD_NO;
		return claims_too_much(q) ? refuse_body(q) : MHD_YES;
	}
	if (*len)
		return take_body(q, data, len);
	return q->stage == STAGE_BODY ? handle(h, q) : queue_answer(q);
}

static void on_completed(void *arg, struct MHD_Connection *c, void **state,
			 enum MHD_RequestTerminationCode how)
{
	struct httpd *h = arg;
	struct httpd_request *q = *state;
	struct MHD_Response *unsent;

	(void)c;
	(void)how;
	*state = NULL;
	if (!q)
		return;
	lock_take(&h->lock);
	unsent = steal(q->answer);
	lock_drop(&h->lock);
	if (unsent)
		MHD_destroy_response(unsent);
	leave(q, &q->in_library);
}

/* --- start and stop */

static int start_library(struct httpd *h)
{
	const struct httpd_conf *conf = &h->conf;
	sigset_t all, old;

	/* Its threads inherit this: signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	h->daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request,
		h, MHD_OPTION_LISTEN_SOCKET, conf->fd, MHD_OPTION_THREAD_POOL_SIZE, conf->threads,
		MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES, MHD_OPTION_CONNECTION_LIMIT,
		conf->connections_max, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)((conf->idle_ms + 999) / 1000), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)HEAD_BYTES_MAX, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, h, MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return h->daemon ? 0 : -EAGAIN;
}

int httpd_start(const struct httpd_conf *conf, struct httpd **ret)
{
	struct httpd *h = calloc(1, sizeof(*h));
	int r;

	if (!h) {
		close(conf->fd);
		return -ENOMEM;
	}
	h->conf = *conf;
	lock_init(&h->lock, LOCK_HTTPD);
	cond_init(&h->changed);
	r = thread_start(&h->ticker, "mfs-http-tick", tick, h);
	if (r < 0) {
		close(conf->fd);
		free(h);
		return r;
	}
	r = start_library(h);
	if (r < 0) {
		close(conf->fd);
		httpd_stop(h, 0);
		return r;
	}
	*ret = h;
	return 0;
}

static bool library_has_locked(const struct httpd *h)
{
	for (const struct httpd_request *q = h->requests; q; q = q->next)
		if (q->in_library)
			return true;
	return false;
}

/* Waits until the library has no request any more, or only until the deadline. */
static void drain_locked(struct httpd *h, int64_t deadline_ms)
{
	while (library_has_locked(h) && clock_ms() < deadline_ms)
		cond_wait(&h->changed, &h->lock, deadline_ms);
}

/* The library must not be stopped with suspended connections. */
static void resume_all_locked(struct httpd *h)
{
	for (struct httpd_request *q = h->requests; q; q = q->next)
		if (q->stage == STAGE_PARKED)
			keep_answer_locked(q, 503, refusal("stopping", "matrixfs is stopping"));
	wake_streams_locked(h);
}

void httpd_stop(struct httpd *h, int64_t deadline_ms)
{
	int fd = h->daemon ? MHD_quiesce_daemon(h->daemon) : -1;
	int64_t held_until_ms;
	bool held;

	lock_take(&h->lock);
	h->stop = true;
	wake_streams_locked(h);
	cond_wake_all(&h->changed);
	drain_locked(h, deadline_ms);
	resume_all_locked(h);
	drain_locked(h, clock_ms() + REFUSAL_MS);
	lock_drop(&h->lock);
	pthread_join(h->ticker, NULL);
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	closep(&fd);
	held_until_ms = clock_ms() + HELD_MS;
	lock_take(&h->lock);
	while (h->requests && clock_ms() < held_until_ms)
		cond_wait(&h->changed, &h->lock, held_until_ms);
	held = h->requests;
	lock_drop(&h->lock);
	if (held) { /* freeing what somebody still has would be worse */
		log_err(ERR_TIMEOUT, "a request was never answered");
		return;
	}
	cond_fini(&h->changed);
	lock_fini(&h->lock);
	free(h);
}

/* --- the request */

const char *httpd_method(const struct httpd_request *q)
{
	return q->method;
}

const char *httpd_path(const struct httpd_request *q)
{
	return q->path;
}

const struct buf *httpd_body(const struct httpd_request *q)
{
	return &q->body;
}

static const char *find(const struct httpd_request *q, enum MHD_ValueKind kind, const char *name,
			const char *otherwise)
{
	const char *value = NULL;
	size_t len = 0;

	if (MHD_lookup_connection_value_n(q->connection, kind, name, strlen(name), &value, &len) !=
	    MHD_YES)
		return NULL;
	return value ? value : otherwise;
}

const char *httpd_query(const struct httpd_request *q, const char *name)
{
	return find(q, MHD_GET_ARGUMENT_KIND, name, "");
}

const char *httpd_field(const struct httpd_request *q, const char *name)
{
	return find(q, MHD_HEADER_KIND, name, "");
}
