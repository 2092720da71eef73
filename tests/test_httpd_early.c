/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/httpd_early.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/httpd_pieces.h"
#include "daemon/base/lock.h"
#include "tests/talk.h"

#define EVERY_MS 300

struct fixture {
	struct httpd *server;
	struct sockaddr_in at;
	struct lock lock;
	struct httpd_request *q; /* guarded by lock: that waits for its answer */
	sem_t came;
};

static int say_last(int status, const struct buf *body, struct buf *ret)
{
	return buf_printf(ret, "last %d %.*s\n", status, (int)body->len, body->data);
}

static const struct httpd_early early = { "text/x-lines", "wait\n", EVERY_MS, say_last };

static void on_request(void *arg, struct httpd_request *q)
{
	struct fixture *f = arg;

	lock_take(&f->lock);
	f->q = q;
	lock_drop(&f->lock);
	if (strcmp(httpd_path(q), "/early") == 0)
		httpd_begin_early(q, &early);
	sem_post(&f->came);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct httpd_conf conf = {
		.door_count = 1,
		.threads = 2,
		.connections_max = 8,
		.idle_ms = 2000,
		.slow_ms = 2000,
		.slow_bytes = 1000,
		.handle = on_request,
		.arg = f,
	};

	assert_non_null(f);
	lock_init(&f->lock, LOCK_TEST);
	sem_init(&f->came, 0, 0);
	conf.doors[0].fd = talk_listen(&f->at);
	assert_int_equal(httpd_start(&conf, &f->server), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->server)
		assert_true(httpd_stop(f->server, clock_ms() + 100, 5000));
	lock_fini(&f->lock);
	free(f);
	return 0;
}

static struct httpd_request *await(struct fixture *f)
{
	struct httpd_request *q;

	for (int i = 0; i < 1000 && sem_trywait(&f->came) != 0; i++)
		clock_sleep_ms(10);
	lock_take(&f->lock);
	q = f->q;
	lock_drop(&f->lock);
	assert_non_null(q);
	return q;
}

static void reply(struct httpd_request *q, int status, const char *text)
{
	struct buf b = { 0 };

	buf_add_str(&b, text);
	httpd_reply(q, status, "text/plain", &b, NULL);
}

static unsigned waits_in(const struct buf *got)
{
	unsigned n = 0;

	for (const char *at = buf_str((struct buf *)(uintptr_t)got); (at = strstr(at, "wait\n"));
	     at++)
		n++;
	return n;
}

static void who_waits_is_told_so_until_the_answer_comes(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = talk_dial(&f->at);
	struct httpd_request *q;
	int64_t began_ms;

	for (int status = 200; status <= 400; status += 200) {
		buf_clear(&got);
		began_ms = clock_ms();
		talk_say(fd, "GET /early HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_true(talk_hear(fd, &got, "wait\n")); /* at once */
		q = await(f);
		clock_sleep_ms(3 * EVERY_MS);
		assert_false(httpd_left(q));
		reply(q, status, "said");
		assert_true(talk_hear(fd, &got, "\r\n0\r\n\r\n"));
		assert_non_null(strstr(buf_str(&got), "200 OK"));
		assert_non_null(strstr(buf_str(&got), "text/x-lines"));
		assert_non_null(strstr(buf_str(&got),
				       status == 200 ? "last 200 said\n" : "last 400 said\n"));
		assert_in_range(waits_in(&got), 2,
				2 + (uint64_t)(clock_ms() - began_ms) / EVERY_MS);
	}
	/* Twin: one that does not begin early has its own status, and nothing comes before. */
	buf_clear(&got);
	talk_say(fd, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
	q = await(f);
	reply(q, 400, "said");
	assert_true(talk_hear(fd, &got, "\r\n\r\nsaid"));
	assert_int_equal(strncmp(buf_str(&got), "HTTP/1.1 400", 12), 0);
}

static void the_answer_is_not_late_because_of_the_waiting(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = talk_dial(&f->at);
	unsigned quick = 0;

	for (int i = 0; i < 20; i++) {
		int64_t began_ms = clock_ms();

		buf_clear(&got);
		talk_say(fd, "GET /early HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_true(talk_hear(fd, &got, "wait\n"));
		reply(await(f), 200, "said");
		assert_true(talk_hear(fd, &got, "\r\n0\r\n\r\n"));
		quick += clock_ms() - began_ms < HTTPD_POLL_MS / 2;
	}
	/* With ticks none would be, nearly; who else is at work here makes some of them slow. */
	assert_in_range(quick, 10, 20);
}

static void who_leaves_is_seen_to_have_left(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	int fd = talk_dial(&f->at);
	struct httpd_request *q;

	talk_say(fd, "GET /early HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(talk_hear(fd, &got, "wait\n"));
	q = await(f);
	assert_false(httpd_left(q));
	close(fd);
	for (int i = 0; i < 500 && !httpd_left(q); i++)
		clock_sleep_ms(10);
	assert_true(httpd_left(q));
	clock_sleep_ms(2 * EVERY_MS); /* and the library has seen it as well */
	reply(q, 200, "for nobody");
}

static void *reply_late(void *q)
{
	clock_sleep_ms(3 * EVERY_MS);
	reply(q, 200, "too late");
	return NULL;
}

static void a_stop_breaks_off_what_nobody_answers(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = talk_dial(&f->at);
	pthread_t late;

	talk_say(fd, "GET /early HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(talk_hear(fd, &got, "wait\n"));
	assert_int_equal(pthread_create(&late, NULL, reply_late, await(f)), 0);
	assert_true(httpd_stop(steal(f->server), clock_ms() + 50, 5000));
	pthread_join(late, NULL);
	assert_false(talk_hear(fd, &got, "\r\n0\r\n\r\n"));
}

int main(void)
{
#define TEST(story) cmocka_unit_test_setup_teardown(story, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(who_waits_is_told_so_until_the_answer_comes),
		TEST(the_answer_is_not_late_because_of_the_waiting),
		TEST(who_leaves_is_seen_to_have_left),
		TEST(a_stop_breaks_off_what_nobody_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
