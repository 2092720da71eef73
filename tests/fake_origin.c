/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake_origin.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "daemon/base/buf.h"

#define TARGETS_MAX 64
#define ANSWERS_MAX 16
#define HEAD_MAX 8192

struct script {
	char target[1024];
	struct fake_answer answers[ANSWERS_MAX];
	unsigned added, next, requests;
	char head[HEAD_MAX]; /* of the latest request */
};

struct fake_origin {
	pthread_mutex_t mutex; /* guards all down to connection_count */
	struct script scripts[TARGETS_MAX];
	unsigned script_count, requests;
	struct connection *connections;
	unsigned connection_count;
	pthread_t thread;
	int listen_fd, stop_fd;
	char url[64];
};

struct connection {
	struct connection *next;
	struct fake_origin *o;
	pthread_t thread;
	int fd;            /* guarded by o->mutex when it ends */
	char in[HEAD_MAX]; /* what came and was not yet used */
	size_t in_len;
	bool used; /* an answer was given on it */
};

/* --- scripts */

static struct script *script_locked(struct fake_origin *o, const char *target)
{
	struct script *s;

	for (unsigned i = 0; i < o->script_count; i++) {
		if (strcmp(o->scripts[i].target, target) == 0)
			return &o->scripts[i];
	}
	assert(o->script_count < TARGETS_MAX && strlen(target) < sizeof(s->target));
	s = &o->scripts[o->script_count++];
	memcpy(s->target, target, strlen(target) + 1);
	return s;
}

void fake_origin_add(struct fake_origin *o, const char *target, struct fake_answer answer)
{
	struct script *s;

	pthread_mutex_lock(&o->mutex);
	s = script_locked(o, target);
	assert(s->added < ANSWERS_MAX);
	s->answers[s->added++] = answer;
	pthread_mutex_unlock(&o->mutex);
}

void fake_origin_clear(struct fake_origin *o, const char *target)
{
	struct script *s;

	pthread_mutex_lock(&o->mutex);
	s = script_locked(o, target);
	s->added = s->next = 0;
	pthread_mutex_unlock(&o->mutex);
}

unsigned fake_origin_count(struct fake_origin *o, const char *target)
{
	unsigned count;

	pthread_mutex_lock(&o->mutex);
	count = target ? script_locked(o, target)->requests : o->requests;
	pthread_mutex_unlock(&o->mutex);
	return count;
}

unsigned fake_origin_connections(struct fake_origin *o)
{
	unsigned count;

	pthread_mutex_lock(&o->mutex);
	count = o->connection_count;
	pthread_mutex_unlock(&o->mutex);
	return count;
}

bool fake_origin_saw(struct fake_origin *o, const char *target, const char *text)
{
	bool saw;

	pthread_mutex_lock(&o->mutex);
	saw = strstr(script_locked(o, target)->head, text) != NULL;
	pthread_mutex_unlock(&o->mutex);
	return saw;
}

static struct fake_answer next_answer(struct fake_origin *o, const char *head)
{
	struct fake_answer answer = { .status = 404 };
	char target[1024];
	struct script *s;

	assert(sscanf(head, "%*s %1023s", target) == 1);
	pthread_mutex_lock(&o->mutex);
	s = script_locked(o, target);
	o->requests++;
	s->requests++;
	snprintf(s->head, sizeof(s->head), "%s", head);
	if (s->added)
		answer = s->answers[s->next];
	if (s->next + 1 < s->added)
		s->next++;
	pthread_mutex_unlock(&o->mutex);
	return answer;
}

/* --- one connection */

/* Waits for ms milliseconds, or less if the server stops. */
static void pause_ms(struct fake_origin *o, int ms)
{
	struct pollfd stop = { .fd = o->stop_fd, .events = POLLIN };

	if (ms)
		poll(&stop, 1, ms);
}

/* Reads one request head into ret. False at the end of the connection or the server. */
static bool read_head(struct connection *c, char ret[static HEAD_MAX])
{
	struct pollfd fds[2] = { { .fd = c->fd, .events = POLLIN },
				 { .fd = c->o->stop_fd, .events = POLLIN } };

	for (;;) {
		char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
		ssize_t n;

		if (end) {
			size_t len = (size_t)(end + 4 - c->in);

			memcpy(ret, c->in, len);
			ret[len] = '\0';
			c->in_len -= len;
			memmove(c->in, c->in + len, c->in_len);
			return true;
		}
		poll(fds, 2, -1);
		if (fds[1].revents)
			return false;
		n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - 1 - c->in_len, 0);
		if (n <= 0)
			return false;
		c->in_len += (size_t)n;
	}
}

static bool send_all(struct connection *c, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* Turns an answer into the 206 that a Range header asks for. */
static void apply_range(const char *head, struct fake_answer *a, struct buf *headers)
{
	const char *range = strcasestr(head, "\r\nRange: bytes=");
	unsigned long first, last;

	if (!range || !a->ranges || sscanf(range + 15, "%lu-%lu", &first, &last) != 2)
		return;
	assert(first <= last && last < a->len);
	buf_printf(headers, "Content-Range: bytes %lu-%lu/%zu\r\n", first, last, a->len);
	a->status = 206;
	a->body += first;
	a->len = last - first + 1;
}

static void print_head(const struct fake_answer *a, const char *more, struct buf *ret)
{
	buf_printf(ret, "HTTP/1.1 %d Scripted\r\n%s%s", a->status, more,
		   a->headers ? a->headers : "");
	if (a->chunked)
		buf_add_str(ret, "Transfer-Encoding: chunked\r\n");
	else if (a->claim >= 0)
		buf_printf(ret, "Content-Length: %ld\r\n", a->claim ? a->claim : (long)a->len);
	buf_add_str(ret, "\r\n");
}

static bool send_body(struct connection *c, const struct fake_answer *a)
{
	size_t len = a->cut ? a->cut_at : a->len, piece;

	if (a->within_ms && len > 0) {
		if (!send_all(c, a->body, 1))
			return false;
		pause_ms(c->o, a->within_ms);
		return send_all(c, a->body + 1, len - 1);
	}
	if (!a->chunked)
		return send_all(c, a->body, len);
	for (size_t at = 0; at < len; at += piece) {
		char size[16];

		piece = len - at < 100 ? len - at : 100;
		snprintf(size, sizeof(size), "%zx\r\n", piece);
		if (!send_all(c, size, strlen(size)) || !send_all(c, a->body + at, piece) ||
		    !send_all(c, "\r\n", 2))
			return false;
	}
	return a->cut || send_all(c, "0\r\n\r\n", 5);
}

static void reset(struct connection *c)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

/* Answers one request. False if the connection shall end. */
static bool answer_one(struct connection *c)
{
	CLEANUP(buf_free) struct buf head = { 0 };
	CLEANUP(buf_free) struct buf headers = { 0 };
	char request[HEAD_MAX];
	struct fake_answer a;

	if (!read_head(c, request))
		return false;
	a = next_answer(c->o, request);
	if (a.body && !a.len)
		a.len = strlen(a.body);
	pause_ms(c->o, a.before_ms);
	if (a.reset)
		reset(c);
	if (!a.status)
		return false;
	if (a.spoiled && c->used) {
		send_all(c, "\xee\xee\xee\xee\xee\xee\xee\xee\r\n", 10);
		return false;
	}
	c->used = true;
	apply_range(request, &a, &headers);
	print_head(&a, buf_str(&headers), &head);
	if (!send_all(c, head.data, head.len))
		return false;
	if (strncmp(request, "HEAD ", 5) != 0 && !send_body(c, &a))
		return false;
	if (a.reset)
		pause_ms(c->o, 50); /* let the bytes arrive before the reset overtakes them */
	return !a.cut && a.claim == 0;
}

static void *serve(void *arg)
{
	struct connection *c = arg;

	while (answer_one(c))
		;
	pthread_mutex_lock(&c->o->mutex);
	close(c->fd);
	c->fd = -1;
	pthread_mutex_unlock(&c->o->mutex);
	return NULL;
}

/* --- the server */

static void *accept_all(void *arg)
{
	struct fake_origin *o = arg;
	struct pollfd fds[2] = { { .fd = o->listen_fd, .events = POLLIN },
				 { .fd = o->stop_fd, .events = POLLIN } };

	for (;;) {
		struct connection *c;
		int one = 1;

		poll(fds, 2, -1);
		if (fds[1].revents)
			return NULL;
		c = calloc(1, sizeof(*c));
		assert(c);
		c->o = o;
		c->fd = accept4(o->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		assert(c->fd >= 0);
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		pthread_mutex_lock(&o->mutex);
		c->next = o->connections;
		o->connections = c;
		o->connection_count++;
		pthread_mutex_unlock(&o->mutex);
		assert(pthread_create(&c->thread, NULL, serve, c) == 0);
	}
}

struct fake_origin *fake_origin_start(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(addr);
	struct fake_origin *o = calloc(1, sizeof(*o));

	assert(o);
	pthread_mutex_init(&o->mutex, NULL);
	o->stop_fd = eventfd(0, EFD_CLOEXEC);
	o->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert(bind(o->listen_fd, (struct sockaddr *)&addr, len) == 0);
	assert(listen(o->listen_fd, 128) == 0);
	assert(getsockname(o->listen_fd, (struct sockaddr *)&addr, &len) == 0);
	snprintf(o->url, sizeof(o->url), "http://127.0.0.1:%d", ntohs(addr.sin_port));
	assert(pthread_create(&o->thread, NULL, accept_all, o) == 0);
	return o;
}

void fake_origin_stop(struct fake_origin *o)
{
	assert(eventfd_write(o->stop_fd, 1) == 0);
	pthread_join(o->thread, NULL);
	while (o->connections) {
		struct connection *c = o->connections;

		pthread_mutex_lock(&o->mutex);
		if (c->fd >= 0)
			shutdown(c->fd, SHUT_RDWR); /* a send may be waiting */
		pthread_mutex_unlock(&o->mutex);
		pthread_join(c->thread, NULL);
		o->connections = c->next;
		free(c);
	}
	close(o->listen_fd);
	close(o->stop_fd);
	pthread_mutex_destroy(&o->mutex);
	free(o);
}

const char *fake_origin_url(const struct fake_origin *o)
{
	return o->url;
}
