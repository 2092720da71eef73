/* SPDX-License-Identifier: Apache-2.0 */
/* One question to a member that a test plays: what of its answer is taken. */
#include "daemon/peer/peer_get.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/cache/chunk.h"
#include "tests/fake_source.h"
#include "tests/stand_in.h"

#define SIZE (2 * CHUNK_BYTES)
#define OFF CHUNK_BYTES
#define LEN 1000

struct fixture {
	struct stand_in other; /* first */
	struct source_blob what;
	struct wire_ask ask;
	struct peer_get get;
	struct httpc_cancel cancel;
	/* What it answers, under the mutex: */
	pthread_mutex_t mutex;
	struct cluster_answer says; /* signed, */
	const char *lines;          /* and sent, */
	size_t bytes;               /* before so many of a body */
	/* What came. */
	uint64_t got;
	int sink_says;
};

static void answer(void *arg, int fd, const char *request)
{
	struct fixture *f = arg;
	static const char body[LEN];

	pthread_mutex_lock(&f->mutex);
	f->says.wall_ms = clock_wall_ms();
	stand_in_say(&f->other, fd, request, &f->says, f->lines);
	stand_in_send(fd, body, f->bytes);
	pthread_mutex_unlock(&f->mutex);
}

static int sink(void *arg, const void *data UNUSED, size_t len)
{
	struct fixture *f = arg;

	f->got += len;
	return f->sink_says;
}

static int set_up(void **state)
{
	int r = stand_in_set_up(state, sizeof(struct fixture), answer);
	struct fixture *f = *state;

	pthread_mutex_init(&f->mutex, NULL);
	fake_blob(7, SIZE, DIGEST_SHA256, &f->what);
	f->ask = wire_ask_of(&f->what, OFF, LEN);
	f->get = (struct peer_get){
		.member = f->other.member,
		.ask = &f->ask,
		.cancel = &f->cancel,
		.patience_ms = 3000,
		.sink = sink,
		.arg = f,
	};
	return r;
}

/* Of an answer that is signed as `says`, and comes so. */
static int get(struct fixture *f, struct cluster_answer says, const char *lines, size_t bytes)
{
	pthread_mutex_lock(&f->mutex);
	f->says = says;
	f->lines = lines;
	f->bytes = bytes;
	pthread_mutex_unlock(&f->mutex);
	f->got = 0;
	return peer_get_run(&f->get, &f->other.asker);
}

static int get_range(struct fixture *f, const char *range, size_t length)
{
	char lines[256];

	snprintf(lines, sizeof(lines), "Content-Range: %s\r\nContent-Length: %zu\r\n", range,
		 length);
	return get(f, (struct cluster_answer){ .status = WIRE_BYTES, .content_range = range },
		   lines, length);
}

/* ---- bytes ---- */

static void the_first_of_the_bytes_asked_for_are_taken(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get_range(f, "bytes 1048576-1049575/2097152", LEN), 0);
	assert_int_equal(f->get.status, WIRE_BYTES);
	assert_int_equal(f->get.len, LEN);
	assert_int_equal(f->got, LEN);
	assert_int_equal(get_range(f, "bytes 1048576-1048585/2097152", 10), 0); /* not all */
	assert_int_equal(f->got, 10);
	assert_in_range(f->get.first_ms, 0, 60000);
}

static void others_are_not(void **state)
{
	struct fixture *f = *state;
	static const char *const wrong[] = {
		"bytes 1048577-1049575/2097152", /* later ones */
		"bytes 0-999/2097152",           /* earlier ones */
		"bytes 1048576-1049576/2097152", /* one more */
		"bytes 1048576-1049575/2097153", /* of another blob */
		"bytes 1048576-1049575/*",       "none",
	};

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_int_equal(get_range(f, wrong[i], LEN), ERR_PROTO);
		assert_true(f->get.nonsense);
		assert_int_equal(f->got, 0);
	}
}

/* Who sits on the line may alter the length: that is not the member's word. */
static void a_length_that_is_not_the_ranges_is_nobodys_nonsense(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get_range(f, "bytes 1048576-1049575/2097152", 10), ERR_PROTO);
	assert_false(f->get.nonsense);
	assert_int_equal(f->got, 0);
}

static void who_takes_them_may_end_it(void **state)
{
	struct fixture *f = *state;

	f->sink_says = ERR_FULL;
	assert_int_equal(get_range(f, "bytes 1048576-1049575/2097152", LEN), ERR_FULL);
	assert_int_equal(f->get.sunk, ERR_FULL);
}

/* ---- other answers ---- */

static void what_else_it_says_is_noted(void **state)
{
	struct fixture *f = *state;
	const struct cluster_answer says = {
		.status = WIRE_ELSEWHERE,
		.others = "192.0.2.1:1, nobody, 192.0.2.2:1",
		.number = "7",
		.quiet = "55",
	};

	assert_int_equal(get(f, says,
			     "Peer-Others: 192.0.2.1:1, nobody, 192.0.2.2:1\r\nPeer-Number: 7\r\n"
			     "Peer-Quiet: 55\r\nPeer-Cause: NOREPO\r\nContent-Length: 4\r\n",
			     4),
			 0);
	assert_int_equal(f->get.status, WIRE_ELSEWHERE);
	assert_int_equal(f->get.other_count, 2);
	assert_string_equal(f->get.others[1], "192.0.2.2:1");
	assert_int_equal(f->get.number, 7);
	assert_int_equal(f->get.quiet_ms, 55);
	assert_int_equal(f->get.cause, ERR_NOREPO);
	assert_int_equal(f->got, 0); /* a body of that is of no use */
}

static void and_nothing_of_the_answer_before(void **state)
{
	struct fixture *f = *state;

	what_else_it_says_is_noted(state);
	assert_int_equal(get(f, (struct cluster_answer){ .status = WIRE_NOT_HERE },
			     "Content-Length: 0\r\n", 0),
			 0);
	assert_int_equal(f->get.other_count + f->get.number, 0);
	assert_int_equal(f->get.quiet_ms, -1);
	assert_int_equal(f->get.cause, 0);
}

static int get_digests(struct fixture *f, const char *text)
{
	char lines[256];

	f->ask = wire_ask_of(&f->what, 0, SIZE);
	f->ask.digests = true;
	snprintf(lines, sizeof(lines), "Peer-Digests: %s\r\nContent-Length: 0\r\n", text);
	return get(f, (struct cluster_answer){ .status = WIRE_TOLD, .others = text }, lines, 0);
}

static void digests_are_as_many_as_there_are_chunks(void **state)
{
	static const char one[] =
		"00000000000000000000000000000000000000000000000000000000000000ff";
	struct fixture *f = *state;
	char two[200];

	snprintf(two, sizeof(two), "-,%s", one);
	assert_int_equal(get_digests(f, two), 0);
	assert_int_equal(f->get.digests.of[1][CHUNK_LIST_DIGEST - 1], 0xff);
	assert_false(chunk_digest_known(f->get.digests.of[0]));
	assert_int_equal(get_digests(f, one), ERR_PROTO);
	assert_true(f->get.nonsense);
	assert_int_equal(get_digests(f, "none,none"), ERR_PROTO);
	assert_true(f->get.nonsense);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, stand_in_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_of_the_bytes_asked_for_are_taken),
		TEST(others_are_not),
		TEST(a_length_that_is_not_the_ranges_is_nobodys_nonsense),
		TEST(who_takes_them_may_end_it),
		TEST(what_else_it_says_is_noted),
		TEST(and_nothing_of_the_answer_before),
		TEST(digests_are_as_many_as_there_are_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
