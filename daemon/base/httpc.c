/* SPDX-License-Identifier: Apache-2.0 */
/* A session is one easy handle, which knows the request, and one multi handle, which owns
 * connections and can be woken: curl_easy_perform() could neither be canceled while it waits for a
 * name or a packet nor keep a deadline of its own. Idle sessions form a stack, so that the one with
 * the warmest connections goes out first and the rest grow old at its bottom.
 *
 * HTTP/1.1 on purpose: each range is to have a connection, a congestion window and a TLS record
 * stream of its own, and a slow reader must not hold back its neighbours on a shared one. */
#include "daemon/base/httpc_priv.h"

#include <curl/curl.h>
#include <curl/header.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/buf.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/num.h"

#define IDLE_MAX 32
#define SESSION_CONNECTIONS_MAX 4 /* a hub and the hosts it sends us to */
#define RECEIVE_BYTES (256 * 1024L)
#define HEAD_BYTES_MAX (256 * 1024)
#define POLL_MS_MAX 1000
#define CA_CACHE_S 60L

struct session {
	struct session *next;
	CURL *easy;
	CURLM *multi;
};

struct httpc {
	struct lock lock;
	struct lock *canceling; /* it, or the elder's: guards which session a cancel has */
	struct session *idle;   /* guarded by lock; last used first */
	unsigned idle_count;    /* guarded by lock */
	char *user_agent;
	char *ca_file, *ca_dir; /* or NULL: what libcurl was built with */
	bool one_ca;            /* ca_file and nobody else */
	bool direct;            /* through no proxy */
	char *socket;           /* or NULL */
	int64_t connect_ms, stall_ms;
};

/* One running request; on its caller's stack. */
struct call {
	const struct httpc_request *q;
	struct httpc *c;
	struct session *s;
	struct curl_slist *lines;
	size_t head_bytes;
	int64_t heard_ms; /* last sign of life once connected, 0 before */
	int64_t tick_ms;  /* the next one; 0: there has been none */
	bool head_done;
	char *held; /* RECEIVE_BYTES of body not given to the caller yet, or NULL */
	size_t held_len;
	uint64_t body_len;           /* of the body so far, held bytes included */
	int result;                  /* set by a callback that ends the call */
	char words[CURL_ERROR_SIZE]; /* the library's about a failure */
};

/* --- the client and its sessions */

static void session_free(struct session *s)
{
	if (!s)
		return;
	curl_easy_cleanup(s->easy);
	curl_multi_cleanup(s->multi);
	free(s);
}

static int session_new(struct session **ret)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->easy = curl_easy_init();
	s->multi = curl_multi_init();
	if (!s->easy || !s->multi) {
		session_free(s);
		return -ENOMEM;
	}
	curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, (long)SESSION_CONNECTIONS_MAX);
	*ret = s;
	return 0;
}

static int session_get(struct httpc *c, struct session **ret)
{
	struct session *s;

	lock_take(&c->lock);
	s = c->idle;
	if (s) {
		c->idle = s->next;
		c->idle_count--;
	}
	lock_drop(&c->lock);
	if (!s)
		return session_new(ret);
	*ret = s;
	return 0;
}

static void session_put(struct httpc *c, struct session *s)
{
	lock_take(&c->lock);
	if (c->idle_count < IDLE_MAX) {
		s->next = c->idle;
		c->idle = s;
		c->idle_count++;
		s = NULL;
	}
	lock_drop(&c->lock);
	session_free(s);
}

static int copy_text(const char *text, char **ret)
{
	*ret = text && *text ? strdup(text) : NULL;
	return text && *text && !*ret ? -ENOMEM : 0;
}

int httpc_new(const struct httpc_conf *conf, struct httpc **ret)
{
	CLEANUP(httpc_freep) struct httpc *c = NULL;
	const char *system_ca = secure_getenv("SSL_CERT_FILE");

	if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK)
		return -ENOMEM;
	c = calloc(1, sizeof(*c));
	if (!c) {
		curl_global_cleanup();
		return -ENOMEM;
	}
	lock_init(&c->lock, LOCK_HTTPC);
	c->connect_ms = conf->connect_ms;
	c->stall_ms = conf->stall_ms;
	c->one_ca = conf->ca_file;
	c->direct = conf->direct || conf->socket;
	c->canceling = conf->elder ? conf->elder->canceling : &c->lock;
	if (copy_text(conf->user_agent, &c->user_agent) < 0 ||
	    copy_text(c->one_ca ? conf->ca_file : system_ca, &c->ca_file) < 0 ||
	    copy_text(c->one_ca ? NULL : secure_getenv("SSL_CERT_DIR"), &c->ca_dir) < 0 ||
	    copy_text(conf->socket, &c->socket) < 0)
		return -ENOMEM;
	*ret = steal(c);
	return 0;
}

void httpc_free(struct httpc *c)
{
	struct session *next;

	if (!c)
		return;
	for (struct session *s = c->idle; s; s = next) {
		next = s->next;
		session_free(s);
	}
	lock_fini(&c->lock);
	free(c->user_agent);
	free(c->ca_file);
	free(c->ca_dir);
	free(c->socket);
	free(c);
	curl_global_cleanup();
}

void httpc_freep(struct httpc **c)
{
	httpc_free(*c);
}

/* --- canceling */

void httpc_cancel(struct httpc *c, struct httpc_cancel *cancel)
{
	struct session *s;

	lock_take(c->canceling);
	cancel->canceled = 1;
	s = cancel->session;
	if (s)
		curl_multi_wakeup(s->multi); /* afterwards s may be another call's */
	lock_drop(c->canceling);
}

static void set_cancel_session(struct call *call, struct session *s)
{
	if (!call->q->cancel)
		return;
	lock_take(call->c->canceling);
	call->q->cancel->session = s;
	lock_drop(call->c->canceling);
}

/* The longest wait of one kind that this call may take. */
static int64_t patience(const struct call *call, int64_t limit_ms)
{
	const struct httpc_cancel *cancel = call->q->cancel;

	return cancel && cancel->patience_ms && cancel->patience_ms < limit_ms ? cancel->patience_ms
									       : limit_ms;
}

/* When the call ends, however alive the server is. */
static int64_t deadline(const struct call *call)
{
	const struct httpc_request *q = call->q;

	return q->head_ms && !call->head_done ? min_i64(q->head_ms, q->deadline_ms)
					      : q->deadline_ms;
}

static int64_t connect_patience(const struct call *call)
{
	const struct httpc_cancel *cancel = call->q->cancel;
	int64_t ms = patience(call, call->c->connect_ms);

	return cancel && cancel->connect_ms && cancel->connect_ms < ms ? cancel->connect_ms : ms;
}

/* Why the call must end now, or 0. */
static int call_over(const struct call *call)
{
	const struct httpc_cancel *cancel = call->q->cancel;
	int64_t now = clock_ms(), stall_ms = patience(call, call->c->stall_ms);

	if (call->result)
		return call->result;
	if (cancel && cancel->canceled)
		return ERR_CANCELED;
	if (now >= deadline(call)) {
		err_note(ERR_TIMEOUT, "the request has lasted too long");
		return ERR_TIMEOUT;
	}
	if (call->heard_ms && now - call->heard_ms >= stall_ms) {
		err_note(ERR_TIMEOUT, "silent for %lld s", (long long)stall_ms / 1000);
		return ERR_TIMEOUT;
	}
	return 0;
}

/* --- what libcurl calls */

/* The connection stands and the request goes out: from now on silence counts. */
static int on_connected(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	struct call *call = arg;

	(void)remote_ip;
	(void)local_ip;
	(void)remote_port;
	(void)local_port;
	call->heard_ms = clock_ms();
	return CURL_PREREQFUNC_OK;
}

static bool is_head_end(const char *line, size_t len)
{
	return len == 1 ? line[0] == '\n' : len == 2 && line[0] == '\r' && line[1] == '\n';
}

/* One line of a head. Anything but len as answer ends the transfer. */
static size_t on_header(char *line, size_t size, size_t len, void *arg)
{
	struct call *call = arg;
	struct httpc_response response = { .easy = call->s->easy };

	if (!call->head_done) /* lines behind a body are as good as silence */
		call->heard_ms = clock_ms();
	call->head_bytes += len * size;
	if (call->head_bytes > HEAD_BYTES_MAX)
		call->result = ERR_PROTO;
	if (!call->result && !call->head_done && is_head_end(line, len) &&
	    httpc_status(&response) >= 200) {
		call->head_done = true;
		if (call->q->head)
			call->result = call->q->head(call->q->arg, &response);
	}
	return call->result ? 0 : len;
}

static int hand_over(struct call *call)
{
	size_t len = call->held_len;
	int r;

	if (len == 0)
		return 0;
	call->held_len = 0;
	r = call->q->body(call->q->arg, call->held, len);
	call->heard_ms = clock_ms(); /* the time a callback took is not the server's silence */
	return r;
}

/* libcurl cuts what it received into pieces of 16 KiB, which would cost a write(2) each. They are
 * put together again, and handed over when nothing more is at hand or at each multiple of
 * RECEIVE_BYTES: where a request begins aligned its writes are, too, and the page cache takes them
 * in large folios. A full buffer waits for what comes next: libcurl closes the connection of a
 * transfer that is ended from here, also after its last byte. */
static int hold(struct call *call, const char *data, size_t len)
{
	int r = 0;

	if (!call->held)
		call->held = malloc(RECEIVE_BYTES);
	if (!call->held)
		return call->q->body(call->q->arg, data, len);
	while (len) {
		size_t n = min_u64(len, RECEIVE_BYTES - call->body_len % RECEIVE_BYTES);

		if (call->body_len % RECEIVE_BYTES == 0)
			r = hand_over(call);
		if (r)
			return r;
		memcpy(call->held + call->held_len, data, n);
		call->held_len += n;
		call->body_len += n;
		data += n;
		len -= n;
	}
	return 0;
}

static size_t on_body(char *data, size_t size, size_t len, void *arg)
{
	struct call *call = arg;

	(void)size;
	call->result = call_over(call);
	if (!call->result && call->q->body)
		call->result = hold(call, data, len);
	call->heard_ms = clock_ms();
	return call->result ? CURL_WRITEFUNC_ERROR : len;
}

/* --- one request */

static void set_transport(CURL *easy, const struct httpc *c)
{
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BYTES);
	/* A canceled call must not wait for the thread that resolves its name. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	if (c->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, c->ca_file);
	if (c->ca_dir || c->one_ca)
		curl_easy_setopt(easy, CURLOPT_CAPATH, c->ca_dir);
	/* It may be replaced while this process lives. */
	if (c->one_ca)
		curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_S);
	if (c->socket)
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, c->socket);
	if (c->direct)
		curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
}

static void set_callbacks(CURL *easy, struct call *call)
{
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->words);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
}

static void set_method(CURL *easy, const struct httpc_request *q)
{
	if (strcmp(q->method, "HEAD") == 0)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else if (strcmp(q->method, "GET") != 0)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, q->method);
	if (!q->content)
		return;
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->content_len);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, q->content); /* borrowed */
}

static int set_request(CURL *easy, struct call *call)
{
	const struct httpc_request *q = call->q;
	char range[48];
	int r = httpc_lines(q, &call->lines);

	if (r < 0)
		return r;
	set_method(easy, q);
	if (q->certificate)
		curl_easy_setopt(easy, CURLOPT_CERTINFO, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_patience(call));
	if (call->c->user_agent)
		curl_easy_setopt(easy, CURLOPT_USERAGENT, call->c->user_agent);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->lines);
	snprintf(range, sizeof(range), "%ju-%ju", (uintmax_t)q->range_off,
		 (uintmax_t)(q->range_off + q->range_len - 1));
	if ((q->range_len && curl_easy_setopt(easy, CURLOPT_RANGE, range) != CURLE_OK) ||
	    curl_easy_setopt(easy, CURLOPT_URL, q->url) != CURLE_OK)
		return -ENOMEM;
	return 0;
}

/* The one translation of libcurl's codes. */
static int from_curl(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_INTERFACE_FAILED:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PROXY:
	case CURLE_OPERATION_TIMEDOUT: /* libcurl is given no time-out but that of connecting */
		return ERR_UPSTREAM;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return ERR_TLS;
	case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return ERR_CUT;
	default: /* CURLE_OUT_OF_MEMORY, too: older ones say so of a head beyond their limit */
		return ERR_PROTO;
	}
}

/* As from_curl, and keeps what the library says of it: of a URL at most what comes before its
 * query or behind its user name, for the rest may be a secret. */
static int failure(struct call *call, CURLcode code)
{
	const char *words = call->words[0] ? call->words : curl_easy_strerror(code);
	int r = from_curl(code);

	call->words[strcspn(call->words, "?@")] = '\0';
	if (r)
		err_note(r, "%s", words);
	return r;
}

static long poll_ms(const struct call *call)
{
	int64_t now = clock_ms(), wait = POLL_MS_MAX, stall_ms = patience(call, call->c->stall_ms);

	if (deadline(call) - now < wait)
		wait = deadline(call) - now;
	if (call->heard_ms && call->heard_ms + stall_ms - now < wait)
		wait = call->heard_ms + stall_ms - now;
	if (call->q->tick && call->tick_ms - now < wait)
		wait = call->tick_ms - now;
	return wait > 0 ? (long)wait : 0;
}

/* Why it must end now, or 0; its caller may know. */
static int look(struct call *call)
{
	int64_t now = clock_ms();
	int r = call->result ? call->result : call_over(call);

	if (r || !call->q->tick || now < call->tick_ms)
		return r;
	r = call->tick_ms ? call->q->tick(call->q->arg) : 0;
	call->tick_ms = now + call->q->tick_ms;
	return r;
}

/* Drives the transfer until libcurl says how it ended, or it must end. Returns 0 or an error. */
static int drive(struct call *call)
{
	CURLM *multi = call->s->multi;

	for (;;) {
		int running = 0, left, r;
		const CURLMsg *end;

		if (curl_multi_perform(multi, &running) != CURLM_OK)
			return -ENOMEM;
		if (!call->result)
			call->result = hand_over(call);
		end = curl_multi_info_read(multi, &left);
		if (end)
			return call->result ? call->result : failure(call, end->data.result);
		r = look(call);
		if (r)
			return r;
		if (curl_multi_poll(multi, NULL, 0, (int)poll_ms(call), NULL) != CURLM_OK)
			return -ENOMEM;
	}
}

static int perform(struct call *call)
{
	struct httpc_response response = { .easy = call->s->easy };
	int r = call_over(call);

	if (r == 0)
		r = set_request(call->s->easy, call);
	if (r)
		return r;
	set_transport(call->s->easy, call->c);
	set_callbacks(call->s->easy, call);
	if (curl_multi_add_handle(call->s->multi, call->s->easy) != CURLM_OK)
		return -ENOMEM;
	set_cancel_session(call, call->s);
	r = drive(call);
	set_cancel_session(call, NULL);
	if (r == 0)
		r = httpc_status(&response);
	curl_multi_remove_handle(call->s->multi, call->s->easy);
	return r;
}

/* True if what made no sense was the rest of a connection's last answer, not this request's. */
static bool is_spoiled(const struct call *call, int r)
{
	long connects = 1;

	if (r != ERR_PROTO || call->result || call->head_done)
		return false;
	curl_easy_getinfo(call->s->easy, CURLINFO_NUM_CONNECTS, &connects);
	return connects == 0;
}

/* Forgets the request, keeps the connections. */
static void reset(struct call *call)
{
	curl_easy_reset(call->s->easy);
	httpc_lines_free(call->lines);
	call->lines = NULL;
	call->head_bytes = 0;
	call->heard_ms = 0;
}

int httpc_run(struct httpc *c, const struct httpc_request *q)
{
	struct call call = { .q = q, .c = c };
	int r;

	err_forget_note();
	r = session_get(c, &call.s);
	if (r < 0)
		return r;
	r = perform(&call);
	if (is_spoiled(&call, r)) {
		reset(&call);
		curl_easy_setopt(call.s->easy, CURLOPT_FRESH_CONNECT, 1L);
		r = perform(&call);
	}
	reset(&call);
	free(call.held);
	session_put(c, call.s);
	return r;
}

/* --- its head */

int httpc_status(const struct httpc_response *r)
{
	long status = 0;

	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

const char *httpc_header(const struct httpc_response *r, const char *name)
{
	struct curl_header *h;

	if (curl_easy_header(r->easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
		return NULL;
	if (h->amount > 1 &&
	    curl_easy_header(r->easy, name, h->amount - 1, CURLH_HEADER, -1, &h) != CURLHE_OK)
		return NULL;
	return h->value;
}
