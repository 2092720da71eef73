/* SPDX-License-Identifier: Apache-2.0 */
/* Who comes in, who has to go, and the end of it all: as clients see it. */
#include "daemon/base/httpd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "daemon/base/clock.h"
#include "daemon/base/lock.h"
#include "tests/talk.h"

#define DOORS 2
#define CONNECTIONS 32
#define ADDRESS_MAX 8
#define BODY_MAX 10000
#define SLOW_MS 400
#define SLOW_BYTES 1000
#define IDLE_MS 1200
#define STRANGER_MS 600
#define LONG_BYTES (16 * 1024 * 1024)
#define FIELDS 5000

struct fixture {
	struct httpd *server;
	struct sockaddr_in at[DOORS];
	struct lock lock;
	struct httpd_request *held; /* guarded by lock, like all that follows */
	unsigned ends;
	struct httpd_end end; /* the last one's */
	char *bytes;
};

/* ---- the server ---- */

static void reply(struct httpd_request *q, int status, const char *text)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	buf_add_str(&b, text);
	httpd_reply(q, status, "text/plain", &b, NULL);
}

static void nothing(void *arg UNUSED)
{
}

static void on_request(void *arg, struct httpd_request *q)
{
	struct fixture *f = arg;
	struct httpd_head head = { .status = 200 };
	CLEANUP(buf_free) struct buf list = { 0 };
	char text[HTTPD_ADDRESS_MAX + 64];

	if (!strcmp(httpd_path(q), "/hold")) {
		lock_take(&f->lock);
		f->held = q;
		lock_drop(&f->lock);
	} else if (!strcmp(httpd_path(q), "/long")) {
		httpd_reply_bytes(q, &head, f->bytes, LONG_BYTES, nothing, NULL);
	} else if (!strcmp(httpd_path(q), "/list")) {
		assert_int_equal(httpd_fields(q, "x-list", &list), 0);
		reply(q, 200, buf_str(&list));
	} else if (!strcmp(httpd_path(q), "/known")) {
		httpd_know(q);
		reply(q, 401, "known");
	} else if (!strcmp(httpd_path(q), "/refused")) {
		reply(q, 401, "refused");
	} else if (!strcmp(httpd_path(q), "/query")) {
		reply(q, 200, httpd_query(q, "last") ? "seen" : "not seen");
	} else {
		httpd_address(q, text);
		snprintf(text + strlen(text), 64, " body=%zu", httpd_body(q)->len);
		reply(q, 200, text);
	}
}

static ssize_t body_max(void *arg UNUSED, const struct httpd_request *q)
{
	if (!strcmp(httpd_path(q), "/nowhere"))
		return -1;
	return strcmp(httpd_method(q), "GET") ? BODY_MAX : 0;
}

static void on_end(void *arg, const struct httpd_request *q UNUSED, const struct httpd_end *end)
{
	struct fixture *f = arg;

	lock_take(&f->lock);
	f->ends++;
	f->end = *end;
	lock_drop(&f->lock);
}

static void open_door(struct fixture *f, struct httpd_conf *conf)
{
	unsigned i = conf->door_count++;

	conf->doors[i].fd = talk_listen(&f->at[i]);
}

static int set_up_for(void **state, unsigned strangers_max, int64_t patience)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct httpd_conf conf = {
		.strangers_max = strangers_max,
		.threads = 2,
		.connections_max = CONNECTIONS,
		.address_max = ADDRESS_MAX,
		.bodies_max = 3 * BODY_MAX / 2,
		.idle_ms = IDLE_MS * patience,
		.stranger_ms = STRANGER_MS * patience,
		.slow_ms = SLOW_MS,
		.slow_bytes = SLOW_BYTES,
		.body_max = body_max,
		.handle = on_request,
		.ended = on_end,
		.arg = f,
	};

	assert_non_null(f);
	f->bytes = calloc(1, LONG_BYTES);
	lock_init(&f->lock, LOCK_TEST);
	for (int i = 0; i < DOORS; i++)
		open_door(f, &conf);
	assert_int_equal(httpd_start(&conf, &f->server), 0);
	*state = f;
	return 0;
}

static int set_up(void **state)
{
	return set_up_for(state, 0, 1);
}

static int set_up_for_few(void **state)
{
	return set_up_for(state, 2, 1);
}

/* Nobody goes for his silence alone, however slow the machine is. */
static int set_up_patient(void **state)
{
	return set_up_for(state, 0, 100);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->held)
		reply(f->held, 200, "at last");
	if (f->server)
		assert_true(httpd_stop(f->server, clock_ms() + 100, 5000));
	lock_fini(&f->lock);
	free(f->bytes);
	free(f);
	return 0;
}

static void await_held(struct fixture *f)
{
	bool held = false;

	for (int i = 0; i < 1000 && !held; i++) {
		lock_take(&f->lock);
		held = f->held;
		lock_drop(&f->lock);
		clock_sleep_ms(2);
	}
	assert_true(held);
}

static void await_connections(struct fixture *f, unsigned n)
{
	for (int i = 0; i < 1000 && httpd_connections(f->server) != n; i++)
		clock_sleep_ms(2);
	assert_int_equal(httpd_connections(f->server), n);
}

static struct httpd_end await_ends(struct fixture *f, unsigned n)
{
	struct httpd_end end = { 0 };
	unsigned ends = 0;

	for (int i = 0; i < 1000 && ends < n; i++) {
		lock_take(&f->lock);
		ends = f->ends;
		end = f->end;
		lock_drop(&f->lock);
		clock_sleep_ms(2);
	}
	assert_int_equal(ends, n);
	return end;
}

/* ---- the client ---- */

static int dial(struct fixture *f, int door)
{
	struct timeval limit = { .tv_sec = 10 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&f->at[door], sizeof(f->at[door])) < 0) {
		close(fd);
		return -errno;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

/* What comes in the end may not arrive any more. */
static void say(int fd, const char *text)
{
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* One exchange on a connection of its own whose answer holds the text. */
static void check(struct fixture *f, const char *request, const char *answer)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = dial(f, 0);

	say(fd, request);
	if (!talk_hear(fd, &got, answer))
		fail_msg("%.200s\n---\n%s", request, buf_str(&got));
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST(target, length) \
	"POST " target " HTTP/1.1\r\nHost: x\r\nContent-Length: " length "\r\n\r\n"

/* ---- limits ---- */

static void an_address_has_so_many_connections(void **state)
{
	struct fixture *f = *state;
	int fds[ADDRESS_MAX];

	for (int i = 0; i < ADDRESS_MAX; i++)
		fds[i] = dial(f, i % DOORS);
	await_connections(f, ADDRESS_MAX);
	check(f, GET("/"), " 429 ");
	check(f, GET("/"), "X-Error-Code: too_many_connections");
	check(f, GET("/"), "\"error\":\"too_many_connections\"");
	assert_int_equal(httpd_connections(f->server), ADDRESS_MAX);
	close(fds[0]); /* the twin: one has gone */
	await_connections(f, ADDRESS_MAX - 1);
	check(f, GET("/"), "127.0.0.1 body=0");
	httpd_set_limits(f->server, CONNECTIONS, 0);
	for (int i = 0; i < ADDRESS_MAX; i++)
		check(f, GET("/"), "127.0.0.1 body=0");
	for (int i = 1; i < ADDRESS_MAX; i++)
		close(fds[i]);
}

/* An exchange on a connection that stays. */
static int ask(struct fixture *f, const char *request, const char *answer)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	int fd = dial(f, 0);

	say(fd, request);
	assert_true(talk_hear(fd, &got, answer));
	return fd;
}

static bool is_open(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* He asked first, so he has been silent longest. */
static void who_was_answered_keeps_his_place_before_strangers(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int known = -1, refused = -1, silent = -1, last = -1;

	httpd_set_limits(f->server, 3, 0);
	known = ask(f, GET("/"), " 200 ");
	refused = ask(f, GET("/refused"), " 401 ");
	silent = dial(f, 0);
	await_connections(f, 3);
	last = dial(f, 0);
	assert_true(talk_ends(refused));
	assert_true(is_open(known) && is_open(silent));
	await_connections(f, 3);
	check(f, GET("/"), " 200 ");
	assert_true(talk_ends(silent));
	assert_true(is_open(known));
	httpd_set_limits(f->server, 1, 0);
	check(f, GET("/"), " 200 ");
	assert_true(talk_ends(last));
	assert_true(is_open(known));
	check(f, GET("/"), " 200 "); /* the twin: there are no others */
	assert_true(talk_ends(known));
}

static void a_stranger_may_be_silent_for_less_long(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int known = ask(f, GET("/"), " 200 ");
	CLEANUP(closep) int refused = ask(f, GET("/refused"), " 401 ");
	CLEANUP(closep) int silent = dial(f, 0);
	int64_t begun_ms = clock_ms();

	assert_true(talk_ends(silent) && talk_ends(refused));
	assert_in_range(clock_ms() - begun_ms, STRANGER_MS / 2, IDLE_MS - 1);
	assert_true(is_open(known));
	assert_true(talk_ends(known));
	assert_in_range(clock_ms() - begun_ms, IDLE_MS - 200, 3 * IDLE_MS);
}

static void an_address_has_few_connections_of_strangers(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int one = dial(f, 0), other = dial(f, 0);

	await_connections(f, 2);
	check(f, GET("/"), " 429 ");
	close(one); /* the twin: one has gone */
	await_connections(f, 1);
	one = ask(f, GET("/refused"), " 401 ");
	check(f, GET("/"), " 429 ");
}

static void who_is_known_is_none_of_them(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int answered = ask(f, GET("/"), " 200 ");
	CLEANUP(closep) int known = ask(f, GET("/known"), " 401 ");
	CLEANUP(closep) int silent = dial(f, 0);

	await_connections(f, 3);
	check(f, GET("/"), " 200 ");
	await_connections(f, 3);
	close(answered);
	close(known);
	await_connections(f, 1);
	answered = known = -1;
	check(f, GET("/"), " 200 "); /* they are not counted twice */
	assert_true(is_open(silent));
}

static void thousands_of_fields_are_answered_at_once(void **state)
{
	CLEANUP(buf_free) struct buf request = { 0 };
	int64_t begun_ms = clock_ms();

	buf_add_str(&request, "GET /query?");
	for (int i = 0; i < 2000; i++)
		buf_add_str(&request, "a&");
	buf_add_str(&request, "last HTTP/1.1\r\nHost: x\r\n\r\n");
	check(*state, buf_str(&request), "seen");
	buf_clear(&request);
	buf_add_str(&request, "GET /query?");
	for (int i = 0; i < FIELDS; i++)
		buf_add_str(&request, "a=b&");
	buf_add_str(&request, "last HTTP/1.1\r\nHost: x\r\n\r\n");
	check(*state, buf_str(&request), " 414 ");
	assert_true(clock_ms() - begun_ms < IDLE_MS);
}

static void heads_have_a_size(void **state)
{
	CLEANUP(buf_free) struct buf request = { 0 };

	buf_printf(&request, "GET /%010000d HTTP/1.1\r\nHost: x\r\n\r\n", 0);
	check(*state, buf_str(&request), "{\"error\":\"too_long\"");
	buf_clear(&request);
	buf_printf(&request, "GET / HTTP/1.1\r\nHost: x\r\nX-Big: %022000d\r\n\r\n", 0);
	check(*state, buf_str(&request), " 431 ");
	buf_clear(&request);
	buf_printf(&request, "GET / HTTP/1.1\r\nHost: x\r\nX-Big: %08000d\r\n\r\n", 0);
	check(*state, buf_str(&request), " 200 ");
}

/* ---- bodies ---- */

static void a_body_that_nobody_wants_is_not_waited_for(void **state)
{
	check(*state, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", " 413 ");
	check(*state, POST("/", "10001"), " 413 ");
	check(*state, POST("/nowhere", "10001"), " body=0");
	check(*state, POST("/", "3") "abc", " body=3");
	check(*state, POST("/", "0"), " body=0");
}

static void a_body_of_two_lengths_is_none(void **state)
{
	check(*state,
	      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"
	      "\r\n3\r\nabc\r\n0\r\n\r\n",
	      " 400 ");
	check(*state, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", " 501 ");
}

static void all_bodies_share_a_budget(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf request = { 0 }, got = { 0 };
	CLEANUP(closep) int first = dial(f, 0);

	buf_printf(&request,
		   "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
		   "Content-Length: 10000\r\n\r\n%09000d",
		   0);
	say(first, buf_str(&request));
	clock_sleep_ms(50);
	buf_clear(&request);
	buf_printf(&request, POST("/", "10000") "%010000d", 0);
	check(f, buf_str(&request), " 503 ");
	buf_clear(&request);
	buf_printf(&request, "%01000d", 0);
	say(first, buf_str(&request));
	assert_true(talk_hear(first, &got, "body=10000"));
	assert_true(talk_ends(first)); /* the twin: it has gone */
	await_connections(f, 0);
	buf_clear(&request);
	buf_printf(&request, POST("/", "10000") "%010000d", 0);
	check(f, buf_str(&request), "body=10000");
}

/* ---- slow ones ---- */

static void a_body_that_drips_is_cut_off(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int slow = dial(f, 0), brisk = dial(f, 0);
	CLEANUP(buf_free) struct buf piece = { 0 }, got = { 0 };
	int64_t begun_ms = clock_ms();

	buf_printf(&piece, "%0900d", 0);
	say(slow, POST("/", "9000"));
	say(brisk, POST("/", "9000"));
	for (int i = 0; i < 10; i++) {
		say(slow, "x");
		say(brisk, buf_str(&piece));
		clock_sleep_ms(100);
	}
	assert_true(talk_hear(brisk, &got, "body=9000"));
	assert_true(talk_ends(slow));
	assert_true(clock_ms() - begun_ms < 5 * SLOW_MS);
}

static void who_takes_no_answer_is_cut_off(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int fd = dial(f, 0);
	struct httpd_end end;

	say(fd, GET("/long"));
	end = await_ends(f, 1);
	assert_false(end.whole);
	assert_int_equal(end.status, 200);
	assert_in_range(end.bytes, 1, LONG_BYTES - 1);
	assert_in_range(end.all_us, (SLOW_MS - 50) * 1000, 8 * SLOW_MS * 1000);
}

static void who_takes_his_answer_has_it(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int fd = dial(f, 0);
	struct httpd_end end;
	char piece[65536];
	uint64_t left = LONG_BYTES;

	say(fd, GET("/long"));
	while (left > sizeof(piece)) {
		ssize_t n = recv(fd, piece, sizeof(piece), 0);

		assert_true(n > 0);
		left -= (uint64_t)n;
		clock_sleep_ms(1);
	}
	end = await_ends(f, 1);
	assert_true(end.whole);
	assert_int_equal(end.bytes, LONG_BYTES);
}

static void a_head_that_drips_is_cut_off(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int fd = dial(f, 0);
	int64_t begun_ms = clock_ms();
	char byte;

	say(fd, "GET / HTTP/1.1\r\nX-Slow: ");
	while (recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN &&
	       clock_ms() - begun_ms < 4 * IDLE_MS) {
		say(fd, "x");
		clock_sleep_ms(50);
	}
	assert_in_range(clock_ms() - begun_ms, IDLE_MS / 2, 3 * IDLE_MS);
}

/* ---- the end ---- */

static void closed_doors_let_nobody_in_and_what_is_under_way_ends(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int idle = dial(f, 0), waiting = dial(f, 1);
	struct httpd_request *q;

	say(waiting, GET("/hold"));
	await_held(f);
	httpd_close(f->server);
	assert_true(talk_ends(idle));
	for (int i = 0; i < DOORS; i++) {
		int fd = 0;

		for (int tries = 0; tries < 1000 && fd >= 0; tries++) {
			fd = dial(f, i);
			closep(&fd);
			clock_sleep_ms(fd >= 0);
		}
		assert_int_equal(fd, -ECONNREFUSED);
	}
	assert_false(httpd_drain(f->server, clock_ms() + 20));
	q = steal(f->held);
	reply(q, 200, "at last");
	assert_true(httpd_drain(f->server, clock_ms() + 5000));
	assert_true(talk_hear(waiting, &got, "at last"));
	assert_non_null(strstr(buf_str(&got), "Connection: close"));
	assert_true(talk_ends(waiting));
}

static unsigned count_ends(struct fixture *f)
{
	unsigned ends;

	lock_take(&f->lock);
	ends = f->ends;
	lock_drop(&f->lock);
	return ends;
}

static void a_request_is_over_when_its_handler_has_answered_too(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f, 0);

	say(fd, GET("/hold"));
	await_held(f);
	httpd_attach(f->held, f);
	httpd_close(f->server);
	assert_false(httpd_drain(f->server, clock_ms() + 20));
	close(fd);
	clock_sleep_ms(20);
	assert_int_equal(count_ends(f), 0);
	assert_ptr_equal(httpd_attached(f->held), f);
	reply(steal(f->held), 200, "at last");
	assert_true(httpd_stop(steal(f->server), clock_ms() + 1000, 5000));
	assert_int_equal(count_ends(f), 1); /* and not after the stop */
}

static void fields_of_one_name_are_one_list_in_their_order(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = dial(f, 0);

	say(fd, "GET /list HTTP/1.1\r\nHost: h\r\nX-List: a, b\r\nOther: o\r\nx-LIST: c\r\n\r\n");
	assert_true(talk_hear(fd, &got, "a, b, c"));
}

static void a_stop_of_nothing_takes_no_time(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int idle = dial(f, 0);
	int64_t begun_ms = clock_ms();

	assert_true(httpd_stop(steal(f->server), clock_ms() + 20000, 5000));
	assert_true(clock_ms() - begun_ms < 1000);
	assert_true(talk_ends(idle));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_address_has_so_many_connections),
		cmocka_unit_test_setup_teardown(who_was_answered_keeps_his_place_before_strangers,
						set_up_patient, tear_down),
		TEST(a_stranger_may_be_silent_for_less_long),
		cmocka_unit_test_setup_teardown(an_address_has_few_connections_of_strangers,
						set_up_for_few, tear_down),
		cmocka_unit_test_setup_teardown(who_is_known_is_none_of_them, set_up_for_few,
						tear_down),
		TEST(thousands_of_fields_are_answered_at_once),
		TEST(heads_have_a_size),
		TEST(a_body_that_nobody_wants_is_not_waited_for),
		TEST(a_body_of_two_lengths_is_none),
		TEST(all_bodies_share_a_budget),
		TEST(a_body_that_drips_is_cut_off),
		TEST(who_takes_no_answer_is_cut_off),
		TEST(who_takes_his_answer_has_it),
		TEST(a_head_that_drips_is_cut_off),
		TEST(closed_doors_let_nobody_in_and_what_is_under_way_ends),
		TEST(a_request_is_over_when_its_handler_has_answered_too),
		TEST(fields_of_one_name_are_one_list_in_their_order),
		TEST(a_stop_of_nothing_takes_no_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
