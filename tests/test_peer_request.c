/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/peer_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/peer/wire.h"
#include "tests/stand_in.h"

#define HOUR_MS 3600000

enum manner {
	ANSWERS,     /* with a status, and "word" */
	IS_ITSELF,   /* likewise, signed by the process that asks */
	IS_UNSIGNED, /* a status */
	HAS_A_CLOCK, /* an hour ahead: whoever signs by another is refused, and told */
	REFUSES,     /* all, whatever it is told */
	TALKS,       /* with a status, and without end */
	DRIPS,
	DRIPS_A_REFUSAL,
	LISTS, /* with a status, and the lines of a fixture, of which it has signed one value */
};

struct fixture {
	struct stand_in other; /* first */
	_Atomic enum manner manner;
	atomic_int status, asked;
	const char *lines, *listed; /* as they come, and what was signed */
	/* What came. */
	int heads, body_says;
	uint64_t bytes;
	char last;
};

/* ---- the member ---- */

static int64_t time_of(const char *request)
{
	return strtoll(strstr(request, "time=") + 5, NULL, 10);
}

static void say(struct fixture *f, int fd, const char *request, int status, int64_t ahead_ms)
{
	stand_in_head(&f->other, fd, request, status, "", "Content-Length: 4", ahead_ms);
	stand_in_send(fd, status == WIRE_KEY ? "none" : "word", 4);
}

static void talk(struct fixture *f, int fd, const char *request)
{
	static const char much[4096];

	stand_in_head(&f->other, fd, request, f->status, "", "Content-Length: 1000000", 0);
	for (int i = 0; i < 100; i++)
		stand_in_send(fd, much, sizeof(much));
}

static void drip(struct fixture *f, int fd, const char *request, int status)
{
	stand_in_head(&f->other, fd, request, status, "", "Content-Length: 1000000", 0);
	stand_in_drip(&f->other, fd, "x");
}

static void list(struct fixture *f, int fd, const char *request)
{
	const struct cluster_answer a = {
		.status = f->status,
		.others = f->listed,
		.wall_ms = clock_wall_ms(),
	};

	stand_in_say(&f->other, fd, request, &a, f->lines);
}

static void answer(void *arg, int fd, const char *request)
{
	struct fixture *f = arg;
	bool in_time = time_of(request) > clock_wall_ms() + HOUR_MS / 2;

	f->asked++;
	switch (f->manner) {
	case ANSWERS:
	case IS_ITSELF:
		say(f, fd, request, f->status, 0);
		break;
	case IS_UNSIGNED:
		stand_in_say_unsigned(fd, f->status);
		break;
	case HAS_A_CLOCK:
		say(f, fd, request, in_time ? f->status : WIRE_KEY, HOUR_MS);
		break;
	case REFUSES:
		say(f, fd, request, WIRE_KEY, 0);
		break;
	case TALKS:
		talk(f, fd, request);
		break;
	case DRIPS:
		drip(f, fd, request, f->status);
		break;
	case DRIPS_A_REFUSAL:
		drip(f, fd, request, WIRE_KEY);
		break;
	case LISTS:
		list(f, fd, request);
		break;
	}
}

/* ---- who asks it ---- */

static int set_up(void **state)
{
	return stand_in_set_up(state, sizeof(struct fixture), answer);
}

static int on_head(void *arg, const struct httpc_response *r UNUSED, int64_t took_ms)
{
	struct fixture *f = arg;

	assert_in_range(took_ms, 0, 60000);
	f->heads++;
	return 0;
}

static int on_body(void *arg, const void *data, size_t len)
{
	struct fixture *f = arg;

	f->bytes += len;
	f->last = ((const char *)data)[len - 1];
	return f->body_says;
}

/* What comes of asking one of that manner; `lasting` as in struct peer_request. */
static int ask_for(struct fixture *f, enum manner manner, int status, int lasting)
{
	struct httpc_cancel cancel = { .patience_ms = 77, .connect_ms = 88 };
	const struct peer_request s = {
		.member = f->other.member,
		.method = "GET",
		.target = "/peer/v1/jobs/0",
		.range = "",
		.cancel = &cancel,
		.patience_ms = 1000,
		.whole_ms = 2000,
		.lasting = lasting,
		.head = on_head,
		.body = on_body,
		.arg = f,
	};
	int r;

	f->manner = manner;
	f->status = status;
	r = peer_request_run(&s, &f->other.asker);
	assert_int_equal(cancel.patience_ms, 77);
	assert_int_equal(cancel.connect_ms, 88);
	return r;
}

static int ask(struct fixture *f, enum manner manner, int status)
{
	return ask_for(f, manner, status, 0);
}

/* ---- stories ---- */

static void what_a_member_signs_is_heard(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, ANSWERS, WIRE_TOLD), WIRE_TOLD);
	assert_int_equal(f->heads, 1);
	assert_int_equal(f->bytes, 4);
	assert_int_equal(ask(f, ANSWERS, WIRE_NOT_HERE), WIRE_NOT_HERE);
	assert_int_equal(f->heads, 2);
	assert_true(member_is_another(f->other.member));
}

static void what_nobody_signs_is_not(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, IS_UNSIGNED, WIRE_TOLD), ERR_TOKEN);
	assert_int_equal(ask(f, IS_UNSIGNED, WIRE_KEY), ERR_TOKEN);
	assert_int_equal(ask(f, IS_UNSIGNED, WIRE_BUSY), ERR_BUSY);
	assert_int_equal(ask(f, IS_UNSIGNED, 429), ERR_BUSY);
	assert_int_equal(f->heads + f->bytes, 0);
	assert_int_equal(f->asked, 4);
	assert_false(member_is_another(f->other.member));
}

/* What comes of an answer that was signed with one list, and has these lines when it comes. */
static int ask_lists(struct fixture *f, int status, const char *listed, const char *lines)
{
	CLEANUP(buf_free) struct buf all = { 0 };

	buf_printf(&all, "Content-Length: 0\r\n%s", lines);
	f->listed = listed;
	f->lines = buf_str(&all);
	return ask(f, LISTS, status);
}

static void digests_are_those_that_were_signed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask_lists(f, WIRE_TOLD, "right", "Peer-Digests: right\r\n"), WIRE_TOLD);
	assert_int_equal(ask_lists(f, WIRE_TOLD, "right", "Peer-Digests: wrong\r\n"), ERR_TOKEN);
	assert_int_equal(f->heads, 1);
}

/* Both fields stand in one place of what is signed: the status says which of them it is. */
static void a_list_that_was_signed_is_not_given_another_name(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		ask_lists(f, WIRE_TOLD, "right", "Peer-Others: right\r\nPeer-Digests: wrong\r\n"),
		ERR_TOKEN);
	assert_int_equal(ask_lists(f, WIRE_TOLD, "right", "Peer-Others: right\r\n"), ERR_TOKEN);
	assert_int_equal(ask_lists(f, WIRE_ELSEWHERE, "right",
				   "Peer-Others: wrong\r\nPeer-Digests: right\r\n"),
			 ERR_TOKEN);
	assert_int_equal(f->heads, 0);
	assert_int_equal(ask_lists(f, WIRE_ELSEWHERE, "right", "Peer-Others: right\r\n"),
			 WIRE_ELSEWHERE);
}

static void who_has_another_clock_is_asked_again_by_that(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, HAS_A_CLOCK, WIRE_TOLD), WIRE_TOLD);
	assert_int_equal(f->asked, 2);
	assert_int_equal(f->heads, 1); /* nobody hears of the first */
	assert_int_equal(f->bytes, 4);
	assert_int_equal(f->last, 'd');
	assert_int_equal(ask(f, HAS_A_CLOCK, WIRE_TOLD), WIRE_TOLD);
	assert_int_equal(f->asked, 3); /* it is known now */
}

static void who_refuses_by_its_own_clock_is_not_asked_a_third_time(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, REFUSES, 0), ERR_TOKEN);
	assert_int_equal(f->asked, 2);
	assert_int_equal(f->heads + f->bytes, 0);
}

static void this_node_knows_itself_under_another_name(void **state)
{
	struct fixture *f = *state;

	f->other.asker.process = STAND_IN_PROCESS;
	assert_int_equal(ask(f, IS_ITSELF, WIRE_TOLD), WIRE_TOLD);
	assert_false(member_may_ask(f->other.member, clock_ms()));
}

static void no_answer_is_longer_than_it_may_be(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, TALKS, WIRE_TOLD), ERR_PROTO);
	assert_in_range(f->bytes, 0, PEER_REQUEST_BODY_MAX);
}

static void nor_does_it_take_longer(void **state)
{
	int64_t began_ms = clock_ms();

	assert_int_equal(ask(*state, DRIPS, WIRE_TOLD), ERR_TIMEOUT);
	assert_in_range(clock_ms() - began_ms, 1900, 30000);
}

static void a_refusal_does_not_either(void **state)
{
	assert_int_equal(ask_for(*state, DRIPS_A_REFUSAL, 0, WIRE_BYTES), ERR_TIMEOUT);
}

static void what_lasts_may_be_long(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask_for(f, TALKS, WIRE_BYTES, WIRE_BYTES), ERR_CUT);
	assert_int_equal(f->bytes, 100 * 4096); /* all that came before it broke off */
	assert_int_equal(ask_for(f, TALKS, WIRE_TOLD, WIRE_BYTES), ERR_PROTO);
}

static void who_hears_it_may_end_it(void **state)
{
	struct fixture *f = *state;

	f->body_says = ERR_FULL;
	assert_int_equal(ask(f, ANSWERS, WIRE_TOLD), ERR_FULL);
	f->body_says = WIRE_KEY; /* which is no refusal then */
	assert_int_equal(ask(f, ANSWERS, WIRE_TOLD), WIRE_KEY);
	assert_int_equal(f->asked, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, stand_in_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_member_signs_is_heard),
		TEST(what_nobody_signs_is_not),
		TEST(digests_are_those_that_were_signed),
		TEST(a_list_that_was_signed_is_not_given_another_name),
		TEST(who_has_another_clock_is_asked_again_by_that),
		TEST(who_refuses_by_its_own_clock_is_not_asked_a_third_time),
		TEST(this_node_knows_itself_under_another_name),
		TEST(no_answer_is_longer_than_it_may_be),
		TEST(nor_does_it_take_longer),
		TEST(a_refusal_does_not_either),
		TEST(what_lasts_may_be_long),
		TEST(who_hears_it_may_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
