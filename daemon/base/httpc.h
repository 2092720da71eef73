/* SPDX-License-Identifier: Apache-2.0 */
/* Door to libcurl: outgoing HTTP, one blocking request per call and thread.
 *
 * A call runs on the caller's thread; the client keeps a stack of idle sessions with their open
 * connections, so that calls of many threads reuse them without sharing one. (One loop thread
 * for all transfers would put every TLS record and every page-cache copy on one core.) Redirects
 * are not followed, bodies are never decoded, retries are the caller's: what came is what the
 * caller sees. Threads: any. Source: RFC 9110, RFC 9112. */
#ifndef MATRIXFS_HTTPC_H
#define MATRIXFS_HTTPC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/own.h"

struct httpc;
struct httpc_response;

struct httpc_conf {
	const char *user_agent;
	int64_t connect_ms;  /* name, TCP and TLS together */
	int64_t stall_ms;    /* longest silence before the head and within the body */
	const char *ca_file; /* whom to trust and nobody else; NULL: as the system does */
	bool direct;         /* through no proxy, whatever the environment says */
	struct httpc *elder; /* whose httpc_cancel ends calls of this one, too; borrowed until
				httpc_free; or NULL */
	const char *socket;  /* path of the one that all requests go to, whatever host their URL
				names; NULL: to that host */
};

/* Lets another thread end a running call at once. Zeroed memory is ready for use; may be set
 * before the call begins. */
struct httpc_cancel {
	void *session; /* guarded by the lock that the client cancels by */
	atomic_int canceled;
	int64_t patience_ms; /* the caller's own limit below connect_ms and stall_ms; 0: none */
	int64_t connect_ms;  /* and below connect_ms alone; 0: none */
};

struct httpc_request {
	const char *method;        /* "GET", "HEAD", or any that may have content */
	const char *url;           /* absolute http:// or https:// */
	const char *token;         /* sent as "Authorization: Bearer", or NULL; never logged */
	const char *accept;        /* NULL: any */
	const char *const *fields; /* whole lines "Name: value", sent besides; never logged */
	unsigned field_count;
	const void *content; /* JSON to send, content_len bytes, or NULL */
	size_t content_len;
	uint64_t range_off, range_len; /* range_len 0: the whole */
	int64_t deadline_ms;           /* clock_ms() value when the call ends with ERR_TIMEOUT */
	int64_t head_ms;               /* likewise, if the head is not complete; 0: no other */
	bool certificate; /* httpc_certificate_ends_s is to know, of a connection that is new */
	/* Called once when the head is complete (not for 1xx), before any body. Non-zero ends
	 * the call and becomes its result. May be NULL. */
	int (*head)(void *arg, const struct httpc_response *r);
	/* Called for each piece of the body, which is borrowed until it returns. Non-zero ends
	 * the call and becomes its result. NULL: the body is dropped. */
	int (*body)(void *arg, const void *data, size_t len);
	/* Called each tick_ms from the beginning to the end, whatever comes. Non-zero likewise.
	 * NULL: not at all. */
	int (*tick)(void *arg);
	int64_t tick_ms;
	void *arg;
	struct httpc_cancel *cancel; /* or NULL */
};

/* Makes a client; texts are copied. Without ca_file SSL_CERT_FILE and SSL_CERT_DIR are read here,
 * once. 0 or -ENOMEM. */
MUST_USE int httpc_new(const struct httpc_conf *conf, struct httpc **ret);
/* No call may be running. */
void httpc_free(struct httpc *c);
void httpc_freep(struct httpc **c);

/* Runs one request; blocks until the body has ended. Returns the HTTP status (100 ... 599), or
 * what a callback returned, or ERR_UPSTREAM (no connection, or none within connect_ms), ERR_TLS,
 * ERR_TIMEOUT (stall or deadline), ERR_CUT (broke off after it began, or ended short of
 * Content-Length), ERR_PROTO (no HTTP), ERR_CANCELED, -EINVAL (a token or field with control
 * characters, a field without a name or a value), -ENOMEM. Of a failure that no callback made,
 * err_noted() tells the library's own words. */
MUST_USE int httpc_run(struct httpc *c, const struct httpc_request *q);
/* Ends the call that uses `cancel`, or the next one that will: a call of this client, or of one
 * that has it as its elder. */
void httpc_cancel(struct httpc *c, struct httpc_cancel *cancel);

/* Inside head(): status; a header's value or NULL (last one if repeated; case-insensitive);
 * borrowed until head() returns. */
int httpc_status(const struct httpc_response *r);
const char *httpc_header(const struct httpc_response *r, const char *name);
/* Content-Length, or -1. */
int64_t httpc_content_length(const struct httpc_response *r);
/* "Content-Range: bytes a-b/total" (total -1 for '*'); -EINVAL if absent or malformed. */
MUST_USE int httpc_content_range(const struct httpc_response *r, uint64_t *ret_first,
				 uint64_t *ret_last, int64_t *ret_total);
/* When it was sent, by the server's clock: seconds since 1970, or -1. */
int64_t httpc_date_s(const struct httpc_response *r);
/* When the certificate of who answered ends: seconds since 1970, or -1: it spoke no TLS, or the
 * request did not ask for it. */
int64_t httpc_certificate_ends_s(const struct httpc_response *r);
/* How long the server asks to wait: Retry-After (seconds or date) or RateLimit's t=; -1 if it
 * does not. */
int64_t httpc_retry_after_ms(const struct httpc_response *r);

#endif
