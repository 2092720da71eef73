/* SPDX-License-Identifier: Apache-2.0 */
/* One check-in at a hub that a test plays: what it signs is believed, and nothing else. */
#include "daemon/peer/member_checkin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "tests/stand_in.h"
#include "tests/talk.h"

#define HOUR_MS 3600000
#define LIST "10.0.0.1:9980\n10.0.0.2:9980 weight=3\n"

enum manner {
	SIGNS,       /* its status, and LIST */
	ALTERS,      /* likewise, but another list comes */
	IS_UNSIGNED, /* a status */
	HAS_A_CLOCK, /* an hour ahead: whoever signs by another is refused, and told */
	REFUSES,     /* all, whatever it is told */
};

struct fixture {
	struct stand_in hub; /* first */
	struct member_checkin self;
	struct member_look found;
	_Atomic enum manner manner;
	atomic_int status, asked, named; /* named: requests that had the digest of a list */
};

/* ---- the hub ---- */

static void say(struct fixture *f, int fd, const char *request, int status, int64_t ahead_ms)
{
	const char *text = status == 204 || status == 401 ? "" : LIST;
	char digest[DIGEST_HEX_MAX + 1], length[64];
	const struct cluster_answer a = {
		.status = status,
		.others = digest,
		.wall_ms = clock_wall_ms() + ahead_ms,
	};

	assert_int_equal(member_checkin_digest(text, strlen(text), digest), 0);
	snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(text));
	stand_in_say(&f->hub, fd, request, &a, status == 204 ? "" : length);
	if (f->manner == ALTERS)
		text = "10.0.0.1:9980\n10.0.0.6:9980 weight=3\n";
	stand_in_send(fd, text, strlen(text));
}

static void answer(void *arg, int fd, const char *request)
{
	CLEANUP(buf_free) struct buf all = { 0 };
	struct fixture *f = arg;
	int64_t time_ms = strtoll(strstr(request, "time=") + 5, NULL, 10);
	bool in_time = time_ms > clock_wall_ms() + HOUR_MS / 2;

	buf_add_str(&all, request);
	if (!strchr(request, '}'))
		assert_true(talk_hear(fd, &all, "}"));
	f->asked++;
	f->named += strstr(buf_str(&all), "\"list\":") != NULL;
	switch (f->manner) {
	case SIGNS:
	case ALTERS:
		say(f, fd, request, f->status, 0);
		break;
	case IS_UNSIGNED:
		stand_in_say_unsigned(fd, f->status);
		break;
	case HAS_A_CLOCK:
		say(f, fd, request, in_time ? f->status : 401, HOUR_MS);
		break;
	case REFUSES:
		say(f, fd, request, 401, 0);
		break;
	}
}

/* ---- this node ---- */

static int set_up(void **state)
{
	int r = stand_in_set_up(state, sizeof(struct fixture), answer);
	struct fixture *f = *state;
	static char url[MEMBER_ADDRESS_MAX + sizeof("http://")];

	snprintf(url, sizeof(url), "http://%s", f->hub.address);
	f->self = (struct member_checkin){
		.http = f->hub.http,
		.key = f->hub.key,
		.hub_url = url,
		.self = { "127.0.0.1:1", "rack-7", 2 },
	};
	return r;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	member_look_fini(&f->found);
	return stand_in_tear_down(state);
}

static int check_in(struct fixture *f, enum manner manner, int status)
{
	f->manner = manner;
	f->status = status;
	member_look_fini(&f->found);
	return member_look_hub(&f->self, &f->found);
}

/* It fails, and this is said of it. */
static void assert_fails(struct fixture *f, enum manner manner, int status, const char *why)
{
	assert_true(check_in(f, manner, status) < 0);
	if (!strstr(buf_str(&f->found.why), why))
		fail_msg("\"%s\" is not said in \"%s\"", why, buf_str(&f->found.why));
}

/* ---- stories ---- */

static void what_a_hub_signs_is_the_list(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(check_in(f, SIGNS, 200), MEMBER_FOUND);
	assert_int_equal(f->found.count, 2);
	assert_string_equal(f->found.list[1].address, "10.0.0.2:9980");
	assert_int_equal(f->found.list[1].weight, 3);
	assert_int_equal(f->named, 0);
	assert_int_equal(check_in(f, SIGNS, 204),
			 MEMBER_AS_IT_WAS); /* it is told which one it has */
	assert_int_equal(f->named, 1);
}

static void what_was_altered_on_its_way_is_not(void **state)
{
	struct fixture *f = *state;

	assert_fails(f, ALTERS, 200, "has another cluster key");
	assert_int_equal(f->found.count, 0);
	assert_string_equal(f->self.list, "");
	assert_fails(f, IS_UNSIGNED, 200, "has another cluster key");
	assert_fails(f, IS_UNSIGNED, 204, "has another cluster key");
}

static void a_hub_that_has_just_begun_tells_those_who_know_nobody(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(check_in(f, SIGNS, 202), MEMBER_FOUND);
	assert_string_equal(f->self.list, ""); /* it may not be all */
	assert_int_equal(check_in(f, SIGNS, 200), MEMBER_FOUND);
	assert_int_equal(check_in(f, SIGNS, 202), MEMBER_AS_IT_WAS);
}

static void a_hub_with_another_clock_is_asked_again_by_that(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(check_in(f, HAS_A_CLOCK, 200), MEMBER_FOUND);
	assert_int_equal(f->asked, 2);
	assert_in_range(f->self.ahead_ms, HOUR_MS - 60000, HOUR_MS + 60000);
	assert_int_equal(check_in(f, HAS_A_CLOCK, 204), MEMBER_AS_IT_WAS);
	assert_int_equal(f->asked, 3); /* it is known now */
}

static void but_not_a_third_time(void **state)
{
	struct fixture *f = *state;

	assert_fails(f, REFUSES, 0, "does not take this node's clock for right");
	assert_int_equal(f->asked, 2);
}

static void a_refusal_that_nobody_signs_tells_no_time(void **state)
{
	struct fixture *f = *state;

	assert_fails(f, IS_UNSIGNED, 401, "has another cluster key");
	assert_int_equal(f->asked, 1);
	assert_int_equal(f->self.ahead_ms, 0);
}

static void who_is_no_such_hub_is_told_of(void **state)
{
	struct fixture *f = *state;

	assert_fails(f, IS_UNSIGNED, 404, "takes no check-ins");
	assert_fails(f, IS_UNSIGNED, 500, "answers a check-in with 500");
	assert_int_equal(f->asked, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_hub_signs_is_the_list),
		TEST(what_was_altered_on_its_way_is_not),
		TEST(a_hub_that_has_just_begun_tells_those_who_know_nobody),
		TEST(a_hub_with_another_clock_is_asked_again_by_that),
		TEST(but_not_a_third_time),
		TEST(a_refusal_that_nobody_signs_tells_no_time),
		TEST(who_is_no_such_hub_is_told_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
