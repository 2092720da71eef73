/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/receive.h"

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
#include "tests/talk.h"

#define LARGE (9 << 20)
#define AWAIT_MS 10000

struct fixture {
	struct httpd *server;
	struct workers *workers;
	struct sockaddr_in at;
	struct httpd_request *q; /* the handler's, then the worker's */
	int64_t length;          /* that is told of */
	struct xxh3 *sum;
	uint64_t taken;
	atomic_ullong seen; /* of it, for the test */
	size_t largest;
	uint64_t fails_at; /* take() fails there; 0: it does not */
	bool gated;        /* take() waits for the gate */
	sem_t gate, ended;
	unsigned ends;
	int result;
};

/* ---- what the worker does ---- */

static int take(void *arg, const void *data, size_t len)
{
	struct fixture *f = arg;

	if (f->gated)
		sem_wait(&f->gate);
	if (f->fails_at && f->taken + len >= f->fails_at)
		return -ENOSPC;
	f->taken += len;
	f->largest = len > f->largest ? len : f->largest;
	xxh3_update(f->sum, data, len);
	atomic_store(&f->seen, f->taken);
	return 0;
}

static void end(void *arg, int r)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct fixture *f = arg;

	f->ends++;
	f->result = r;
	buf_printf(&b, "result=%d taken=%llu", r, (unsigned long long)f->taken);
	httpd_reply(f->q, 200, "text/plain", &b, NULL);
	sem_post(&f->ended);
}

static void on_request(void *arg, struct httpd_request *q)
{
	struct fixture *f = arg;
	const struct receive_conf conf = { f->workers, take, end, f, f };

	f->q = q;
	f->taken = 0;
	assert_int_equal(receive_start(q, httpd_body_length(q), &conf), 0);
}

static ssize_t body_max(void *arg UNUSED, const struct httpd_request *q UNUSED)
{
	return HTTPD_PIECES;
}

/* ---- the house ---- */

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct workers_conf workers = { "test", 2, 8, false };
	struct httpd_conf conf = {
		.door_count = 1,
		.threads = 2,
		.connections_max = 8,
		.idle_ms = 5000,
		.slow_ms = 5000,
		.slow_bytes = 1,
		.body_max = body_max,
		.handle = on_request,
		.arg = f,
	};

	assert_non_null(f);
	sem_init(&f->gate, 0, 0);
	sem_init(&f->ended, 0, 0);
	assert_int_equal(xxh3_new(&f->sum), 0);
	assert_int_equal(workers_start(&workers, &f->workers), 0);
	conf.doors[0].fd = talk_listen(&f->at);
	assert_int_equal(httpd_start(&conf, &f->server), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	assert_true(httpd_stop(f->server, clock_ms() + 100, 5000));
	assert_true(workers_stop(f->workers, clock_ms() + 5000));
	xxh3_free(f->sum);
	free(f);
	return 0;
}

static void begin_put(int fd, size_t len)
{
	char head[128];

	snprintf(head, sizeof(head), "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
		 len);
	talk_say(fd, head);
}

static char *large(void)
{
	char *bytes = malloc(LARGE);

	assert_non_null(bytes);
	for (size_t i = 0; i < LARGE; i++)
		bytes[i] = (char)(i * 31 + i / 251);
	return bytes;
}

static void await(sem_t *s)
{
	int64_t until_ms = clock_ms() + AWAIT_MS;

	while (sem_trywait(s) < 0) {
		assert_true(clock_ms() < until_ms);
		clock_sleep_ms(1);
	}
}

/* ---- stories ---- */

static void a_body_reaches_the_worker_in_order(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(freep) char *bytes = large();
	CLEANUP(closep) int fd = talk_dial(&f->at);

	begin_put(fd, LARGE);
	assert_int_equal(send(fd, bytes, LARGE, MSG_NOSIGNAL), LARGE);
	assert_true(talk_hear(fd, &got, "result=0 taken=9437184"));
	assert_true(xxh3_value(f->sum) == xxh3_of(bytes, LARGE));
	assert_true(f->largest >= 64 * 1024); /* not in crumbs */
	assert_int_equal(f->ends, 1);
	buf_clear(&got);
	begin_put(fd, 3);
	assert_int_equal(send(fd, "abc", 3, MSG_NOSIGNAL), 3);
	assert_true(talk_hear(fd, &got, "result=0 taken=3"));
	buf_clear(&got);
	begin_put(fd, 0);
	assert_true(talk_hear(fd, &got, "result=0 taken=0"));
	assert_int_equal(f->ends, 3);
}

/* All that is held is two buffers, and what the kernel has. */
static void a_slow_worker_makes_the_client_wait(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(freep) char *bytes = large();
	CLEANUP(closep) int fd = talk_dial(&f->at);
	size_t sent = 0;
	ssize_t n;

	f->gated = true;
	begin_put(fd, 64 << 20);
	for (int idle = 0; idle < 30;) {
		n = send(fd, bytes, LARGE, MSG_NOSIGNAL | MSG_DONTWAIT);
		sent += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		clock_sleep_ms(n > 0 ? 0 : 5);
	}
	assert_true(sent < 64 << 20);
	assert_int_equal(atomic_load(&f->seen), 0);
	sem_post(&f->gate);
	while (atomic_load(&f->seen) == 0)
		clock_sleep_ms(1);
	assert_true(atomic_load(&f->seen) <= 512 * 1024);
	shutdown(fd, SHUT_RDWR);
	for (int i = 0; i < 64; i++)
		sem_post(&f->gate);
	await(&f->ended);
	assert_int_equal(f->result, ERR_CUT);
}

static void a_worker_that_fails_ends_it_at_once(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(freep) char *bytes = large();
	CLEANUP(closep) int fd = talk_dial(&f->at);

	f->fails_at = 1 << 20;
	begin_put(fd, LARGE);
	assert_int_equal(send(fd, bytes, 2 << 20, MSG_NOSIGNAL), 2 << 20);
	await(&f->ended);
	assert_int_equal(f->result, -ENOSPC);
	assert_int_equal(send(fd, bytes, LARGE - (2 << 20), MSG_NOSIGNAL), LARGE - (2 << 20));
	assert_true(talk_hear(fd, &got, "result=-28"));
	assert_int_equal(f->ends, 1);
}

static void a_body_that_breaks_off_is_told_of(void **state)
{
	struct fixture *f = *state;
	int fd = talk_dial(&f->at);

	begin_put(fd, 10);
	assert_int_equal(send(fd, "abc", 3, MSG_NOSIGNAL), 3);
	close(fd);
	await(&f->ended);
	assert_int_equal(f->result, ERR_CUT);
	assert_int_equal(f->ends, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_body_reaches_the_worker_in_order),
		TEST(a_slow_worker_makes_the_client_wait),
		TEST(a_worker_that_fails_ends_it_at_once),
		TEST(a_body_that_breaks_off_is_told_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
