/* SPDX-License-Identifier: Apache-2.0 */
/* The library calls on_request() several times for each request: first with its head (an answer
 * queued there would make it close the connection, if the body is still to come), then with pieces
 * of the body, then at its end. An answer may only be queued inside such a call; so one that comes
 * later is kept in the request, whose connection was suspended, and resuming it brings another
 * call. A request lives until both sides are done with it: the library with its connection, the
 * handler with its answer. */
#include <errno.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/httpd_calls.h"
#include "daemon/base/num.h"
#include "daemon/base/tls.h"
#include "daemon/base/url.h"

#define HEAD_BYTES_MAX (9 * 1024)         /* request line and headers */
#define POOL_BYTES (12 * 1024)            /* of a connection, all of it, also while it is idle */
#define LIBRARY_CONNECTIONS_MAX (1 << 20) /* of a thread: ours is the limit that counts */
#define STACK_BYTES (256 * 1024)
#define DROPPED_BYTES_MAX (1 << 20) /* of a body too large, read to be polite */
#define LONG_ANSWER (64 * 1024)     /* what a client took of one that broke off is worth knowing */
#define REFUSAL_MS 200              /* at stop, for refusals to get out */

/* --- what the library calls */

static void on_connection(void *arg, struct MHD_Connection *c, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	int fd = info->connect_fd;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) { /* its descriptor is still open */
		httpd_link_end(arg, steal(*context));
		return;
	}
	info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	*context = httpd_link_begin(arg, fd, info ? info->tls_session : NULL);
}

static size_t unescape(void *arg UNUSED, struct MHD_Connection *c UNUSED, char *text)
{
	return url_decode(text);
}

/* Gives the library what was kept. Without memory for an answer the connection ends. */
static enum MHD_Result queue_answer(struct httpd_request *q)
{
	struct MHD_Response *m = steal(q->answer);
	enum MHD_Result ok;
	bool left;

	if (!m)
		return MHD_NO;
	q->answered_us = clock_us();
	if (q->length >= LONG_ANSWER && !httpd_taken(q->link->idler.fd, &q->taken, &left))
		q->taken = 0;
	lock_take(&q->all->lock);
	q->queued = true;
	lock_drop(&q->all->lock);
	if (q->all->closed)
		MHD_add_response_header(m, "Connection", "close");
	ok = MHD_queue_response(q->connection, (unsigned)q->status, m);
	MHD_destroy_response(m);
	return ok;
}

static enum MHD_Result refuse(struct httpd_request *q, int status, const char *error,
			      const char *message)
{
	lock_take(&q->all->lock);
	q->stage = STAGE_ANSWERED;
	lock_drop(&q->all->lock);
	q->status = status;
	q->answer = httpd_refusal(q->all, error, message);
	return queue_answer(q);
}

/* --- bodies */

static enum MHD_Result refuse_body(struct httpd_request *q)
{
	if (q->refused == 503)
		return refuse(q, 503, "busy", "there are too many bodies of requests in memory");
	return refuse(q, 413, "too_large", "the body of this request is too large");
}

/* More of the body has come: 0, or 503 if it is to be kept and there is no room, of what all bodies
 * may take together. Who sends something has been silent for no time. */
static int note_came(struct httpd_request *q, size_t len, bool keep)
{
	struct httpd *h = q->all;
	bool fits;

	lock_take(&h->lock);
	q->came += len;
	fits = !keep || len <= h->conf.bodies_max - h->bodies;
	if (keep && fits) {
		h->bodies += len;
		q->kept += len;
	}
	idlers_add(&h->idlers, &q->link->idler, clock_ms());
	lock_drop(&h->lock);
	return fits ? 0 : 503;
}

static enum MHD_Result take_body(struct httpd_request *q, const char *data, size_t *len)
{
	size_t max = (size_t)q->body_max, n = *len;
	int busy;

	*len = 0;
	if (!q->refused && n > max - q->body.len)
		q->refused = 413;
	busy = note_came(q, n, !q->refused);
	if (!q->refused)
		q->refused = busy;
	if (q->refused)
		q->dropped += n;
	else if (buf_add(&q->body, data, n) < 0)
		return MHD_NO;
	return q->dropped > DROPPED_BYTES_MAX ? MHD_NO : MHD_YES;
}

/* --- the handler */

static enum MHD_Result end_pieces(struct httpd *h, struct httpd_request *q);

/* Of a body that nobody takes a little may come all the same: not each client looks for an answer
 * while it sends. */
static enum MHD_Result answer_head(struct httpd_request *q)
{
	return q->coming && httpd_pieces_throws(q) ? MHD_YES : queue_answer(q);
}

/* It has returned: its answer goes out, or the connection waits for it, or goes on with the
 * body. */
static enum MHD_Result after_handler(struct httpd *h, struct httpd_request *q)
{
	enum stage stage;

	lock_take(&h->lock);
	if (q->stage == STAGE_HANDLER && h->over)
		httpd_keep_locked(q, 503, httpd_refusal(h, "stopping", "the server is stopping"));
	if (q->stage == STAGE_HANDLER) {
		q->stage = STAGE_PARKED;
		q->at_head = q->coming;
		MHD_suspend_connection(q->connection);
	}
	stage = q->stage;
	lock_drop(&h->lock);
	if (stage == STAGE_PIECES && !q->coming)
		return end_pieces(h, q); /* it has none */
	return stage == STAGE_ANSWERED ? answer_head(q) : MHD_YES;
}

/* The body of a request that was handled before it came is there. */
static enum MHD_Result end_pieces(struct httpd *h, struct httpd_request *q)
{
	q->coming = false;
	lock_take(&h->lock);
	if (q->stage == STAGE_PIECES)
		q->stage = STAGE_HANDLER;
	lock_drop(&h->lock);
	httpd_pieces_end(q, 0);
	return after_handler(h, q);
}

static enum MHD_Result handle(struct httpd *h, struct httpd_request *q)
{
	if (q->refused)
		return refuse_body(q);
	lock_take(&h->lock);
	idlers_del(&h->idlers, &q->link->idler);
	q->stage = STAGE_HANDLER;
	q->in_handler = true;
	lock_drop(&h->lock);
	httpd_enter(h);
	h->conf.handle(h->conf.arg, q);
	httpd_exit(h);
	return after_handler(h, q);
}

/* --- heads */

/* A body of a length that two could read differently is none. */
static bool is_ambiguous(const char *length, const char *coding)
{
	return coding && (length || strcasecmp(coding, "chunked") != 0);
}

/* The body is told by the head. The handler decides whether it may come, and how much of it. */
static enum MHD_Result check_body(struct httpd_request *q)
{
	const char *length = httpd_field(q, MHD_HTTP_HEADER_CONTENT_LENGTH);
	const char *coding = httpd_field(q, MHD_HTTP_HEADER_TRANSFER_ENCODING);
	const struct httpd_conf *conf = &q->all->conf;

	if (is_ambiguous(length, coding))
		return refuse(q, 400, "bad_request", "the length of the body is not clear");
	if (!coding && (!length || strtoull(length, NULL, 10) == 0))
		return MHD_YES;
	q->body_max = conf->body_max(conf->arg, q);
	q->coming = q->body_max == HTTPD_PIECES;
	if (q->body_max < 0)
		return handle(q->all, q);
	if (q->body_max == 0 || (length && strtoull(length, NULL, 10) > (size_t)q->body_max))
		return refuse_body(q);
	lock_take(&q->all->lock);
	q->stage = STAGE_BODY;
	lock_drop(&q->all->lock);
	return MHD_YES;
}

static size_t head_size(const struct httpd_request *q)
{
	return MHD_get_connection_info(q->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)
		->header_size;
}

/* One, or none of an old client. It goes into links, and two could read it differently. The library
 * could demand one, but says so with its head sent twice. */
static bool is_host_clear(const struct httpd_request *q, const char *version)
{
	CLEANUP(buf_free) struct buf all = { 0 };

	if (!httpd_field(q, MHD_HTTP_HEADER_HOST))
		return strcmp(version, MHD_HTTP_VERSION_1_1) != 0;
	return httpd_fields(q, MHD_HTTP_HEADER_HOST, &all) == 0 &&
	       (!all.len || url_is_host(buf_str(&all)));
}

static enum MHD_Result check_head(struct httpd_request *q, const char *version)
{
	if (strlen(q->target) > HTTPD_TARGET_MAX)
		return refuse(q, 414, "too_long", "the address of this request is too long");
	if (head_size(q) > HEAD_BYTES_MAX)
		return refuse(q, 431, "too_large", "the head of this request is too large");
	if (!is_host_clear(q, version))
		return refuse(q, 400, "bad_request",
			      "the request wants one Host field: HOST[:PORT]");
	return check_body(q);
}

/* Before anything is decoded. The library would make a record of each parameter in the memory of
 * the connection, and forget to answer if that is too small: what it sees of the query is nothing.
 * The text is in its own memory, which it is about to change itself. */
static void *on_target(void *arg, const char *target, struct MHD_Connection *c)
{
	struct httpd_request *q = httpd_request_new(arg, c, target);
	char *query = strchr((char *)(uintptr_t)target, '?');

	if (query)
		query[1] = '\0';
	return q;
}

static enum MHD_Result begin(struct httpd_request *q, const char *path, const char *method,
			     const char *version)
{
	q->begun_us = clock_us();
	q->method = strdup(method);
	q->path = strdup(url_target_path(path));
	return q->method && q->path ? check_head(q, version) : MHD_NO;
}

/* All has come that is coming for now: the head, the body, or nothing since it was suspended. */
static enum MHD_Result go_on(struct httpd *h, struct httpd_request *q)
{
	bool at_head = q->at_head;
	enum stage stage;

	q->at_head = false;
	lock_take(&h->lock);
	stage = q->stage;
	lock_drop(&h->lock);
	if (stage <= STAGE_BODY)
		return handle(h, q);
	if (at_head)
		return stage == STAGE_ANSWERED ? answer_head(q) : MHD_YES;
	return q->coming || stage == STAGE_PIECES ? end_pieces(h, q) : queue_answer(q);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c UNUSED, const char *path,
				  const char *method, const char *version, const char *data,
				  size_t *len, void **state)
{
	struct httpd *h = arg;
	struct httpd_request *q = *state;

	if (!q)
		return MHD_NO;
	if (!q->method)
		return begin(q, path, method, version);
	if (*len && q->coming)
		return httpd_pieces_came(q, data, len) ? MHD_YES : MHD_NO;
	if (*len)
		return take_body(q, data, len);
	return go_on(h, q);
}

/* --- the end of a request */

/* Of an answer that was broken off, what the kernel knows of. */
static uint64_t bytes_of(const struct httpd_request *q, bool whole)
{
	uint64_t taken;
	bool left;

	if (!q->queued || !strcmp(q->method, "HEAD"))
		return 0;
	if (whole)
		return q->length;
	if (q->length < LONG_ANSWER || !httpd_taken(q->link->idler.fd, &taken, &left))
		return 0;
	return min_u64(taken - q->taken, q->length);
}

static void note_end(struct httpd_request *q, bool whole)
{
	int64_t now_us = clock_us();

	q->end = (struct httpd_end){
		.status = q->queued ? q->status : 0,
		.whole = whole && q->queued,
		.bytes = bytes_of(q, whole),
		.answer_us = (q->queued ? q->answered_us : now_us) - q->begun_us,
		.all_us = now_us - q->begun_us,
	};
}

static void on_completed(void *arg, struct MHD_Connection *c UNUSED, void **state,
			 enum MHD_RequestTerminationCode how)
{
	struct httpd *h = arg;
	struct httpd_request *q = *state;

	*state = NULL;
	if (!q)
		return;
	note_end(q, how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
	lock_take(&h->lock);
	if (q->queued && q->status / 100 != 4)
		httpd_link_know_locked(h, q->link);
	idlers_add(&h->idlers, &q->link->idler, clock_ms());
	if (h->closed)
		shutdown(q->link->idler.fd, SHUT_RD);
	q->link = NULL;
	lock_drop(&h->lock);
	httpd_answer_over(q);
	httpd_pieces_end(q, ERR_CUT);
	httpd_leave(q, &q->in_library);
}

/* --- start and stop */

static struct MHD_Daemon *start_library(struct httpd *h, bool secure)
{
	const struct httpd_conf *conf = &h->conf;
	const struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)tls_callback() },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES },
		{ MHD_OPTION_END, 0, NULL },
	};
	const struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };

	/* It spreads connections over its threads: each could take all. */
	return MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
			MHD_USE_NO_LISTEN_SOCKET | (secure ? MHD_USE_TLS : 0),
		0, NULL, NULL, on_request, h, MHD_OPTION_THREAD_POOL_SIZE, conf->threads,
		MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES, MHD_OPTION_CONNECTION_LIMIT,
		LIBRARY_CONNECTIONS_MAX * conf->threads, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)((max_i64(conf->idle_ms, conf->slow_ms) + 1999) / 1000),
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
		MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_URI_LOG_CALLBACK,
		on_target, h, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_ARRAY,
		secure ? tls : none, MHD_OPTION_END);
}

static bool has_door(const struct httpd_conf *conf, bool tls)
{
	for (unsigned i = 0; i < conf->door_count; i++)
		if (conf->doors[i].tls == tls)
			return true;
	return false;
}

static int start_threads(struct httpd *h)
{
	bool plain = has_door(&h->conf, false), secure = has_door(&h->conf, true);
	sigset_t all, old;
	int r;

	/* They inherit this: signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	if (plain)
		h->plain = start_library(h, false);
	if (secure)
		h->secure = start_library(h, true);
	r = (plain && !h->plain) || (secure && !h->secure)
		    ? -EAGAIN
		    : thread_start(&h->keeper, "mfs-http-door", httpd_keep, h);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	h->kept = r == 0;
	return r;
}

static void close_fds(const struct httpd_conf *conf)
{
	for (unsigned i = 0; i < conf->door_count; i++)
		closep(&conf->doors[i].fd);
}

int httpd_start(const struct httpd_conf *conf, struct httpd **ret)
{
	struct httpd *h = calloc(1, sizeof(*h));
	int r;

	if (!h) {
		close_fds(conf);
		return -ENOMEM;
	}
	h->conf = *conf;
	lock_init(&h->lock, LOCK_HTTPD);
	cond_init(&h->changed);
	h->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = h->wake_fd < 0 ? -errno : start_threads(h);
	if (r < 0) {
		close_fds(conf);
		(void)!httpd_stop(h, 0, 0);
		return r;
	}
	*ret = h;
	return 0;
}

void httpd_set_limits(struct httpd *h, unsigned connections_max, unsigned address_max)
{
	lock_take(&h->lock);
	h->conf.connections_max = connections_max;
	h->conf.address_max = address_max;
	lock_drop(&h->lock);
}

unsigned httpd_connections(struct httpd *h)
{
	unsigned count;

	lock_take(&h->lock);
	count = h->links_count;
	lock_drop(&h->lock);
	return count;
}

static bool library_has_locked(const struct httpd *h)
{
	for (const struct httpd_request *q = h->requests; q; q = q->next)
		if (q->in_library)
			return true;
	return false;
}

/* Waits until the library has no request any more, or only until the deadline. */
static bool drain_locked(struct httpd *h, int64_t deadline_ms)
{
	while (library_has_locked(h) && clock_ms() < deadline_ms)
		cond_wait(&h->changed, &h->lock, deadline_ms);
	return !library_has_locked(h);
}

void httpd_close(struct httpd *h)
{
	lock_take(&h->lock);
	h->closed = true;
	httpd_wake_all_locked(h);
	idlers_hear_no_more(&h->idlers);
	lock_drop(&h->lock);
	httpd_nudge(h);
}

bool httpd_drain(struct httpd *h, int64_t deadline_ms)
{
	bool drained;

	lock_take(&h->lock);
	drained = drain_locked(h, deadline_ms);
	lock_drop(&h->lock);
	return drained;
}

/* The library must not be stopped with suspended connections. */
static void resume_all_locked(struct httpd *h)
{
	for (struct httpd_request *q = h->requests; q; q = q->next)
		if (q->stage == STAGE_PARKED)
			httpd_keep_locked(q, 503,
					  httpd_refusal(h, "stopping", "the server is stopping"));
	h->over = true;
	httpd_wake_all_locked(h);
}

static void end_threads(struct httpd *h)
{
	h->quit = true;
	httpd_nudge(h);
	if (h->kept)
		pthread_join(h->keeper, NULL);
	if (h->plain)
		MHD_stop_daemon(h->plain);
	if (h->secure)
		MHD_stop_daemon(h->secure);
}

static bool is_inside(const struct httpd *h)
{
	return h->inside;
}

static bool is_held(const struct httpd *h)
{
	return h->requests;
}

/* False if it still is so. */
static bool wait_while(struct httpd *h, bool (*is_so)(const struct httpd *h), int64_t until_ms)
{
	bool so;

	lock_take(&h->lock);
	while ((so = is_so(h)) && clock_ms() < until_ms)
		cond_wait(&h->changed, &h->lock, until_ms);
	lock_drop(&h->lock);
	return !so;
}

bool httpd_stop(struct httpd *h, int64_t deadline_ms, int64_t held_ms)
{
	int64_t until_ms;

	if (!h)
		return true;
	httpd_close(h);
	lock_take(&h->lock);
	drain_locked(h, deadline_ms);
	resume_all_locked(h);
	drain_locked(h, clock_ms() + REFUSAL_MS);
	lock_drop(&h->lock);
	until_ms = clock_ms() + held_ms;
	/* A thread that does not come back cannot be joined; and freeing what somebody has would be
	 * worse than not to. */
	if (!wait_while(h, is_inside, until_ms))
		return false;
	end_threads(h);
	if (!wait_while(h, is_held, until_ms))
		return false;
	httpd_links_fini(h);
	closep(&h->wake_fd);
	cond_fini(&h->changed);
	lock_fini(&h->lock);
	free(h);
	return true;
}
