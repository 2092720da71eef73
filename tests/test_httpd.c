/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/httpd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "daemon/base/clock.h"
#include "daemon/base/listen.h"
#include "daemon/base/lock.h"

#define BODY_MAX 10000
#define CONNECTIONS 64
#define HELD_MAX 200
#define BROKEN (-1)

struct fixture {
	struct httpd *server;
	struct sockaddr_in at;
	struct lock lock;
	struct httpd_request *held[HELD_MAX]; /* guarded by lock */
	unsigned held_count;                  /* guarded by lock */
	atomic_uint streams_ended;
	atomic_int pieces_left;
	atomic_bool finite; /* the stream ends with its last piece */
};

/* ---- the handler ---- */

static void reply_text(struct httpd_request *q, int status, const char *text)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	buf_add_str(&b, text);
	httpd_reply(q, status, "text/plain", &b, status == 405 ? "GET" : NULL);
}

static void reply_echo(struct httpd_request *q)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	const char *a = httpd_query(q, "a"), *field = httpd_field(q, "x-word");

	buf_printf(&b, "%s %s a=%s word=%s body=%zu:%s", httpd_method(q), httpd_path(q),
		   a ? a : "-", field ? field : "-", httpd_body(q)->len, buf_str(httpd_body(q)));
	httpd_reply(q, 200, "text/plain", &b, NULL);
}

static int next_piece(void *arg, struct buf *ret)
{
	struct fixture *f = arg;
	int left = atomic_load(&f->pieces_left);

	if (left == BROKEN)
		return -EIO;
	if (left == 0)
		return 0;
	buf_printf(ret, "piece %d\n", left);
	return atomic_fetch_sub(&f->pieces_left, 1) == 1 && f->finite;
}

static void stream_ended(void *arg)
{
	struct fixture *f = arg;

	atomic_fetch_add(&f->streams_ended, 1);
}

static void on_request(void *arg, struct httpd_request *q)
{
	struct fixture *f = arg;
	const struct httpd_stream stream = { next_piece, stream_ended, f };

	if (strcmp(httpd_path(q), "/hold") == 0) {
		lock_take(&f->lock);
		assert_true(f->held_count < HELD_MAX);
		f->held[f->held_count++] = q;
		lock_drop(&f->lock);
	} else if (strcmp(httpd_path(q), "/stream") == 0) {
		httpd_reply_stream(q, "text/event-stream", &stream);
	} else if (strcmp(httpd_path(q), "/refuse") == 0) {
		reply_text(q, 405, "no");
	} else {
		reply_echo(q);
	}
}

static unsigned held(struct fixture *f)
{
	unsigned n;

	lock_take(&f->lock);
	n = f->held_count;
	lock_drop(&f->lock);
	return n;
}

static void await_held(struct fixture *f, unsigned n)
{
	for (int i = 0; i < 1000 && held(f) < n; i++)
		clock_sleep_ms(10);
	assert_int_equal(held(f), n);
}

static void release(struct fixture *f)
{
	lock_take(&f->lock);
	while (f->held_count) {
		struct httpd_request *q = f->held[--f->held_count];

		lock_drop(&f->lock);
		reply_text(q, 200, "at last");
		lock_take(&f->lock);
	}
	lock_drop(&f->lock);
}

/* ---- the client ---- */

static int set_up(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct fixture *f = calloc(1, sizeof(*f));
	struct httpd_conf conf = {
		.threads = 2,
		.connections_max = CONNECTIONS,
		.body_max = BODY_MAX,
		.idle_ms = 2000,
		.handle = on_request,
		.arg = f,
	};
	socklen_t len = sizeof(f->at);

	assert_non_null(f);
	lock_init(&f->lock, LOCK_TEST);
	conf.fd = listen_address("127.0.0.1:0", &why);
	assert_true(conf.fd >= 0);
	assert_int_equal(getsockname(conf.fd, (struct sockaddr *)&f->at, &len), 0);
	assert_int_equal(httpd_start(&conf, &f->server), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	release(f);
	if (f->server)
		httpd_stop(f->server, clock_ms() + 100);
	lock_fini(&f->lock);
	free(f);
	return 0;
}

static int dial(struct fixture *f)
{
	struct timeval limit = { .tv_sec = 10 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&f->at, sizeof(f->at)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads until `text` has come; false at the end of the connection. */
static bool hear(int fd, struct buf *all, const char *text)
{
	char piece[4096];

	while (!strstr(buf_str(all), text)) {
		ssize_t n = recv(fd, piece, sizeof(piece), 0);

		if (n <= 0)
			return false;
		buf_add(all, piece, (size_t)n);
	}
	return true;
}

static bool ends(int fd)
{
	char piece[4096];
	ssize_t n;

	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0)
		;
	return n == 0 || errno == ECONNRESET;
}

/* One exchange on a connection of its own that must end with the answer. */
static void check(struct fixture *f, const char *request, const char *answer)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = dial(f);

	say(fd, request);
	if (!hear(fd, &got, answer))
		fail_msg("%s\n---\n%s", request, buf_str(&got));
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: x\r\n\r\n"

/* ---- stories ---- */

static void a_request_comes_whole(void **state)
{
	check(*state, GET("/x%20y?a=1%262+3&b"), "GET /x y a=1&2 3 word=- body=0:");
	check(*state, "POST /p?a HTTP/1.1\r\nHost: x\r\nX-Word: hi\r\nContent-Length: 3\r\n\r\nabc",
	      "POST /p a= word=hi body=3:abc");
	check(*state,
	      "PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	      "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
	      "PUT /c a=- word=- body=5:abcde");
	check(*state, GET("/a%00b%zz"), "GET /a%00b%zz ");
	check(*state, GET("/refuse"), "Allow: GET");
}

static void a_connection_is_kept_and_may_be_pipelined(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = dial(f);

	for (int i = 0; i < 3; i++) {
		buf_clear(&got);
		say(fd, "POST /again HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nz");
		assert_true(hear(fd, &got, "body=1:z"));
		assert_null(strstr(buf_str(&got), "Connection: close"));
	}
	buf_clear(&got);
	say(fd, GET("/one") GET("/two") GET("/three"));
	assert_true(hear(fd, &got, "GET /three"));
	assert_true(strstr(buf_str(&got), "GET /one") < strstr(buf_str(&got), "GET /two"));
}

static void a_body_too_large_is_refused(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf request = { 0 };

	check(f, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10001\r\n\r\n", " 413 ");
	buf_add_str(&request, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 11; i++)
		buf_printf(&request, "3e8\r\n%01000d\r\n", 0);
	buf_add_str(&request, "0\r\n\r\n");
	check(f, buf_str(&request), " 413 ");
	/* The twin: what just fits. */
	buf_clear(&request);
	buf_printf(&request, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n%010000d",
		   0);
	check(f, buf_str(&request), "body=10000:0");
}

static void nonsense_is_refused_and_the_server_goes_on(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf request = { 0 };
	CLEANUP(closep) int fd = dial(f);

	say(fd, "\x16\x03\x01 not HTTP\r\n\r\n");
	assert_true(ends(fd));
	check(f, "GET / HTTP/1.1\r\n\r\n", " 400 "); /* no Host */
	check(f, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", " 400 ");
	buf_printf(&request, "GET /%040000d HTTP/1.1\r\nHost: x\r\n\r\n", 0);
	check(f, buf_str(&request), " 414 ");
	check(f, GET("/fine"), "GET /fine");
}

static void an_answer_may_come_later_from_another_thread(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = dial(f);

	say(fd, GET("/hold"));
	await_held(f, 1);
	/* More than there are threads wait: nobody else does. */
	check(f, GET("/other"), "GET /other");
	release(f);
	assert_true(hear(fd, &got, "at last"));
	buf_clear(&got);
	say(fd, GET("/next"));
	assert_true(hear(fd, &got, "GET /next"));
}

static void many_connections_and_dead_clients_hold_nothing_up(void **state)
{
	struct fixture *f = *state;
	int fds[CONNECTIONS / 2];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = dial(f);
		say(fds[i], i % 2 ? GET("/hold") : "POST /slow HTTP/1.1\r\nHost: x\r\nConte");
	}
	await_held(f, ARRAY_LEN(fds) / 2);
	check(f, GET("/quick"), "GET /quick");
	for (size_t i = 0; i < ARRAY_LEN(fds); i += 2)
		assert_true(ends(fds[i])); /* after the idle time, the half heads are given up */
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	release(f); /* for clients that are gone */
	check(f, GET("/quick"), "GET /quick");
}

static void a_stream_brings_its_pieces_and_its_end(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = dial(f);

	f->finite = true;
	atomic_store(&f->pieces_left, 3);
	say(fd, GET("/stream"));
	assert_true(hear(fd, &got, "piece 1\n"));
	assert_true(hear(fd, &got, "\r\n0\r\n\r\n"));
	assert_true(strstr(buf_str(&got), "piece 3\n") < strstr(buf_str(&got), "piece 2\n"));
	buf_clear(&got);
	say(fd, GET("/kept")); /* and the connection is kept */
	assert_true(hear(fd, &got, "GET /kept"));
	for (int i = 0; i < 500 && !atomic_load(&f->streams_ended); i++)
		clock_sleep_ms(10);
	assert_int_equal(atomic_load(&f->streams_ended), 1);
}

static void a_broken_stream_has_no_proper_end(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = dial(f);

	atomic_store(&f->pieces_left, BROKEN);
	say(fd, GET("/stream"));
	assert_false(hear(fd, &got, "0\r\n\r\n"));
}

static void a_stream_that_waits_is_asked_again(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = dial(f);

	say(fd, GET("/stream"));
	assert_true(hear(fd, &got, "\r\n\r\n"));
	for (int i = 0; i < 4; i++) {
		buf_clear(&got);
		check(f, GET("/other"), "GET /other");
		atomic_store(&f->pieces_left, 2);
		assert_true(hear(fd, &got, "piece 1\n"));
	}
}

static void a_client_that_leaves_ends_its_stream(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	int fd = dial(f);

	say(fd, GET("/stream"));
	assert_true(hear(fd, &got, "\r\n\r\n"));
	close(fd);
	for (int i = 0; i < 500 && !atomic_load(&f->streams_ended); i++) {
		atomic_store(&f->pieces_left, 1);
		clock_sleep_ms(10);
	}
	assert_int_equal(atomic_load(&f->streams_ended), 1);
}

static void stop_ends_streams_well_and_lets_answers_out(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int waiting = dial(f), flowing = dial(f), idle = dial(f);
	int64_t begun;

	say(waiting, GET("/stream"));
	assert_true(hear(waiting, &got, "\r\n\r\n"));
	buf_clear(&got);
	atomic_store(&f->pieces_left, 100000000);
	say(flowing, GET("/stream"));
	assert_true(hear(flowing, &got, "piece "));
	begun = clock_ms();
	httpd_stop(steal(f->server), begun + 5000);
	assert_true(clock_ms() - begun < 4000);
	assert_true(ends(flowing) && ends(waiting) && ends(idle));
	assert_int_equal(atomic_load(&f->streams_ended), 2);
}

static void *stop_it(void *arg)
{
	struct fixture *f = arg;

	httpd_stop(steal(f->server), clock_ms() + 300);
	return NULL;
}

static void what_nobody_answered_by_the_deadline_gets_503(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = dial(f);
	pthread_t thread;

	say(fd, GET("/hold"));
	await_held(f, 1);
	assert_int_equal(thread_start(&thread, "stopper", stop_it, f), 0);
	assert_true(hear(fd, &got, " 503 "));
	release(f); /* late, and for nobody */
	pthread_join(thread, NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_comes_whole),
		TEST(a_connection_is_kept_and_may_be_pipelined),
		TEST(a_body_too_large_is_refused),
		TEST(nonsense_is_refused_and_the_server_goes_on),
		TEST(an_answer_may_come_later_from_another_thread),
		TEST(many_connections_and_dead_clients_hold_nothing_up),
		TEST(a_stream_brings_its_pieces_and_its_end),
		TEST(a_broken_stream_has_no_proper_end),
		TEST(a_stream_that_waits_is_asked_again),
		TEST(a_client_that_leaves_ends_its_stream),
		TEST(stop_ends_streams_well_and_lets_answers_out),
		TEST(what_nobody_answered_by_the_deadline_gets_503),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
