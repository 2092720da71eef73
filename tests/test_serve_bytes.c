/* SPDX-License-Identifier: Apache-2.0 */
/* What members get of what is here, by requests that serve.c let in, and what is noted of it. */
#include "daemon/peer/serve_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/base/clock.h"
#include "daemon/base/num.h"
#include "daemon/fetch/pull.h"
#include "tests/served.h"
#include "tests/verifying.h"

#define CHUNKS 12 /* more than the kernel buffers for who does not read */
#define SIZE (CHUNKS * CHUNK_BYTES)
#define SEED 7
#define READ 65536 /* what a guest takes of it that leaves */

struct fixture {
	struct verifying *v;
	struct served served;
	struct serve serve;
	struct peer_settings settings;
	struct peer_host host;
	struct source_blob what;
	int may;             /* what the program says of who may have it */
	atomic_ullong gift;  /* how much of it the program was told of, */
	atomic_uint cut;     /* how many gifts that broke off, */
	atomic_uint gifts;   /* and how many in all; the last that changes */
	atomic_bool holds;   /* who asks is not answered yet, */
	atomic_bool waiting; /* and waits for that */
};

static int may(void *arg, const struct peer_gift *gift UNUSED)
{
	struct fixture *f = arg;

	return f->may;
}

static void gave(void *arg, const struct peer_gift *gift)
{
	struct fixture *f = arg;

	assert_string_equal(gift->member, f->v->giver->address);
	assert_in_range(gift->since_ms, 1, clock_wall_ms());
	f->gift += gift->len;
	f->cut += gift->cut;
	f->gifts++;
}

static void handle(void *arg, struct httpd_request *q)
{
	CLEANUP(buf_free) struct buf path = { 0 }, why = { 0 };
	struct fixture *f = arg;
	struct guest g = { .serve = &f->serve, .http = q, .nonce = "1" };
	struct wire_ask ask;

	snprintf(g.address, sizeof(g.address), "%s", f->v->giver->address);
	assert_int_equal(wire_read_ask(httpd_target(q), httpd_field(q, "Range"), &ask, &path, &why),
			 0);
	while (f->holds) {
		f->waiting = true;
		clock_sleep_ms(5);
	}
	serve_bytes(&g, &ask);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *v;

	assert_non_null(f);
	assert_int_equal(verifying_set_up(&v), 0);
	f->v = v;
	f->host = (struct peer_host){ may, gave, f };
	f->serve.conf = (struct serve_conf){
		.settings = &f->settings,
		.fetch = f->v->cell.node.fetch,
		.store = f->v->cell.node.store,
		.key = f->v->key,
		.members = f->v->members,
		.placement = &f->v->placement,
		.notes = &f->v->notes,
		.counts = &f->v->counts,
		.host = &f->host,
		.zone = "",
		.process = "77",
		.timeout_ms = 2000,
	};
	f->serve.opened = f->v->cell.opened;
	assert_int_equal(fanout_new(&f->serve.fanout), 0);
	served_start(&f->served, handle, f);
	fake_blob(SEED, SIZE, DIGEST_SHA256, &f->what);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	void *v = f->v;

	served_stop(&f->served);
	fanout_free(f->serve.fanout);
	assert_int_equal(verifying_tear_down(&v), 0);
	free(f);
	return 0;
}

/* So many chunks of it are here, from the first on. */
static void have(struct fixture *f, uint32_t chunks)
{
	for (uint32_t i = 0; i < chunks; i++)
		cell_put(&f->v->cell, &f->what, i, SEED, NULL);
}

static int connect_slowly(const struct fixture *f)
{
	const int bytes = READ;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)), 0);
	assert_int_equal(connect(fd, (const void *)&f->served.at, sizeof(f->served.at)), 0);
	return fd;
}

/* Asks for the first bytes. */
static int begin(const struct fixture *f, uint64_t len)
{
	CLEANUP(buf_free) struct buf target = { 0 }, range = { 0 }, request = { 0 };
	const struct wire_ask ask = wire_ask_of(&f->what, 0, len);
	int fd = connect_slowly(f);

	assert_int_equal(wire_write_ask(&ask, &target, &range), 0);
	buf_printf(&request, "GET %s HTTP/1.1\r\nHost: x\r\nRange: %s\r\nConnection: close\r\n\r\n",
		   buf_str(&target), buf_str(&range));
	talk_say(fd, buf_str(&request));
	return fd;
}

/* Asks for all of it, and reads so many bytes at most: how many came, and the answer's head. */
static uint64_t take(struct fixture *f, uint64_t most, struct buf *ret_head)
{
	CLEANUP(closep) int fd = begin(f, SIZE);
	static char bytes[READ];
	uint64_t got = 0;
	ssize_t n = 1;

	assert_true(talk_hear(fd, ret_head, "\r\n\r\n"));
	while (got < most && n > 0) {
		n = recv(fd, bytes, min_u64(sizeof(bytes), most - got), 0);
		got += n > 0 ? (uint64_t)n : 0;
	}
	return got;
}

/* Asks for so many, and is gone before they are sent. */
static void ask_and_leave(struct fixture *f, uint64_t len)
{
	const struct linger at_once = { .l_onoff = 1 };
	int fd;

	f->holds = true;
	fd = begin(f, len);
	while (!f->waiting)
		clock_sleep_ms(5);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	close(fd);
	f->holds = false;
}

static uint64_t noted(const struct fixture *f)
{
	return metrics_get(&f->v->counts.bytes_out);
}

/* One answer is over. What came before it is, too. */
static void await_gift(const struct fixture *f)
{
	int64_t until_ms = clock_ms() + 10000;

	while (!f->gifts && clock_ms() < until_ms)
		clock_sleep_ms(5);
	assert_int_equal(f->gifts, 1);
}

static void find_out(void *arg, const struct member_status *s)
{
	uint64_t *all = arg;

	*all += s->bytes_out;
}

static uint64_t noted_of_members(struct fixture *f)
{
	uint64_t all = 0;

	members_each(f->v->members, clock_ms(), find_out, &all);
	return all;
}

static void what_is_here_is_given_and_noted(void **state)
{
	CLEANUP(buf_free) struct buf head = { 0 };
	struct fixture *f = *state;

	have(f, CHUNKS);
	take(f, SIZE, &head);
	assert_non_null(strstr(buf_str(&head), " 206 "));
	await_gift(f);
	assert_int_equal(noted(f), SIZE);
	assert_int_equal(noted_of_members(f), SIZE);
	assert_int_equal(f->gift, SIZE);
	assert_int_equal(f->cut, 0);
}

static void of_what_breaks_off_that_is_noted_which_went_out(void **state)
{
	CLEANUP(buf_free) struct buf head = { 0 };
	struct fixture *f = *state;

	have(f, CHUNKS);
	assert_int_equal(take(f, READ, &head), READ);
	await_gift(f);
	assert_in_range(noted(f), READ, SIZE / 2);
	assert_int_equal(noted_of_members(f), noted(f));
	assert_int_equal(f->gift, noted(f));
	assert_int_equal(f->cut, 1);
}

/* Else all of it could be had so, a little at a time. */
static void who_asks_for_little_and_breaks_off_at_once_is_on_record(void **state)
{
	struct fixture *f = *state;

	have(f, CHUNKS);
	ask_and_leave(f, 1000);
	await_gift(f);
	assert_int_equal(f->cut, 1);
	assert_int_equal(f->gift, 0);
	assert_int_equal(noted(f), 0);
}

static void of_what_is_here_in_part_the_first_chunks_are_given(void **state)
{
	CLEANUP(buf_free) struct buf head = { 0 };
	struct fixture *f = *state;

	have(f, 2);
	take(f, SIZE, &head);
	assert_non_null(strstr(buf_str(&head), "Content-Range: bytes 0-2097151/12582912\r\n"));
	await_gift(f);
	assert_int_equal(noted(f), 2 * CHUNK_BYTES);
}

/* Nothing was noted before it: what comes next is noted after that. */
static void assert_first_gift_is(struct fixture *f, uint64_t bytes)
{
	CLEANUP(buf_free) struct buf head = { 0 };

	take(f, SIZE, &head);
	await_gift(f);
	assert_int_equal(noted(f), bytes);
	assert_int_equal(f->gift, bytes);
}

static void what_is_not_here_is_not_noted(void **state)
{
	CLEANUP(buf_free) struct buf head = { 0 };
	struct fixture *f = *state;

	assert_int_equal(take(f, SIZE, &head), 0);
	assert_non_null(strstr(buf_str(&head), " 404 "));
	have(f, 1);
	assert_first_gift_is(f, CHUNK_BYTES);
}

static void nor_is_it_given_to_whom_the_program_forbids_it(void **state)
{
	CLEANUP(buf_free) struct buf head = { 0 };
	struct fixture *f = *state;

	have(f, 2);
	f->may = -ENOENT;
	assert_int_equal(take(f, SIZE, &head), 0);
	assert_non_null(strstr(buf_str(&head), " 404 "));
	f->may = 0;
	assert_first_gift_is(f, 2 * CHUNK_BYTES);
}

/* ---- how much may go out ---- */

static uint64_t rate_of(struct fixture *f, uint64_t rate, uint64_t waiting, bool waits)
{
	struct pulls *pulls = fetch_pulls(f->v->cell.node.fetch);
	uint64_t ret;

	f->settings.rate = rate;
	f->settings.rate_waiting = waiting;
	pulls->readers_waiting += waits;
	ret = serve_rate(&f->serve);
	pulls->readers_waiting -= waits;
	return ret;
}

static void while_somebody_waits_here_members_get_a_share(void **state)
{
	assert_int_equal(rate_of(*state, 4000, 0, true), 4000 / PEER_WAITING_SHARE);
	assert_int_equal(rate_of(*state, 4000, 0, false), 4000);
}

static void or_what_they_are_to_get(void **state)
{
	assert_int_equal(rate_of(*state, 4000, 500, true), 500);
	assert_int_equal(rate_of(*state, 4000, 4000, true), 4000);
	assert_int_equal(rate_of(*state, 4000, 9000, true), 4000);
	assert_int_equal(rate_of(*state, 0, 500, true), 500);
	assert_int_equal(rate_of(*state, 0, 500, false), 0);
}

static void without_a_limit_there_is_none_of_which_to_have_a_share(void **state)
{
	assert_int_equal(rate_of(*state, 0, 0, true), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_here_is_given_and_noted),
		TEST(of_what_breaks_off_that_is_noted_which_went_out),
		TEST(who_asks_for_little_and_breaks_off_at_once_is_on_record),
		TEST(of_what_is_here_in_part_the_first_chunks_are_given),
		TEST(what_is_not_here_is_not_noted),
		TEST(nor_is_it_given_to_whom_the_program_forbids_it),
		TEST(while_somebody_waits_here_members_get_a_share),
		TEST(or_what_they_are_to_get),
		TEST(without_a_limit_there_is_none_of_which_to_have_a_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
