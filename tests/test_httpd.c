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
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "daemon/base/clock.h"
#include "daemon/base/lock.h"
#include "tests/talk.h"

#define BODY_MAX 10000
#define CONNECTIONS 64
#define HELD_MAX 200
#define BROKEN (-1)
#define SLOW_BYTES 1000

struct fixture {
	struct httpd *server;
	struct sockaddr_in at;
	struct lock lock;
	struct httpd_request *held[HELD_MAX]; /* guarded by lock */
	unsigned held_count;                  /* guarded by lock */
	atomic_uint streams_ended;
	atomic_int pieces_left;
	atomic_bool finite; /* the stream ends with its last piece */
	sem_t stuck, free;  /* a handler that does not come back; until then */
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
	} else if (strcmp(httpd_path(q), "/stuck") == 0) {
		sem_post(&f->stuck);
		sem_wait(&f->free);
		reply_text(q, 200, "at last");
	} else {
		reply_echo(q);
	}
}

static ssize_t body_max(void *arg UNUSED, const struct httpd_request *q)
{
	if (strcmp(httpd_path(q), "/nowhere") == 0)
		return -1;
	return strcmp(httpd_method(q), "GET") == 0 ? 0 : BODY_MAX;
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
	struct fixture *f = calloc(1, sizeof(*f));
	struct httpd_conf conf = {
		.door_count = 1,
		.threads = 2,
		.connections_max = CONNECTIONS,
		.bodies_max = 4 * BODY_MAX,
		.idle_ms = 2000,
		.slow_ms = 2000,
		.slow_bytes = SLOW_BYTES,
		.body_max = body_max,
		.handle = on_request,
		.arg = f,
	};

	assert_non_null(f);
	lock_init(&f->lock, LOCK_TEST);
	sem_init(&f->stuck, 0, 0);
	sem_init(&f->free, 0, 0);
	conf.doors[0].fd = talk_listen(&f->at);
	assert_int_equal(httpd_start(&conf, &f->server), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	release(f);
	if (f->server)
		assert_true(httpd_stop(f->server, clock_ms() + 100, 5000));
	lock_fini(&f->lock);
	free(f);
	return 0;
}

/* One exchange on a connection of its own that must end with the answer. */
static void check(struct fixture *f, const char *request, const char *answer)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = talk_dial(&f->at);

	talk_say(fd, request);
	if (!talk_hear(fd, &got, answer))
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
	check(*state, "BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n", "BREW /pot ");
}

static void a_target_may_name_the_host_as_well(void **state)
{
	check(*state, GET("http://x/y?a=b"), "GET /y a=b ");
	check(*state, GET("HTTPS://x:80?a=b"), "GET / a=b ");
	check(*state, GET("/http://x/y"), "GET /http://x/y a=-");
}

static void a_connection_is_kept_and_may_be_pipelined(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = talk_dial(&f->at);

	for (int i = 0; i < 3; i++) {
		buf_clear(&got);
		talk_say(fd, "POST /again HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nz");
		assert_true(talk_hear(fd, &got, "body=1:z"));
		assert_null(strstr(buf_str(&got), "Connection: close"));
	}
	buf_clear(&got);
	talk_say(fd, GET("/one") GET("/two") GET("/three"));
	assert_true(talk_hear(fd, &got, "GET /three"));
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

#define HEAD_END " HTTP/1.1\r\nHost: x\r\n\r\n"

/* Before a head is whole, and while a body comes, the library has no place for words of ours: a
 * version of it that has will fail here. */
static void nonsense_is_refused_by_the_library_and_the_server_goes_on(void **state)
{
	static const char *const nonsense[] = {
		"\x16\x03\x01 not HTTP\r\n\r\n",
		"GET /\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nno field\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	};
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf request = { 0 };
	CLEANUP(closep) int fd = talk_dial(&f->at);

	for (size_t i = 0; i < ARRAY_LEN(nonsense); i++)
		check(f, nonsense[i], "<html><head><title>");
	talk_say(fd, "hello\r\n\r\n");
	assert_true(talk_ends(fd));
	check(f, "GET / HTTP/2.0\r\nHost: x\r\n\r\n", " 505 ");
	check(f, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", " 400 ");
	buf_printf(&request, "GET /%040000d" HEAD_END, 0);
	check(f, buf_str(&request), " 414 ");
	check(f, GET("/fine"), "GET /fine");
}

static void what_the_server_refuses_it_tells_in_fields_and_in_json(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf request = { 0 };

	check(f,
	      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
	      "Content-Length: 1\r\n\r\n",
	      "X-Error-Code: bad_request");
	buf_printf(&request, "GET /%09000d" HEAD_END, 0);
	check(f, buf_str(&request), "X-Error-Code: too_long");
	check(f, buf_str(&request),
	      "{\"error\":\"too_long\",\"message\":\"the address of this request is too long\"}");
	buf_clear(&request);
	buf_printf(&request, "GET / HTTP/1.1\r\nHost: x\r\nX: %09500d\r\n\r\n", 0);
	check(f, buf_str(&request), "X-Error-Code: too_large");
	check(f, buf_str(&request), "X-Error-Message: the head of this request is too large");
}

static void a_request_names_one_host_or_is_refused(void **state)
{
	static const char *const bad[] = { "Host: a b\r\n", "Host: a/b\r\n", "Host: a\"\r\n" };
	struct fixture *f = *state;
	char request[200];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(request, sizeof(request), "GET / HTTP/1.1\r\n%s\r\n", bad[i]);
		check(f, request, "{\"error\":\"bad_request\",\"message\":\"the request wants one");
	}
	check(f, "GET / HTTP/1.1\r\n\r\n", " 400 ");
	check(f, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", " 400 ");
	check(f, "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET / a=-");
	check(f, "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / a=-");
	check(f, "GET / HTTP/1.0\r\n\r\n", "GET / a=-");
	check(f, "GET / HTTP/1.0\r\nHost: a b\r\n\r\n", " 400 ");
}

static void an_answer_may_come_later_from_another_thread(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = talk_dial(&f->at);

	talk_say(fd, GET("/hold"));
	await_held(f, 1);
	/* More than there are threads wait: nobody else does. */
	check(f, GET("/other"), "GET /other");
	release(f);
	assert_true(talk_hear(fd, &got, "at last"));
	buf_clear(&got);
	talk_say(fd, GET("/next"));
	assert_true(talk_hear(fd, &got, "GET /next"));
}

static void many_connections_and_dead_clients_hold_nothing_up(void **state)
{
	struct fixture *f = *state;
	int fds[CONNECTIONS / 4];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = talk_dial(&f->at);
		talk_say(fds[i], i % 2 ? GET("/hold") : "POST /slow HTTP/1.1\r\nHost: x\r\nConte");
	}
	await_held(f, ARRAY_LEN(fds) / 2);
	check(f, GET("/quick"), "GET /quick");
	for (size_t i = 0; i < ARRAY_LEN(fds); i += 2)
		assert_true(
			talk_ends(fds[i])); /* after the idle time, the half heads are given up */
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	release(f); /* for clients that are gone */
	check(f, GET("/quick"), "GET /quick");
}

static void silent_clients_keep_nobody_out(void **state)
{
	struct fixture *f = *state;
	int64_t begun_ms;
	int fds[3 * CONNECTIONS];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = talk_dial(&f->at);
		if (i % 3 == 1)
			talk_say(fds[i], "GET / HTTP/1.1\r\nHos");
		else if (i % 3 == 2)
			talk_say(fds[i],
				 "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
	}
	begun_ms = clock_ms();
	check(f, GET("/quick"), "GET /quick");
	assert_true(clock_ms() - begun_ms < 1500); /* before any of them is idle for too long */
	assert_true(talk_ends(fds[0]));
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void who_waits_for_an_answer_is_not_idle(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int held_fd = talk_dial(&f->at);
	int fds[CONNECTIONS];

	talk_say(held_fd, GET("/hold"));
	await_held(f, 1);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = talk_dial(&f->at);
	check(f, GET("/quick"), "GET /quick");
	assert_true(talk_ends(fds[0]));
	release(f);
	assert_true(talk_hear(held_fd, &got, "at last"));
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void a_stream_brings_its_pieces_and_its_end(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = talk_dial(&f->at);

	f->finite = true;
	atomic_store(&f->pieces_left, 3);
	talk_say(fd, GET("/stream"));
	assert_true(talk_hear(fd, &got, "piece 1\n"));
	assert_true(talk_hear(fd, &got, "\r\n0\r\n\r\n"));
	assert_true(strstr(buf_str(&got), "piece 3\n") < strstr(buf_str(&got), "piece 2\n"));
	buf_clear(&got);
	talk_say(fd, GET("/kept")); /* and the connection is kept */
	assert_true(talk_hear(fd, &got, "GET /kept"));
	for (int i = 0; i < 500 && !atomic_load(&f->streams_ended); i++)
		clock_sleep_ms(10);
	assert_int_equal(atomic_load(&f->streams_ended), 1);
}

static void a_broken_stream_has_no_proper_end(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = talk_dial(&f->at);

	atomic_store(&f->pieces_left, BROKEN);
	talk_say(fd, GET("/stream"));
	assert_false(talk_hear(fd, &got, "0\r\n\r\n"));
}

static void a_stream_that_waits_is_asked_again(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = talk_dial(&f->at);

	talk_say(fd, GET("/stream"));
	assert_true(talk_hear(fd, &got, "\r\n\r\n"));
	for (int i = 0; i < 4; i++) {
		buf_clear(&got);
		check(f, GET("/other"), "GET /other");
		atomic_store(&f->pieces_left, 2);
		assert_true(talk_hear(fd, &got, "piece 1\n"));
	}
}

static void a_client_that_leaves_ends_its_stream(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	int fd = talk_dial(&f->at);

	talk_say(fd, GET("/stream"));
	assert_true(talk_hear(fd, &got, "\r\n\r\n"));
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
	CLEANUP(closep)
	int waiting = talk_dial(&f->at), flowing = talk_dial(&f->at), idle = talk_dial(&f->at);
	int64_t begun;

	talk_say(waiting, GET("/stream"));
	assert_true(talk_hear(waiting, &got, "\r\n\r\n"));
	buf_clear(&got);
	atomic_store(&f->pieces_left, 100000000);
	talk_say(flowing, GET("/stream"));
	assert_true(talk_hear(flowing, &got, "piece "));
	begun = clock_ms();
	assert_true(httpd_stop(steal(f->server), begun + 5000, 5000));
	assert_true(clock_ms() - begun < 4000);
	assert_true(talk_ends(flowing) && talk_ends(waiting) && talk_ends(idle));
	assert_int_equal(atomic_load(&f->streams_ended), 2);
}

static void *stop_it(void *arg)
{
	struct fixture *f = arg;

	assert_true(httpd_stop(steal(f->server), clock_ms() + 300, 5000));
	return NULL;
}

static void what_nobody_answered_by_the_deadline_gets_503(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = talk_dial(&f->at);
	pthread_t thread;

	talk_say(fd, GET("/hold"));
	await_held(f, 1);
	assert_int_equal(thread_start(&thread, "stopper", stop_it, f), 0);
	assert_true(talk_hear(fd, &got, " 503 "));
	release(f); /* late, and for nobody */
	pthread_join(thread, NULL);
}

static void who_never_answers_keeps_all_he_may_touch(void **state)
{
	static struct httpd *left; /* as main leaves it */
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = talk_dial(&f->at);

	talk_say(fd, GET("/hold"));
	await_held(f, 1);
	left = steal(f->server);
	assert_false(httpd_stop(left, clock_ms(), 50));
	assert_true(talk_hear(fd, &got, " 503 "));
	assert_string_equal(httpd_path(f->held[0]), "/hold");
	release(f);
}

static void who_does_not_come_back_is_not_waited_for_for_ever(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int fd = talk_dial(&f->at);

	talk_say(fd, GET("/stuck"));
	sem_wait(&f->stuck);
	assert_false(httpd_stop(f->server, clock_ms(), 50));
	sem_post(&f->free); /* the twin: he comes */
	assert_true(httpd_stop(steal(f->server), clock_ms(), 5000));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_comes_whole),
		TEST(a_target_may_name_the_host_as_well),
		TEST(a_connection_is_kept_and_may_be_pipelined),
		TEST(a_body_too_large_is_refused),
		TEST(nonsense_is_refused_by_the_library_and_the_server_goes_on),
		TEST(what_the_server_refuses_it_tells_in_fields_and_in_json),
		TEST(a_request_names_one_host_or_is_refused),
		TEST(an_answer_may_come_later_from_another_thread),
		TEST(many_connections_and_dead_clients_hold_nothing_up),
		TEST(silent_clients_keep_nobody_out),
		TEST(who_waits_for_an_answer_is_not_idle),
		TEST(a_stream_brings_its_pieces_and_its_end),
		TEST(a_broken_stream_has_no_proper_end),
		TEST(a_stream_that_waits_is_asked_again),
		TEST(a_client_that_leaves_ends_its_stream),
		TEST(stop_ends_streams_well_and_lets_answers_out),
		TEST(what_nobody_answered_by_the_deadline_gets_503),
		TEST(who_never_answers_keeps_all_he_may_touch),
		TEST(who_does_not_come_back_is_not_waited_for_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
