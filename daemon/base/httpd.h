/* SPDX-License-Identifier: Apache-2.0 */
/* Door to libmicrohttpd: incoming HTTP on listening sockets. A few threads carry all connections by
 * epoll: a slow or dead client holds nothing up. A handler gets each request once, whole, with its
 * body (or before it, see httpd_pieces.h), and answers it once: before it returns or later, from
 * any thread. It must not block for long: others wait for its thread. */
#ifndef MATRIXFS_HTTPD_H
#define MATRIXFS_HTTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/base/buf.h"

struct httpd;
struct httpd_request;
struct tls;

#define HTTPD_DOORS_MAX 16
#define HTTPD_ADDRESS_MAX 46  /* INET6_ADDRSTRLEN */
#define HTTPD_TARGET_MAX 8192 /* bytes of a path with its query; more is answered 414 */

struct httpd_door {
	int fd; /* listening and non-blocking; taken */
	bool tls;
};

/* How a request ended. */
struct httpd_end {
	int status;                /* 0: it got no answer */
	bool whole;                /* the answer went out to its end */
	uint64_t bytes;            /* of its body that were given to the client, about */
	int64_t answer_us, all_us; /* from its head to the answer's beginning and end */
};

struct httpd_conf {
	struct httpd_door doors[HTTPD_DOORS_MAX];
	unsigned door_count;
	struct tls *tls; /* for the doors that speak TLS; borrowed until httpd_stop */
	unsigned threads;
	unsigned connections_max; /* one more: a silent one goes, strangers first, or it gets 503 */
	unsigned address_max;     /* of one address (IPv6: of a /64); more get 429; 0: no limit */
	unsigned strangers_max;   /* of them, that are strangers': see stranger_ms; likewise */
	size_t bodies_max;        /* bytes of bodies in memory; what is more is answered 503 */
	int64_t idle_ms; /* for a whole head, from a client's connection or its last answer on */
	int64_t stranger_ms; /* the same of who had only 4xx yet (see httpd_know); 0: idle_ms */
	int64_t slow_ms; /* who gives less than slow_bytes of a body in such a time, or takes less
			    of an answer that is there, is cut off */
	unsigned slow_bytes;
	/* The most bytes of a body that a request may bring, told by its head: else 413.
	 * HTTPD_PIECES: see there. Else negative: handled without it, its connection ends. */
	ssize_t (*body_max)(void *arg, const struct httpd_request *q);
	/* Called once per request. It, or whoever it gives the request to, must answer. */
	void (*handle)(void *arg, struct httpd_request *q);
	/* A request whose head came is over for library and handler; or NULL. What is not borrowed
	 * can still be asked. Any thread, no lock held; not after httpd_stop has returned. */
	void (*ended)(void *arg, const struct httpd_request *q, const struct httpd_end *end);
	bool error_is_sentence; /* of what is refused here, as hubs have it; else it is a word */
	void *arg;
};

/* -ENOMEM, -EAGAIN. */
MUST_USE int httpd_start(const struct httpd_conf *conf, struct httpd **ret);
/* Takes no connections and no requests any more, and ends streams; what is under way goes on. */
void httpd_close(struct httpd *h);
/* After httpd_close: waits until nothing is under way; false if something is at deadline_ms. */
bool httpd_drain(struct httpd *h, int64_t deadline_ms);
/* Closes, drains, breaks off what is left, joins the threads and frees. What nobody answered by the
 * deadline (clock_ms()) gets 503; who holds a request must answer it still, within held_ms: else
 * false, and all stays, as must what handlers use, until the process ends. NULL is none. */
MUST_USE bool httpd_stop(struct httpd *h, int64_t deadline_ms, int64_t held_ms);
/* Limits from now on, and how many connections are open. */
void httpd_set_limits(struct httpd *h, unsigned connections_max, unsigned address_max);
unsigned httpd_connections(struct httpd *h);

/* The request, until it is answered: method, decoded path (but for %00), and body. */
const char *httpd_method(const struct httpd_request *q);
const char *httpd_path(const struct httpd_request *q);
const struct buf *httpd_body(const struct httpd_request *q);
/* Path and query as they came, nothing decoded; whether they came by TLS, and from where
 * ("192.0.2.1", "" for a local socket). Who asks is no stranger on this connection from now on. */
const char *httpd_target(const struct httpd_request *q);
bool httpd_is_secure(const struct httpd_request *q);
void httpd_address(const struct httpd_request *q, char ret[static HTTPD_ADDRESS_MAX]);
void httpd_know(struct httpd_request *q);
/* A number and something else its handler gives it for `ended`, before it answers; 0 and NULL. */
void httpd_note(struct httpd_request *q, unsigned note);
unsigned httpd_noted(const struct httpd_request *q);
void httpd_attach(struct httpd_request *q, void *what);
void *httpd_attached(const struct httpd_request *q);
/* The value of a query parameter (decoded, "" if it has none) or a header (any case), the first of
 * its name, or NULL. Borrowed, and only to be asked until handle() returns. */
const char *httpd_query(struct httpd_request *q, const char *name);
const char *httpd_field(const struct httpd_request *q, const char *name);
/* Appends the values of all headers of that name, as one list (RFC 9110 §5.3). Until then, too. */
MUST_USE int httpd_fields(const struct httpd_request *q, const char *name, struct buf *ret);

/* Answers. The body is taken, also on failure, when the client gets no answer but the end of its
 * connection; `allow` is the value of an Allow header or NULL. No lock held. */
void httpd_reply(struct httpd_request *q, int status, const char *type, struct buf *body,
		 const char *allow);

/* An answer's status and fields, for the calls below, which take it, also on failure. */
struct httpd_head {
	int status;
	struct buf fields; /* name, NUL, value, NUL, ... */
};
/* Adds a field; 0 or -ENOMEM (remembered in fields.failed, too: the client gets no answer). */
int httpd_head_add(struct httpd_head *h, const char *name, const char *fmt, ...) PRINTF(3, 4);
void httpd_head_free(struct httpd_head *h);
/* With a body, which is taken; or to a HEAD whose GET would have a body of so many bytes. */
void httpd_reply_head(struct httpd_request *q, struct httpd_head *h, struct buf *body);
void httpd_reply_length(struct httpd_request *q, struct httpd_head *h, uint64_t len);
/* Bytes that nobody copies; done is called at the end, also on failure. A file's, [off, off + len),
 * the kernel sends; fd stays the caller's; done hears about how many: 0 of one cut below 64 KiB. */
void httpd_reply_bytes(struct httpd_request *q, struct httpd_head *h, const void *data, size_t len,
		       void (*done)(void *arg), void *arg);
void httpd_reply_file(struct httpd_request *q, struct httpd_head *h, int fd, uint64_t off,
		      uint64_t len, void (*done)(void *arg, uint64_t sent), void *arg);

/* A body of known length whose bytes are still coming. */
struct httpd_flow {
	uint64_t len;
	/* Copies the next bytes, those at pos. How many; 0 if none is there: it is called again
	 * after httpd_wake; negative: the client shall see it broken. On a thread of the server. */
	ssize_t (*read)(void *arg, uint64_t pos, void *to, size_t max);
	/* Called once, when it has ended for whatever reason: no httpd_wake may follow. */
	void (*end)(void *arg);
	void *arg;
};
/* Answers with a flow; its `end` is called also on failure. */
void httpd_reply_flow(struct httpd_request *q, struct httpd_head *h, const struct httpd_flow *f);
/* There is more to read, or room to take, perhaps. Any thread; also before that returned 0. */
void httpd_wake(struct httpd_request *q);

/* A body that is made while it goes out, in chunks. */
struct httpd_stream {
	/* Appends the next piece. 0: there is more to come, after a while if nothing was appended;
	 * 1: that was all; negative: the client shall see it broken. On a thread of the server. */
	int (*next)(void *arg, struct buf *ret);
	/* Called once, when it has ended for whatever reason. */
	void (*end)(void *arg);
	void *arg;
};
#define HTTPD_POLL_MS 200 /* next() is called again so long after it had nothing */
/* Answers 200 with a stream; its `end` is called also on failure. */
void httpd_reply_stream(struct httpd_request *q, const char *type, const struct httpd_stream *s);

#endif
