/* SPDX-License-Identifier: Apache-2.0 */
/* Door to libmicrohttpd: incoming HTTP on one listening socket. A few threads carry all
 * connections by epoll, so a slow or dead client holds nothing up. A handler gets each request
 * once, whole, its body included, and answers it once: before it returns or later, from any
 * thread. It must not block for long: others wait for its thread. */
#ifndef MATRIXFS_HTTPD_H
#define MATRIXFS_HTTPD_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/base/buf.h"

struct httpd;
struct httpd_request;

struct httpd_conf {
	int fd; /* listening and non-blocking; taken */
	unsigned threads;
	unsigned connections_max; /* further clients wait in the kernel; >= threads */
	size_t body_max;          /* a larger body is answered 413 */
	int64_t idle_ms;          /* a connection silent for so long is closed */
	/* Called once per request. It, or whoever it gives the request to, must answer. */
	void (*handle)(void *arg, struct httpd_request *q);
	void *arg;
};

/* Starts the threads. Errors: -ENOMEM, -EAGAIN. */
MUST_USE int httpd_start(const struct httpd_conf *conf, struct httpd **ret);
/* Takes no new connections, ends streams, lets other answers go out until deadline_ms (clock_ms()),
 * then closes what is left, joins the threads and frees. Requests that nobody answered by then get
 * 503; who holds one must still answer it, within a bounded time. */
void httpd_stop(struct httpd *h, int64_t deadline_ms);

/* The request, as long as it is not answered: method, path without query (percent-decoded, but for
 * %00), and body. */
const char *httpd_method(const struct httpd_request *q);
const char *httpd_path(const struct httpd_request *q);
const struct buf *httpd_body(const struct httpd_request *q);
/* The value of a query parameter (decoded, "" if it has none) or a header (any case), the first one
 * of its name; NULL if there is none. Borrowed, and only to be asked until handle() returns. */
const char *httpd_query(const struct httpd_request *q, const char *name);
const char *httpd_field(const struct httpd_request *q, const char *name);

/* Answers. The body is taken, also on failure, when the client gets no answer but the end of its
 * connection; `allow` is the value of an Allow header or NULL. No lock held. */
void httpd_reply(struct httpd_request *q, int status, const char *type, struct buf *body,
		 const char *allow);

/* A body that is made while it goes out, in chunks. */
struct httpd_stream {
	/* Appends the next piece. 0: there is more to come, now or after a while if nothing was
	 * appended; 1: that was all; negative: the client shall see it broken. On a thread of
	 * the server, no lock held. */
	int (*next)(void *arg, struct buf *ret);
	/* Called once, when it has ended for whatever reason. */
	void (*end)(void *arg);
	void *arg;
};
#define HTTPD_POLL_MS 200 /* next() is called again so long after it had nothing */
/* Answers 200 with a stream; its `end` is called also on failure. */
void httpd_reply_stream(struct httpd_request *q, const char *type, const struct httpd_stream *s);

#endif
