/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/httpd_pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/num.h"
#include "tests/talk.h"

#define SLOW_MS 400
#define LARGE (5 << 20)
#define ANY UINT64_MAX

struct fixture {
	struct httpd *server;
	struct sockaddr_in at;
	struct lock lock;
	/* Guarded by lock. */
	struct httpd_request *q;
	uint64_t room, taken;
	struct xxh3 *sum;
	unsigned ends;
	int ended;    /* with that */
	bool answers; /* at its end */
	sem_t came, ended_sem;
};

static void reply(struct httpd_request *q, int status, const char *text)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	buf_add_str(&b, text);
	httpd_reply(q, status, "text/plain", &b, NULL);
}

static size_t take(void *arg, const void *data, size_t len)
{
	struct fixture *f = arg;
	size_t n;

	lock_take(&f->lock);
	n = (size_t)min_u64(len, f->room);
	if (f->room != ANY)
		f->room -= n;
	f->taken += n;
	xxh3_update(f->sum, data, n);
	lock_drop(&f->lock);
	return n;
}

static void end(void *arg, int r)
{
	struct fixture *f = arg;
	struct httpd_request *q = NULL;
	char text[64];

	lock_take(&f->lock);
	f->ends++;
	f->ended = r;
	if (f->answers)
		q = steal(f->q);
	snprintf(text, sizeof(text), "taken=%llu", (unsigned long long)f->taken);
	lock_drop(&f->lock);
	if (q)
		reply(q, 200, text);
	sem_post(&f->ended_sem);
}

static void receive(struct fixture *f, struct httpd_request *q)
{
	const struct httpd_pieces pieces = { take, end, f };

	httpd_receive(q, &pieces);
}

static void on_request(void *arg, struct httpd_request *q)
{
	struct fixture *f = arg;

	lock_take(&f->lock);
	f->q = q;
	lock_drop(&f->lock);
	sem_post(&f->came);
	if (strcmp(httpd_path(q), "/refuse") == 0)
		reply(q, 403, "no");
	else if (strcmp(httpd_path(q), "/later") != 0)
		receive(f, q);
}

static ssize_t body_max(void *arg UNUSED, const struct httpd_request *q UNUSED)
{
	return HTTPD_PIECES;
}

static int set_up_with(void **state, int64_t slow_ms)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct httpd_conf conf = {
		.door_count = 1,
		.threads = 2,
		.connections_max = 8,
		.idle_ms = 2000,
		.slow_ms = slow_ms,
		.slow_bytes = 1000,
		.body_max = body_max,
		.handle = on_request,
		.arg = f,
	};

	assert_non_null(f);
	lock_init(&f->lock, LOCK_TEST);
	sem_init(&f->came, 0, 0);
	sem_init(&f->ended_sem, 0, 0);
	f->room = ANY;
	f->answers = true;
	assert_int_equal(xxh3_new(&f->sum), 0);
	conf.doors[0].fd = talk_listen(&f->at);
	assert_int_equal(httpd_start(&conf, &f->server), 0);
	*state = f;
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(state, SLOW_MS);
}

static int set_up_patient(void **state)
{
	return set_up_with(state, 60000);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->server)
		assert_true(httpd_stop(f->server, clock_ms() + 100, 5000));
	xxh3_free(f->sum);
	lock_fini(&f->lock);
	free(f);
	return 0;
}

static void begin_put(int fd, const char *path, size_t len)
{
	char head[256];

	snprintf(head, sizeof(head), "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
		 path, len);
	talk_say(fd, head);
}

static void await(sem_t *s)
{
	for (int i = 0; i < 1000; i++) {
		if (sem_trywait(s) == 0)
			return;
		clock_sleep_ms(10);
	}
	fail_msg("it did not come");
}

static char *large(void)
{
	char *bytes = malloc(LARGE);

	assert_non_null(bytes);
	for (size_t i = 0; i < LARGE; i++)
		bytes[i] = (char)(i * 31 + i / 251);
	return bytes;
}

static uint64_t taken(struct fixture *f)
{
	uint64_t n;

	lock_take(&f->lock);
	n = f->taken;
	lock_drop(&f->lock);
	return n;
}

/* The answer is given by who is neither the handler nor the taker. */
static void answer(struct fixture *f, int status, const char *text)
{
	struct httpd_request *q;

	lock_take(&f->lock);
	q = steal(f->q);
	lock_drop(&f->lock);
	reply(q, status, text);
}

static void make_room(struct fixture *f, uint64_t room)
{
	lock_take(&f->lock);
	f->room = room;
	lock_drop(&f->lock);
	httpd_wake(f->q);
}

/* ---- stories ---- */

static void a_body_is_taken_as_it_comes(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(freep) char *bytes = large();
	CLEANUP(closep) int fd = talk_dial(&f->at);

	begin_put(fd, "/x", LARGE);
	assert_int_equal(send(fd, bytes, LARGE, MSG_NOSIGNAL), LARGE);
	assert_true(talk_hear(fd, &got, "taken=5242880"));
	assert_null(strstr(buf_str(&got), "Connection: close"));
	assert_true(xxh3_value(f->sum) == xxh3_of(bytes, LARGE));
	/* The connection is kept. */
	buf_clear(&got);
	talk_say(fd, "POST /y HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		     "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n");
	assert_true(talk_hear(fd, &got, "taken=5242885"));
	assert_int_equal(f->ends, 2);
	assert_int_equal(f->ended, 0);
}

static void a_body_may_be_empty(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = talk_dial(&f->at);

	begin_put(fd, "/x", 0);
	assert_true(talk_hear(fd, &got, "taken=0"));
	buf_clear(&got);
	begin_put(fd, "/later", 0);
	await(&f->came);
	await(&f->came);
	receive(f, f->q);
	assert_true(talk_hear(fd, &got, "taken=0"));
	assert_int_equal(f->ends, 2);
}

static void who_has_no_room_makes_the_client_wait(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = talk_dial(&f->at);

	f->room = 3;
	begin_put(fd, "/x", 10);
	talk_say(fd, "0123456789");
	while (taken(f) < 3)
		clock_sleep_ms(1);
	clock_sleep_ms(SLOW_MS * 5 / 2); /* that is not the client's fault */
	assert_int_equal(taken(f), 3);
	make_room(f, 2);
	while (taken(f) < 5)
		clock_sleep_ms(1);
	make_room(f, ANY);
	assert_true(talk_hear(fd, &got, "taken=10"));
	assert_true(xxh3_value(f->sum) == xxh3_of("0123456789", 10));
}

static void a_handler_may_decide_later_whether_it_wants_it(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = talk_dial(&f->at), refused = talk_dial(&f->at);

	begin_put(fd, "/later", 4);
	talk_say(fd, "abcd");
	await(&f->came);
	assert_int_equal(taken(f), 0);
	receive(f, f->q);
	assert_true(talk_hear(fd, &got, "taken=4"));
	buf_clear(&got);
	begin_put(refused, "/later", 4);
	await(&f->came);
	answer(f, 404, "nowhere");
	talk_say(refused, "abcd");
	assert_true(talk_hear(refused, &got, "nowhere"));
	assert_int_equal(f->ends, 1);
	assert_int_equal(taken(f), 4);
}

static void who_is_refused_need_not_send_it(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = talk_dial(&f->at), wanted = talk_dial(&f->at);

	talk_say(fd, "PUT /refuse HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
		     "Content-Length: 100000\r\n\r\n");
	assert_true(talk_hear(fd, &got, "no"));
	assert_null(strstr(buf_str(&got), "100 Continue"));
	assert_true(talk_ends(fd));
	buf_clear(&got);
	talk_say(wanted, "PUT /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
			 "Content-Length: 4\r\n\r\n");
	assert_true(talk_hear(wanted, &got, "100 Continue"));
	talk_say(wanted, "abcd");
	assert_true(talk_hear(wanted, &got, "taken=4"));
}

static void who_sends_it_all_the_same_hears_why_it_was_refused(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(freep) char *bytes = large();
	CLEANUP(closep) int fd = talk_dial(&f->at), huge = talk_dial(&f->at);

	begin_put(fd, "/refuse", LARGE);
	assert_int_equal(send(fd, bytes, LARGE, MSG_NOSIGNAL), LARGE);
	assert_true(talk_hear(fd, &got, "no"));
	buf_clear(&got);
	begin_put(fd, "/x", 1); /* the connection is kept */
	talk_say(fd, "a");
	assert_true(talk_hear(fd, &got, "taken=1"));
	/* But not if that would take all day. */
	buf_clear(&got);
	begin_put(huge, "/refuse", (size_t)1 << 40);
	assert_true(talk_hear(huge, &got, "no"));
	assert_true(talk_ends(huge));
}

static void an_answer_in_the_middle_comes_when_all_was_sent(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(freep) char *bytes = large();
	CLEANUP(closep) int fd = talk_dial(&f->at);

	f->room = 1000; /* then it waits */
	begin_put(fd, "/x", LARGE);
	assert_int_equal(send(fd, bytes, 5000, MSG_NOSIGNAL), 5000);
	while (taken(f) < 1000)
		clock_sleep_ms(1);
	answer(f, 507, "the disk is full");
	assert_int_equal(send(fd, bytes + 5000, LARGE - 5000, MSG_NOSIGNAL), LARGE - 5000);
	assert_true(talk_hear(fd, &got, "the disk is full"));
	assert_int_equal(taken(f), 1000);
	await(&f->ended_sem);
	assert_int_equal(f->ends, 1);
}

static void a_body_that_breaks_off_is_told_of(void **state)
{
	struct fixture *f = *state;
	int fd = talk_dial(&f->at);

	begin_put(fd, "/x", 10);
	talk_say(fd, "012");
	while (taken(f) < 3)
		clock_sleep_ms(1);
	close(fd);
	await(&f->ended_sem);
	assert_int_equal(f->ended, ERR_CUT);
	assert_int_equal(f->ends, 1);
}

/* What the client sent, and that it has gone, come as one; the body waits meanwhile. */
static void a_client_that_hangs_up_behind_its_bytes_is_noticed(void **state)
{
	struct fixture *f = *state;
	int64_t since_ms = clock_ms();
	int fd = talk_dial(&f->at);

	f->room = 100;
	begin_put(fd, "/x", 100000);
	talk_say(fd, "0123456789");
	while (taken(f) < 10)
		clock_sleep_ms(1);
	for (int i = 0; i < 100; i++)
		talk_say(fd, "0123456789");
	close(fd);
	while (taken(f) < 100)
		clock_sleep_ms(1);
	make_room(f, ANY);
	await(&f->ended_sem);
	assert_int_equal(f->ended, ERR_CUT);
	assert_int_equal(taken(f), 1010);
	assert_true(clock_ms() - since_ms < 10000);
}

static void *stop(void *server)
{
	assert_true(httpd_stop(server, clock_ms(), 5000));
	return NULL;
}

static void a_body_that_is_wanted_too_late_has_broken_off(void **state)
{
	struct fixture *f = *state;
	pthread_t stopper;
	CLEANUP(closep) int fd = talk_dial(&f->at);

	f->answers = false;
	begin_put(fd, "/later", 10);
	await(&f->came);
	assert_int_equal(thread_start(&stopper, "stop", stop, steal(f->server)), 0);
	assert_true(talk_ends(fd)); /* the handler has it still */
	receive(f, f->q);
	assert_int_equal(f->ended, ERR_CUT);
	assert_int_equal(f->ends, 1);
	answer(f, 200, "for nobody");
	pthread_join(stopper, NULL);
}

static void a_client_that_is_too_slow_is_cut_off(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int fd = talk_dial(&f->at);
	int64_t since_ms = clock_ms();

	begin_put(fd, "/x", 10000);
	talk_say(fd, "0");
	assert_true(talk_ends(fd));
	assert_true(clock_ms() - since_ms >= SLOW_MS / 2);
	await(&f->ended_sem);
	assert_int_equal(f->ended, ERR_CUT);
}

static void a_stop_ends_it(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int fd = talk_dial(&f->at);

	begin_put(fd, "/x", 10000);
	talk_say(fd, "0");
	while (taken(f) < 1)
		clock_sleep_ms(1);
	assert_true(httpd_stop(steal(f->server), clock_ms() + 10, 5000));
	assert_int_equal(f->ended, ERR_CUT);
	assert_true(talk_ends(fd));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_body_is_taken_as_it_comes),
		TEST(a_body_may_be_empty),
		TEST(who_has_no_room_makes_the_client_wait),
		TEST(a_handler_may_decide_later_whether_it_wants_it),
		TEST(who_is_refused_need_not_send_it),
		TEST(who_sends_it_all_the_same_hears_why_it_was_refused),
		TEST(an_answer_in_the_middle_comes_when_all_was_sent),
		TEST(a_body_that_breaks_off_is_told_of),
		cmocka_unit_test_setup_teardown(a_client_that_hangs_up_behind_its_bytes_is_noticed,
						set_up_patient, tear_down),
		TEST(a_body_that_is_wanted_too_late_has_broken_off),
		TEST(a_client_that_is_too_slow_is_cut_off),
		TEST(a_stop_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
