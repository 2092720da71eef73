/* SPDX-License-Identifier: Apache-2.0 */
/* How requests are signed, and who is believed, is shown by test_peer_request.c. */
#include "daemon/peer/peer_call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/peer/wire.h"
#include "tests/stand_in.h"

#define TARGET WIRE_PULL "?repo=models/org/name&revision=main"

struct fixture {
	struct stand_in other; /* first */
	atomic_size_t len;     /* of its answers */
	atomic_int refusals;
	char heard[200]; /* the first line of the last request */
};

static void answer(void *arg, int fd, const char *request)
{
	CLEANUP(buf_free) struct buf body = { 0 };
	struct fixture *f = arg;
	bool refuses = f->refusals-- > 0;
	char length[64];

	snprintf(f->heard, sizeof(f->heard), "%.*s", (int)strcspn(request, "\r"), request);
	for (size_t i = 0; i < f->len; i++)
		buf_add_str(&body, refuses ? "-" : "y");
	snprintf(length, sizeof(length), "Content-Length: %zu", f->len);
	stand_in_head(&f->other, fd, request, refuses ? WIRE_KEY : WIRE_TOLD, "", length, 0);
	stand_in_send(fd, body.data, body.len);
}

static int set_up(void **state)
{
	int r = stand_in_set_up(state, sizeof(struct fixture), answer);
	struct fixture *f = *state;

	f->len = 3;
	return r;
}

static int run(struct fixture *f, struct httpc_cancel *cancel, struct buf *ret)
{
	const struct peer_call e = {
		.member = f->other.member,
		.method = "POST",
		.target = TARGET,
		.patience_ms = 5000,
		.cancel = cancel,
	};

	return peer_call_run(&e, &f->other.asker, ret);
}

static void what_is_answered_is_appended(void **state)
{
	CLEANUP(buf_free) struct buf answer = { 0 };
	struct fixture *f = *state;

	buf_add_str(&answer, "x");
	assert_int_equal(run(f, NULL, &answer), WIRE_TOLD);
	assert_string_equal(buf_str(&answer), "xyyy");
	assert_string_equal(f->heard, "POST " TARGET " HTTP/1.1");
}

static void what_came_with_a_refusal_is_not(void **state)
{
	CLEANUP(buf_free) struct buf answer = { 0 };
	struct fixture *f = *state;

	f->refusals = 1;
	buf_add_str(&answer, "x");
	assert_int_equal(run(f, NULL, &answer), WIRE_TOLD);
	assert_string_equal(buf_str(&answer), "xyyy");
	f->refusals = 2;
	assert_int_equal(run(f, NULL, &answer), ERR_TOKEN);
	assert_string_equal(buf_str(&answer), "xyyy");
}

static void an_answer_has_its_length(void **state)
{
	CLEANUP(buf_free) struct buf answer = { 0 };
	struct fixture *f = *state;

	f->len = PEER_REQUEST_BODY_MAX;
	assert_int_equal(run(f, NULL, &answer), WIRE_TOLD);
	assert_int_equal(answer.len, PEER_REQUEST_BODY_MAX);
	f->len++;
	buf_clear(&answer);
	assert_int_equal(run(f, NULL, &answer), ERR_PROTO);
}

static void it_can_be_canceled(void **state)
{
	CLEANUP(buf_free) struct buf answer = { 0 };
	struct httpc_cancel cancel = { 0 };
	struct fixture *f = *state;

	assert_int_equal(run(f, &cancel, &answer), WIRE_TOLD);
	httpc_cancel(f->other.http, &cancel);
	assert_int_equal(run(f, &cancel, &answer), ERR_CANCELED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, stand_in_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_answered_is_appended),
		TEST(what_came_with_a_refusal_is_not),
		TEST(an_answer_has_its_length),
		TEST(it_can_be_canceled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
