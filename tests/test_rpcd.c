/* SPDX-License-Identifier: Apache-2.0 */
/* A server whose calls are answered with their own arguments, at once or when the test says so. */
#include "fs/rpcd.h"

#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/base/clock.h"
#include "daemon/base/lock.h"
#include "daemon/base/wait.h"
#include "fs/rpc.h"

#define BIG (1 << 20)
#define HELD_MAX 256
#define SOON_MS 200
#define NEVER_MS 100000
#define MUCH (8 << 20)    /* bytes: as many as a connection may hold */
#define BUDGET (64 << 20) /* ... and all of them together */
#define SLOW 40           /* connections: more than there is room for */
#define CALL_BYTES 40     /* its head, without credentials */

struct answer {
	struct rpcd_reply reply;
	struct rpcd_conn *conn;
	size_t kept;
	bool waited;
};

/* What becomes of data that was let go, when it is wanted again. */
enum again {
	AGAIN_AT_ONCE,
	AGAIN_LATER, /* once, after a wait */
	AGAIN_ERROR, /* another answer, as long as none was begun */
	AGAIN_NEVER,
};

struct server {
	struct rpcd *rpcd;
	struct metrics metrics;
	char address[32];
	uint16_t port;
	uint8_t *big;
	atomic_int there; /* connections */
	void *rotten;     /* the same, but it cannot be read; or NULL */
	struct lock lock;
	/* Guarded by lock. */
	bool holds; /* answers are kept back */
	bool sends_big;
	bool keeps; /* each call keeps MUCH */
	bool rests; /* what is big can be let go */
	enum again again;
	unsigned gone;
	unsigned awake, broken, later; /* answers with data, with data that could not be read ... */
	struct rpcd_conn *waiting;     /* ... and those that were had after a wait */
	struct answer *held[HELD_MAX];
	unsigned held_count, calls, done;
	unsigned shorter; /* answers that should have been */
};

static char *loopback[] = { (char[]){ "127.0.0.0/8" } };
static struct server server;
static int soon, later; /* states: who is late has to go soon, only who is idle */

static void on_done(struct rpcd_reply *r)
{
	struct answer *a = container_of(r, struct answer, reply);

	lock_take(&server.lock);
	server.done++;
	server.awake -= r->rest && r->data;
	lock_drop(&server.lock);
	buf_free(&r->head);
	free(a);
}

static void on_rest(struct rpcd_reply *r, bool broken)
{
	lock_take(&server.lock);
	server.awake--;
	server.broken += broken;
	r->data = NULL;
	lock_drop(&server.lock);
}

static int again_locked(struct rpcd_reply *r, bool may_park)
{
	struct answer *a = container_of(r, struct answer, reply);

	switch (server.again) {
	case AGAIN_LATER:
		if (!may_park)
			return -EAGAIN;
		if (!a->waited) {
			a->waited = true;
			server.later++;
			server.waiting = a->conn;
			return PARKED;
		}
		return 0;
	case AGAIN_ERROR:
		if (r->sent == 0)
			r->data_len = 0;
		return 0;
	case AGAIN_NEVER:
		return -EIO;
	default:
		return 0;
	}
}

static int on_resume(struct rpcd_reply *r, bool may_park)
{
	int rc;

	lock_take(&server.lock);
	rc = again_locked(r, may_park);
	if (rc == 0 && r->data_len) {
		r->data = server.big;
		server.awake++;
	}
	lock_drop(&server.lock);
	return rc;
}

static void answer(struct answer *a)
{
	rpcd_unkeep(a->conn, a->kept);
	rpcd_send(a->conn, &a->reply);
}

static bool keeps(struct server *s)
{
	bool ret;

	lock_take(&s->lock);
	ret = s->keeps;
	lock_drop(&s->lock);
	return ret;
}

static void on_call(void *arg, struct rpcd_conn *c, const uint8_t *record, size_t len)
{
	CLEANUP(buf_free) struct buf refusal = { 0 };
	struct server *s = arg;
	struct answer *a = calloc(1, sizeof(*a));
	struct rpc_call call;
	bool holds, shorter;

	assert_non_null(a);
	if (rpc_parse(record, len, &call, &refusal) < 0) {
		free(a);
		rpcd_drop(c, true);
		return;
	}
	a->conn = c;
	a->reply.done = on_done;
	rpc_reply(&a->reply.head, call.xid, RPC_SUCCESS);
	xdr_put_fixed(&a->reply.head, call.args.at, call.args.left);
	a->kept = keeps(s) ? MUCH : 0;
	rpcd_keep(c, a->kept);
	shorter = rpcd_room(c) == RPCD_ROOM_LEAST;
	lock_take(&s->lock);
	s->calls++;
	s->shorter += shorter;
	holds = s->holds;
	if (holds) {
		assert_true(s->held_count < HELD_MAX);
		s->held[s->held_count++] = a;
	}
	if (s->sends_big) {
		a->reply.data = s->rotten ? s->rotten : s->big;
		a->reply.data_len = BIG;
	}
	if (s->sends_big && s->rests) {
		a->reply.rest = on_rest;
		a->reply.resume = on_resume;
		s->awake++;
	}
	lock_drop(&s->lock);
	if (!holds)
		answer(a);
}

static void on_gone(void *arg, struct rpcd_conn *c)
{
	struct server *s = arg;

	assert_string_equal(rpcd_address(c), "127.0.0.1");
	lock_take(&s->lock);
	s->gone++;
	lock_drop(&s->lock);
}

static void on_tick(void *arg)
{
	(void)arg;
}

/* A port nobody listens on. */
static uint16_t free_port(void)
{
	CLEANUP(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htobe32(0x7f000001) };
	socklen_t len = sizeof(at);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	return be16toh(at.sin_port);
}

static int on_came(void *arg, const char *address, void **ret)
{
	struct server *s = arg;

	assert_string_equal(address, "127.0.0.1");
	atomic_fetch_add(&s->there, 1);
	*ret = s;
	return 0;
}

static void on_went(void *arg, void *who)
{
	struct server *s = arg;

	assert_ptr_equal(who, s);
	atomic_fetch_sub(&s->there, 1);
}

/* Time-outs are as long as *state says, or never come. */
static int setup(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct rpcd_conf conf = {
		.allow = loopback,
		.allow_count = 1,
		.metrics = &server.metrics,
		.tick_ms = 50,
		.torn_ms = *state == &soon ? SOON_MS : NEVER_MS,
		.stall_ms = *state == &soon ? SOON_MS : NEVER_MS,
		.idle_ms = *state == &later ? SOON_MS : NEVER_MS,
		.came = on_came,
		.went = on_went,
		.ended_ms = *state == &soon ? SOON_MS : NEVER_MS,
		.call = on_call,
		.gone = on_gone,
		.tick = on_tick,
		.arg = &server,
	};

	server = (struct server){ .port = free_port() };
	lock_init(&server.lock, LOCK_TEST);
	server.big = malloc(BIG);
	assert_non_null(server.big);
	for (unsigned i = 0; i < BIG; i++)
		server.big[i] = (uint8_t)(i * 31 >> 3);
	snprintf(server.address, sizeof(server.address), "127.0.0.1:%u", server.port);
	conf.listen = server.address;
	assert_int_equal(rpcd_open(&conf, &server.rpcd, &why), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rpcd_stop(server.rpcd);
	for (unsigned i = 0; i < server.held_count; i++)
		rpcd_send(server.held[i]->conn, &server.held[i]->reply);
	assert_true(rpcd_close(server.rpcd));
	assert_int_equal(server.done, server.calls);
	assert_int_equal(metrics_get(&server.metrics.nfs_clients), 0);
	assert_int_equal(atomic_load(&server.there), 0);
	assert_int_equal(server.awake, 0);
	free(server.big);
	lock_fini(&server.lock);
	return 0;
}

/* ---- a client ---- */

static void connect_to_server(int fd)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htobe32(0x7f000001),
				  .sin_port = htobe16(server.port) };
	struct timeval limit = { .tv_sec = 20 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
}

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	connect_to_server(fd);
	return fd;
}

static void put_call(struct buf *b, uint32_t xid, uint32_t arg)
{
	const uint32_t head[] = { 0x80000000 | (CALL_BYTES + 4), xid, 0, 2, 1, 1, 1, 0, 0, 0, 0 };

	for (size_t i = 0; i < ARRAY_LEN(head); i++)
		xdr_put_u32(b, head[i]);
	xdr_put_u32(b, arg);
}

static void send_all(int fd, const struct buf *b)
{
	assert_int_equal(send(fd, b->data, b->len, MSG_NOSIGNAL), b->len);
}

static void send_call(int fd, uint32_t xid)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	put_call(&b, xid, xid * 3);
	send_all(fd, &b);
}

/* One reply: its xid. What it carries must be right. */
static uint32_t receive(int fd, bool big)
{
	CLEANUP(freep) uint8_t *data = NULL;
	struct xdr_in in = { 0 };
	uint32_t mark, xid;

	if (recv(fd, &mark, sizeof(mark), MSG_WAITALL) != sizeof(mark))
		return 0;
	in.left = be32toh(mark) & 0x7fffffff;
	assert_int_equal(in.left, 28 + (big ? BIG : 0));
	data = malloc(in.left);
	assert_non_null(data);
	in.at = data;
	assert_int_equal(recv(fd, data, in.left, MSG_WAITALL), in.left);
	xid = xdr_u32(&in);
	xdr_fixed(&in, 20);
	assert_int_equal(xdr_u32(&in), xid * 3);
	if (big)
		assert_memory_equal(in.at, server.big, BIG);
	return xid;
}

static unsigned calls(void)
{
	unsigned n;

	lock_take(&server.lock);
	n = server.calls;
	lock_drop(&server.lock);
	return n;
}

static unsigned get(const unsigned *what)
{
	unsigned n;

	lock_take(&server.lock);
	n = *what;
	lock_drop(&server.lock);
	return n;
}

static void wait_calls(unsigned n)
{
	for (unsigned tries = 0; calls() < n && tries < 2000; tries++)
		clock_sleep_ms(5);
	assert_int_equal(calls(), n);
}

static void set(bool *what, bool value)
{
	lock_take(&server.lock);
	*what = value;
	lock_drop(&server.lock);
}

/* Sends the held answers, the last first. */
static void let_go(void)
{
	struct answer *held[HELD_MAX];
	unsigned count;

	lock_take(&server.lock);
	count = server.held_count;
	memcpy(held, server.held, sizeof(held));
	server.held_count = 0;
	lock_drop(&server.lock);
	while (count--)
		answer(held[count]);
}

/* ---- stories ---- */

static void many_calls_at_once_are_all_answered(void **state)
{
	CLEANUP(closep) int fd = dial();
	CLEANUP(buf_free) struct buf b = { 0 };

	(void)state;
	for (uint32_t xid = 1; xid <= 1000; xid++)
		put_call(&b, xid, xid * 3);
	send_all(fd, &b);
	for (uint32_t xid = 1; xid <= 1000; xid++)
		assert_int_equal(receive(fd, false), xid);
}

static void a_call_may_come_byte_by_byte(void **state)
{
	CLEANUP(closep) int fd = dial();
	CLEANUP(buf_free) struct buf b = { 0 };

	(void)state;
	put_call(&b, 1, 3);
	put_call(&b, 2, 6);
	for (size_t i = 0; i < b.len; i++) {
		assert_int_equal(send(fd, b.data + i, 1, MSG_NOSIGNAL), 1);
		if (i % 16 == 0)
			clock_sleep_ms(1);
	}
	assert_int_equal(receive(fd, false), 1);
	assert_int_equal(receive(fd, false), 2);
}

static void answers_may_come_later_and_in_any_order(void **state)
{
	CLEANUP(closep) int fd = dial();

	(void)state;
	set(&server.holds, true);
	for (uint32_t xid = 1; xid <= 3; xid++)
		send_call(fd, xid);
	wait_calls(3);
	set(&server.holds, false);
	send_call(fd, 4);
	assert_int_equal(receive(fd, false), 4);
	let_go();
	for (uint32_t xid = 3; xid >= 1; xid--)
		assert_int_equal(receive(fd, false), xid);
}

static void no_more_than_so_many_calls_are_under_way(void **state)
{
	CLEANUP(closep) int fd = dial();
	CLEANUP(closep) int other = dial();

	(void)state;
	set(&server.holds, true);
	for (uint32_t xid = 1; xid <= 200; xid++)
		send_call(fd, xid);
	wait_calls(128);
	clock_sleep_ms(50);
	assert_int_equal(calls(), 128);
	set(&server.holds, false);
	send_call(other, 1); /* others are not held up */
	assert_int_equal(receive(other, false), 1);
	let_go();
	for (unsigned n = 0; n < 200; n++)
		assert_true(receive(fd, false) > 0);
}

static void calls_that_keep_much_are_few_at_once(void **state)
{
	CLEANUP(closep) int fd = dial();
	CLEANUP(closep) int other = dial();

	(void)state;
	set(&server.holds, true);
	set(&server.keeps, true);
	for (uint32_t xid = 1; xid <= 3; xid++)
		send_call(fd, xid);
	wait_calls(1);
	clock_sleep_ms(50);
	assert_int_equal(calls(), 1);
	set(&server.holds, false);
	send_call(other, 1); /* others are not held up */
	assert_int_equal(receive(other, false), 1);
	let_go();
	for (uint32_t xid = 1; xid <= 3; xid++)
		assert_int_equal(receive(fd, false), xid);
}

/* As long as a client takes nothing, little is kept for it, whatever it asks for. */
static void who_takes_nothing_is_not_listened_to(void **state)
{
	CLEANUP(closep) int fd = dial();
	CLEANUP(closep) int other = dial();
	unsigned taken;

	(void)state;
	set(&server.sends_big, true);
	for (uint32_t xid = 1; xid <= 100; xid++)
		send_call(fd, xid);
	do {
		taken = calls();
		clock_sleep_ms(200);
	} while (calls() != taken);
	assert_true(taken < 64);
	send_call(other, 7);
	assert_int_equal(receive(other, true), 7);
	for (uint32_t xid = 1; xid <= 100; xid++)
		assert_int_equal(receive(fd, true), xid);
}

/* Asks for much on many connections, and takes nothing: how many calls were taken. */
static unsigned ask_on_many(int *fds)
{
	unsigned taken;

	set(&server.sends_big, true);
	for (unsigned i = 0; i < SLOW; i++) {
		fds[i] = dial();
		for (uint32_t xid = 1; xid <= 20; xid++)
			send_call(fds[i], xid);
	}
	do {
		taken = calls();
		clock_sleep_ms(300);
	} while (calls() != taken);
	return taken;
}

static void receive_all(int *fds)
{
	for (unsigned i = 0; i < SLOW; i++) {
		for (uint32_t xid = 1; xid <= 20; xid++)
			assert_int_equal(receive(fds[i], true), xid);
		close(fds[i]);
	}
}

/* What the system has taken for them is beside it. */
static void all_together_have_no_more_memory_than_so_much(void **state)
{
	CLEANUP(closep) int other = dial();
	int fds[SLOW];

	(void)state;
	ask_on_many(fds);
	assert_true(get(&server.shorter) > 0);
	assert_in_range(get(&server.calls) - get(&server.done), 1, BUDGET / BIG + 4 + SLOW);
	send_call(other, 7); /* who holds nothing goes on */
	assert_int_equal(receive(other, true), 7);
	receive_all(fds);
	assert_int_equal(calls(), SLOW * 20 + 1);
}

static void what_can_be_let_go_counts_for_nothing(void **state)
{
	int fds[SLOW];

	(void)state;
	set(&server.rests, true);
	ask_on_many(fds);
	assert_int_equal(get(&server.shorter), 0);
	assert_true(get(&server.calls) - get(&server.done) > BUDGET / BIG + 4 + SLOW);
	receive_all(fds);
}

static void it_is_not_closed_under_the_feet_of_who_uses_it(void **state)
{
	CLEANUP(closep) int fd = dial();

	(void)state;
	set(&server.holds, true);
	send_call(fd, 1);
	wait_calls(1);
	rpcd_stop(server.rpcd);
	assert_false(rpcd_close(server.rpcd));
	let_go(); /* the twin: the tear-down's is true */
}

static void who_is_gone_is_answered_into_nothing(void **state)
{
	int fd = dial();

	(void)state;
	set(&server.holds, true);
	set(&server.sends_big, true);
	for (uint32_t xid = 1; xid <= 20; xid++)
		send_call(fd, xid);
	wait_calls(20);
	close(fd);
	clock_sleep_ms(20);
	let_go();
	for (unsigned tries = 0; metrics_get(&server.metrics.nfs_clients) && tries < 2000; tries++)
		clock_sleep_ms(5);
	assert_int_equal(metrics_get(&server.metrics.nfs_clients), 0);
}

static void who_says_no_more_gets_what_he_asked_for(void **state)
{
	CLEANUP(closep) int fd = dial();

	(void)state;
	set(&server.holds, true);
	set(&server.sends_big, true);
	send_call(fd, 1);
	send_call(fd, 2);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	wait_calls(2);
	let_go();
	assert_int_equal(receive(fd, true) + receive(fd, true), 3);
	assert_int_equal(receive(fd, true), 0);
}

static void what_is_no_call_ends_its_connection_alone(void **state)
{
	static const char *const bad[] = { "GET / HTTP/1.1\r\n\r\n", "\x80\0\0\4abcd",
					   "\xff\xff\xff\xff" };
	CLEANUP(closep) int good = dial();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(closep) int fd = dial();

		assert_true(send(fd, bad[i], i == 1 ? 8 : strlen(bad[i]), MSG_NOSIGNAL) > 0);
		assert_int_equal(receive(fd, false), 0);
		send_call(good, (uint32_t)i + 1);
		assert_int_equal(receive(good, false), i + 1);
	}
}

/* The connection is ended by the server. */
static void expect_end(int fd)
{
	char byte;

	assert_true(recv(fd, &byte, 1, 0) <= 0);
}

static void who_stops_in_the_middle_of_a_call_has_to_go(void **state)
{
	CLEANUP(closep) int fd = dial();
	CLEANUP(closep) int idle = dial();
	CLEANUP(buf_free) struct buf b = { 0 };

	(void)state;
	put_call(&b, 1, 3);
	assert_int_equal(send(fd, b.data, b.len - 1, MSG_NOSIGNAL), b.len - 1);
	expect_end(fd);
	send_call(idle, 7);
	assert_int_equal(receive(idle, false), 7);
}

static void who_takes_nothing_has_to_go(void **state)
{
	CLEANUP(closep) int fd = dial();
	CLEANUP(closep) int waiting = dial();

	(void)state;
	set(&server.holds, true);
	send_call(waiting, 1);
	wait_calls(1);
	set(&server.holds, false);
	set(&server.sends_big, true);
	for (uint32_t xid = 1; xid <= 100; xid++)
		send_call(fd, xid);
	for (unsigned tries = 0; metrics_get(&server.metrics.nfs_clients) > 1 && tries < 2000;
	     tries++)
		clock_sleep_ms(5);
	assert_int_equal(metrics_get(&server.metrics.nfs_clients), 1);
	let_go(); /* who waits for his answer is not idle */
	assert_int_equal(receive(waiting, false), 1);
}

static void who_says_no_more_has_to_go_if_nothing_comes(void **state)
{
	CLEANUP(closep) int fd = dial();

	(void)state;
	set(&server.holds, true);
	send_call(fd, 1);
	wait_calls(1);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	expect_end(fd);
	for (unsigned tries = 0; get(&server.gone) == 0 && tries < 2000; tries++)
		clock_sleep_ms(5);
	assert_int_equal(get(&server.gone), 1);
}

static void who_says_nothing_has_to_go(void **state)
{
	CLEANUP(closep) int fd = dial();
	CLEANUP(closep) int waiting = dial();

	(void)state;
	set(&server.holds, true);
	send_call(waiting, 1);
	wait_calls(1);
	expect_end(fd);
	let_go();
	assert_int_equal(receive(waiting, false), 1);
}

/* ---- data that is let go ---- */

/* Asks for many big answers and takes none. */
static void ask_for_much(int fd, enum again again)
{
	unsigned taken;

	set(&server.sends_big, true);
	set(&server.rests, true);
	server.again = again;
	for (uint32_t xid = 1; xid <= 100; xid++)
		send_call(fd, xid);
	do {
		taken = calls();
		clock_sleep_ms(200);
	} while (calls() != taken || taken < 8 || get(&server.awake));
	assert_true(taken < 64);
}

static void who_takes_nothing_holds_nothing(void **state)
{
	CLEANUP(closep) int fd = dial();

	(void)state;
	ask_for_much(fd, AGAIN_AT_ONCE);
	assert_int_equal(get(&server.awake), 0);
	for (uint32_t xid = 1; xid <= 100; xid++)
		assert_int_equal(receive(fd, true), xid);
	assert_int_equal(get(&server.broken), 0);
}

/* Lets waits end, each after a while, as long as there are any. */
static void *end_waits(void *arg)
{
	for (;;) {
		struct rpcd_conn *c;
		bool over;

		clock_sleep_ms(2);
		lock_take(&server.lock);
		c = server.waiting;
		server.waiting = NULL;
		over = *(bool *)arg;
		lock_drop(&server.lock);
		if (c)
			rpcd_go_on(c);
		else if (over)
			return NULL;
	}
}

static void what_was_let_go_may_be_waited_for(void **state)
{
	CLEANUP(closep) int fd = dial();
	pthread_t thread;
	bool over = false;

	(void)state;
	ask_for_much(fd, AGAIN_LATER);
	assert_int_equal(get(&server.awake), 0);
	assert_int_equal(thread_start(&thread, "waits", end_waits, &over), 0);
	for (uint32_t xid = 1; xid <= 100; xid++)
		assert_int_equal(receive(fd, true), xid);
	set(&over, true);
	pthread_join(thread, NULL);
	assert_true(get(&server.later) > 0);
}

static void who_goes_while_his_data_is_waited_for_leaves_nothing(void **state)
{
	const struct linger at_once = { .l_onoff = 1 };
	struct rpcd_conn *waiting = NULL;
	char room[65536];
	int fd = dial();

	(void)state;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	ask_for_much(fd, AGAIN_LATER);
	while (get(&server.later) == 0)
		if (recv(fd, room, sizeof(room), MSG_DONTWAIT) < 0)
			clock_sleep_ms(1);
	close(fd);
	for (unsigned tries = 0; metrics_get(&server.metrics.nfs_clients) && tries < 2000; tries++)
		clock_sleep_ms(5);
	assert_int_equal(metrics_get(&server.metrics.nfs_clients), 0);
	lock_take(&server.lock);
	waiting = server.waiting;
	lock_drop(&server.lock);
	rpcd_go_on(waiting);
	assert_int_equal(get(&server.done), calls());
}

static void what_cannot_be_had_again_is_said(void **state)
{
	CLEANUP(closep) int fd = dial();
	unsigned big = 0;

	(void)state;
	ask_for_much(fd, AGAIN_ERROR);
	for (uint32_t xid = 1; xid <= 100; xid++) {
		uint32_t mark;
		bool is_big;

		assert_int_equal(recv(fd, &mark, sizeof(mark), MSG_PEEK | MSG_WAITALL), 4);
		is_big = (be32toh(mark) & 0x7fffffff) > BIG;
		assert_int_equal(receive(fd, is_big), xid);
		big += is_big;
	}
	assert_in_range(big, 1, 99); /* what was begun came to its end */
}

static void who_was_promised_what_cannot_be_had_is_sent_away(void **state)
{
	CLEANUP(closep) int fd = dial();
	CLEANUP(closep) int other = dial();
	ssize_t n = 1;

	(void)state;
	ask_for_much(fd, AGAIN_NEVER);
	while (n > 0) {
		char room[65536];

		n = recv(fd, room, sizeof(room), 0);
	}
	set(&server.sends_big, false);
	send_call(other, 1);
	assert_int_equal(receive(other, false), 1);
}

/* The same bytes in a file that ends too early. */
static void *map_rotten(size_t good)
{
	CLEANUP(closep) int fd = memfd_create("rotten", MFD_CLOEXEC);
	void *map = mmap(NULL, BIG, PROT_READ, MAP_SHARED, fd, 0);

	assert_int_equal(pwrite(fd, server.big, good, 0), good);
	assert_ptr_not_equal(map, MAP_FAILED);
	return map;
}

static void data_that_cannot_be_read_is_had_again(void **state)
{
	CLEANUP(closep) int fd = dial();
	void *map = map_rotten(BIG / 2);

	(void)state;
	server.rotten = map;
	server.again = AGAIN_LATER;
	set(&server.rests, true);
	set(&server.sends_big, true);
	send_call(fd, 1);
	while (get(&server.later) == 0)
		clock_sleep_ms(1);
	clock_sleep_ms(20);
	rpcd_go_on(server.waiting);
	assert_int_equal(receive(fd, true), 1);
	assert_int_equal(get(&server.broken), 1);
	munmap(map, BIG);
}

static void data_that_can_never_be_read_ends_its_connection(void **state)
{
	CLEANUP(closep) int fd = dial();
	CLEANUP(closep) int other = dial();
	void *map = map_rotten(0);
	char room[64];

	(void)state;
	server.rotten = map;
	set(&server.sends_big, true); /* and is nobody's to let go */
	send_call(fd, 1);
	while (recv(fd, room, sizeof(room), 0) > 0)
		;
	set(&server.sends_big, false);
	send_call(other, 2);
	assert_int_equal(receive(other, false), 2);
	munmap(map, BIG);
}

static int64_t used_cpu_ms(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Lets the process open no more than so many descriptors; how many it could before. */
static rlim_t limit_files(rlim_t most)
{
	struct rlimit limit;
	rlim_t before;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = most;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return before;
}

static void without_descriptors_clients_wait_and_the_server_sleeps(void **state)
{
	CLEANUP(closep) int fd = dial();
	int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int64_t began_ms;
	rlim_t before;

	(void)state;
	send_call(fd, 1);
	assert_int_equal(receive(fd, false), 1);
	assert_true(late >= 0);
	before = limit_files(1);
	connect_to_server(late);
	send_call(late, 2);
	began_ms = used_cpu_ms();
	clock_sleep_ms(500);
	assert_true(used_cpu_ms() - began_ms < 250);
	send_call(fd, 3); /* others are served */
	assert_int_equal(receive(fd, false), 3);
	assert_int_equal(calls(), 2);
	limit_files(before);
	assert_int_equal(receive(late, false), 2);
	close(late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(many_calls_at_once_are_all_answered, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_call_may_come_byte_by_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(answers_may_come_later_and_in_any_order, setup,
						teardown),
		cmocka_unit_test_setup_teardown(no_more_than_so_many_calls_are_under_way, setup,
						teardown),
		cmocka_unit_test_setup_teardown(calls_that_keep_much_are_few_at_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(who_takes_nothing_is_not_listened_to, setup,
						teardown),
		cmocka_unit_test_setup_teardown(all_together_have_no_more_memory_than_so_much,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_can_be_let_go_counts_for_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(it_is_not_closed_under_the_feet_of_who_uses_it,
						setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_gone_is_answered_into_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(who_says_no_more_gets_what_he_asked_for, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_no_call_ends_its_connection_alone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(who_takes_nothing_holds_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_let_go_may_be_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(
			who_goes_while_his_data_is_waited_for_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_had_again_is_said, setup, teardown),
		cmocka_unit_test_setup_teardown(who_was_promised_what_cannot_be_had_is_sent_away,
						setup, teardown),
		cmocka_unit_test_setup_teardown(data_that_cannot_be_read_is_had_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(data_that_can_never_be_read_ends_its_connection,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			without_descriptors_clients_wait_and_the_server_sleeps, setup, teardown),
		cmocka_unit_test_prestate_setup_teardown(
			who_stops_in_the_middle_of_a_call_has_to_go, setup, teardown, &soon),
		cmocka_unit_test_prestate_setup_teardown(who_takes_nothing_has_to_go, setup,
							 teardown, &soon),
		cmocka_unit_test_prestate_setup_teardown(
			who_says_no_more_has_to_go_if_nothing_comes, setup, teardown, &soon),
		cmocka_unit_test_prestate_setup_teardown(who_says_nothing_has_to_go, setup,
							 teardown, &later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
