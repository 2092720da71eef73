/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks which hub for a digest list, and how often. */
#include "daemon/peer/digest_lists.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/cache/chunk.h"
#include "tests/fake_origin.h"

#define COMMIT "1111111111111111111111111111111111111111"
#define SIZE (CHUNK_BYTES + 1)
#define THREADS 4

struct fixture {
	struct fake_origin *origin[2];
	struct httpc *http;
	struct hub *hubs[2];
	struct provenance *provenance;
	struct digest_lists *lists;
	struct buf text, other; /* that an origin sends: they live as long */
};

static atomic_long ahead_s; /* of the kernel's monotonic clock */

int clock_gettime(clockid_t which, struct timespec *ret)
{
	int r = (int)syscall(SYS_clock_gettime, which, ret);

	if (r == 0 && which == CLOCK_MONOTONIC)
		ret->tv_sec += ahead_s;
	return r;
}

static int set_up(void **state)
{
	const struct httpc_conf http = { .connect_ms = 1000, .stall_ms = 5000 };
	struct fixture *f = calloc(1, sizeof(*f));
	struct hub_conf conf = { .timeout_ms = 10000, .down_ms = 1 };

	assert_non_null(f);
	assert_int_equal(httpc_new(&http, &f->http), 0);
	conf.http = f->http;
	for (int i = 0; i < 2; i++) {
		f->origin[i] = fake_origin_start();
		conf.url = fake_origin_url(f->origin[i]);
		assert_int_equal(hub_new(&conf, &f->hubs[i]), 0);
	}
	assert_int_equal(provenance_new(UINT64_C(1) << 20, &f->provenance), 0);
	assert_int_equal(digest_lists_new(f->hubs, 2, f->provenance, &f->lists), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	digest_lists_free(f->lists);
	provenance_free(f->provenance);
	for (int i = 0; i < 2; i++) {
		hub_free(f->hubs[i]);
		fake_origin_stop(f->origin[i]);
	}
	httpc_free(f->http);
	buf_free(&f->text);
	buf_free(&f->other);
	free(f);
	return 0;
}

/* One blob of many. */
static struct source_blob blob(char name)
{
	struct source_blob what = { .commit = COMMIT, .file = { .size = SIZE } };
	static _Thread_local char paths[128][2];

	assert_int_equal(repo_id_parse(REPO_MODEL, "org/name", &what.repo), 0);
	memset(what.etag, name, DIGEST_HEX_MAX);
	paths[(int)name][0] = name;
	what.path = paths[(int)name];
	return what;
}

static const char *target(char name)
{
	static char text[200];

	snprintf(text, sizeof(text), "/api/models/org/name/chunks/" COMMIT "/%c", name);
	return text;
}

static void script(struct fixture *f, int hub, char name, int status, const char *headers,
		   const char *body)
{
	fake_origin_clear(f->origin[hub], target(name));
	fake_origin_add(f->origin[hub], target(name),
			(struct fake_answer){ .status = status, .headers = headers, .body = body });
}

/* The hub publishes the list of it: one of a test. */
static void publish(struct fixture *f, int hub, char name)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(SIZE);
	struct source_blob what = blob(name);

	assert_non_null(l);
	memset(l->digests, 0x5a, sizeof(l->digests[0]) * l->count);
	assert_int_equal(chunk_list_print(what.etag, l, &f->text), 0);
	script(f, hub, name, 200, NULL, buf_str(&f->text));
}

static bool look_by(struct fixture *f, char name, struct httpc_cancel *cancel)
{
	struct source_blob what = blob(name);
	bool found = digest_lists_look(f->lists, &what, cancel);
	uint8_t digest[CHUNK_LIST_DIGEST];

	assert_int_equal(provenance_knows(f->provenance, what.etag, 1, digest),
			 found ? PROVENANCE_PUBLISHED : PROVENANCE_UNKNOWN);
	return found;
}

static bool look(struct fixture *f, char name)
{
	struct httpc_cancel cancel = { 0 };

	return look_by(f, name, &cancel);
}

static unsigned asked(struct fixture *f, int hub, char name)
{
	return fake_origin_count(f->origin[hub], target(name));
}

static void a_list_is_asked_for_once(void **state)
{
	struct fixture *f = *state;

	publish(f, 0, 'a');
	for (int i = 0; i < 3; i++)
		assert_true(look(f, 'a'));
	assert_int_equal(asked(f, 0, 'a'), 1);
	assert_int_equal(asked(f, 1, 'a'), 0);
}

static void a_hub_that_knows_no_lists_is_asked_for_no_other(void **state)
{
	struct fixture *f = *state;

	for (char name = 'a'; name < 'f'; name++)
		assert_false(look(f, name));
	assert_int_equal(fake_origin_count(f->origin[0], NULL), 1);
	assert_int_equal(fake_origin_count(f->origin[1], NULL), 1);
}

static void one_that_knows_them_is_asked_for_each(void **state)
{
	struct fixture *f = *state;

	script(f, 0, 'a', 409, "Retry-After: 5\r\n", "{\"error\":\"not here yet\"}");
	script(f, 0, 'b', 202, "Retry-After: 5\r\n", "{\"message\":\"later\"}");
	publish(f, 0, 'c');
	assert_false(look(f, 'a'));
	assert_false(look(f, 'b'));
	assert_true(look(f, 'c'));
	assert_int_equal(fake_origin_count(f->origin[0], NULL), 3);
	assert_int_equal(fake_origin_count(f->origin[1], NULL), 1); /* that one knows none */
}

static void the_second_hub_is_asked_when_the_first_has_none(void **state)
{
	struct fixture *f = *state;

	publish(f, 1, 'a');
	assert_true(look(f, 'a'));
	assert_int_equal(asked(f, 0, 'a'), 1);
	assert_int_equal(asked(f, 1, 'a'), 1);
}

static void a_hub_that_is_ill_is_no_stranger(void **state)
{
	struct fixture *f = *state;

	script(f, 0, 'a', 503, NULL, NULL);
	assert_false(look(f, 'a'));
	publish(f, 0, 'b');
	assert_true(look(f, 'b'));
}

static void it_is_asked_for_again_when_the_hub_said(void **state)
{
	struct fixture *f = *state;

	script(f, 0, 'a', 202, "Retry-After: 1\r\n", "{\"message\":\"later\"}");
	assert_false(look(f, 'a'));
	publish(f, 0, 'a');
	assert_false(look(f, 'a')); /* not yet */
	assert_int_equal(asked(f, 0, 'a'), 1);
	clock_sleep_ms(1100);
	assert_true(look(f, 'a'));
}

static void nobody_waits_long_for_a_list(void **state)
{
	struct fixture *f = *state;
	int64_t began_ms = clock_ms();

	fake_origin_add(f->origin[0], target('a'),
			(struct fake_answer){ .status = 200, .before_ms = 8000 });
	script(f, 1, 'a', 404, NULL, NULL);
	assert_false(look(f, 'a'));
	assert_in_range(clock_ms() - began_ms, DIGEST_LISTS_WAIT_MS - 100,
			DIGEST_LISTS_WAIT_MS + 1500);
}

struct stopping {
	struct fixture *f;
	struct httpc_cancel cancel;
};

static void *stop_soon(void *arg)
{
	struct stopping *s = arg;

	clock_sleep_ms(300);
	httpc_cancel(s->f->http, &s->cancel);
	return NULL;
}

/* `stopped`: while the hub thinks about it. Then it would have the list. */
static bool found_after(struct fixture *f, bool stopped)
{
	struct stopping stopping = { .f = f };
	pthread_t stopper;

	fake_origin_add(f->origin[0], target('a'),
			(struct fake_answer){ .status = 409, .before_ms = 1000 });
	if (stopped)
		assert_int_equal(pthread_create(&stopper, NULL, stop_soon, &stopping), 0);
	assert_false(look_by(f, 'a', &stopping.cancel));
	if (stopped)
		assert_int_equal(pthread_join(stopper, NULL), 0);
	publish(f, 0, 'a');
	return look(f, 'a');
}

static void who_was_stopped_has_not_found_that_there_is_none(void **state)
{
	assert_true(found_after(*state, true));
	assert_int_equal(asked(*state, 1, 'a'), 0);
}

static void who_was_not_stopped_has(void **state)
{
	assert_false(found_after(*state, false));
	assert_int_equal(asked(*state, 1, 'a'), 1);
}

static void *look_too(void *arg)
{
	return look(arg, 'a') ? arg : NULL;
}

static void many_who_want_it_at_once_ask_once(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[THREADS];
	void *found;

	publish(f, 0, 'a');
	fake_origin_clear(f->origin[0], target('a'));
	fake_origin_add(
		f->origin[0], target('a'),
		(struct fake_answer){ .status = 200, .body = buf_str(&f->text), .before_ms = 300 });
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, look_too, f), 0);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &found), 0);
		assert_ptr_equal(found, f);
	}
	assert_int_equal(asked(f, 0, 'a'), 1);
}

/* ---- lists that are wrong ---- */

static struct members *members_of_two(void)
{
	const struct member_spec list[] = { { "127.0.0.1:1", "", 1 },
					    { "192.0.2.1:1", "", 1 },
					    { "192.0.2.2:1", "", 1 } };
	struct members *m;

	assert_int_equal(members_new(&list[0], &m), 0);
	assert_int_equal(members_set(m, list, 3), 0);
	return m;
}

static void ban(struct members *m, const char *address)
{
	const struct membership *ms = members_now(m);
	int at = membership_find(ms, address);

	member_note(ms->members[at], MEMBER_LIED, 0, -1, clock_ms());
	membership_unref(ms);
}

static bool may_ask_again(struct members *m, const char *address)
{
	const struct membership *ms = members_now(m);
	bool may = member_may_ask(ms->members[membership_find(ms, address)], clock_ms());

	membership_unref(ms);
	return may;
}

static void two_members_that_contradict_one_chunk_make_a_list_doubtful(void **state)
{
	struct fixture *f = *state;
	struct source_blob what = blob('a');

	publish(f, 0, 'a');
	assert_true(look(f, 'a'));
	assert_false(digest_lists_contradicted(f->lists, what.etag, 1, "192.0.2.1:1"));
	assert_false(digest_lists_contradicted(f->lists, what.etag, 1, "192.0.2.1:1"));
	assert_false(digest_lists_contradicted(f->lists, what.etag, 0, "192.0.2.2:1"));
	assert_false(digest_lists_contradicted(f->lists, what.etag, 1, "192.0.2.1:1"));
	assert_true(digest_lists_contradicted(f->lists, what.etag, 1, "192.0.2.2:1"));
}

/* Whom it blamed, and whom it did not. */
static void a_list_that_is_refuted_is_forgotten_and_forgives(void **state)
{
	struct fixture *f = *state;
	struct members *m = members_of_two();
	struct source_blob what = blob('a');

	publish(f, 0, 'a');
	assert_true(look(f, 'a'));
	ban(m, "192.0.2.1:1");
	ban(m, "192.0.2.2:1");
	(void)digest_lists_contradicted(f->lists, what.etag, 1, "192.0.2.1:1");
	assert_false(digest_lists_is_refuted(f->lists, what.etag));
	digest_lists_refute(f->lists, m, what.etag, 1, "a test");
	assert_true(digest_lists_is_refuted(f->lists, what.etag));
	assert_true(may_ask_again(m, "192.0.2.1:1"));
	assert_false(may_ask_again(m, "192.0.2.2:1"));
	assert_false(look(f, 'a'));
	assert_int_equal(asked(f, 0, 'a'), 1); /* it is not asked for lists */
	members_free(m);
}

static void another_hub_may_have_a_right_one(void **state)
{
	struct fixture *f = *state;
	struct members *m = members_of_two();
	struct source_blob what = blob('a');

	publish(f, 0, 'a');
	assert_true(look(f, 'a'));
	digest_lists_refute(f->lists, m, what.etag, 1, "a test");
	script(f, 1, 'a', 200, NULL, buf_str(&f->text)); /* the same one */
	assert_true(look(f, 'a'));
	members_free(m);
}

static void *look_for_another(void *arg)
{
	struct httpc_cancel cancel = { 0 };
	struct source_blob what = blob('b');
	struct fixture *f = arg;

	return digest_lists_look(f->lists, &what, &cancel) ? f : NULL;
}

/* A hub's list is refuted, or not, while it is asked for another, and answers so. True if that one
 * is had. */
static bool is_believed_meanwhile(struct fixture *f, bool refuted, const char *text)
{
	struct members *m = members_of_two();
	struct source_blob what = blob('a');
	pthread_t thread;
	void *found;

	publish(f, 0, 'a');
	assert_true(look(f, 'a'));
	fake_origin_add(f->origin[0], target('b'),
			(struct fake_answer){ .status = text ? 200 : 202,
					      .headers = text ? NULL : "Retry-After: 9\r\n",
					      .body = text ? text : "{}",
					      .before_ms = 700 });
	assert_int_equal(pthread_create(&thread, NULL, look_for_another, f), 0);
	clock_sleep_ms(300);
	if (refuted)
		digest_lists_refute(f->lists, m, what.etag, 1, "a test");
	assert_int_equal(pthread_join(thread, &found), 0);
	(void)look(f, 'c');
	members_free(m);
	return found;
}

static void what_a_hub_says_when_it_is_refuted_takes_nothing_back(void **state)
{
	assert_false(is_believed_meanwhile(*state, true, NULL));
	assert_int_equal(asked(*state, 0, 'b'), 1);
	assert_int_equal(asked(*state, 0, 'c'), 0); /* for an hour */
}

static void nor_is_a_list_believed_that_comes_then(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(SIZE);
	struct fixture *f = *state;
	struct source_blob what = blob('b');

	assert_int_equal(chunk_list_print(what.etag, l, &f->other), 0);
	assert_false(is_believed_meanwhile(f, true, buf_str(&f->other)));
	assert_int_equal(asked(*state, 0, 'c'), 0);
}

/* The twin. */
static void a_hub_that_nobody_has_refuted_is_asked_on(void **state)
{
	assert_false(is_believed_meanwhile(*state, false, NULL));
	assert_int_equal(asked(*state, 0, 'c'), 1);
}

/* ---- lists that get old ---- */

static void note_came(void *arg, const struct source_blob *what)
{
	assert_int_equal(*what->etag, 'a');
	++*(unsigned *)arg;
}

/* The list came, and the hub has another one now, or none; so much later it is looked at. True if
 * it is the new one. */
static bool is_corrected(struct fixture *f, int64_t later_ms, int status, unsigned *ret_came)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(SIZE);
	struct httpc_cancel cancel = { 0 };
	struct source_blob what = blob('a');
	uint8_t digest[CHUNK_LIST_DIGEST];

	digest_lists_watch(f->lists, note_came, ret_came);
	publish(f, 0, 'a');
	assert_true(look(f, 'a'));
	assert_int_equal(*ret_came, 1);
	memset(l->digests, 0x77, sizeof(l->digests[0]) * l->count);
	assert_int_equal(chunk_list_print(what.etag, l, &f->other), 0);
	script(f, 0, 'a', status, NULL, buf_str(&f->other));
	ahead_s += later_ms / 1000;
	assert_true(digest_lists_look(f->lists, &what, &cancel));
	assert_int_equal(provenance_knows(f->provenance, what.etag, 1, digest),
			 PROVENANCE_PUBLISHED);
	return digest[0] == 0x77;
}

static void a_list_that_its_hub_has_corrected_is_known_after_a_while(void **state)
{
	unsigned came = 0;

	assert_true(is_corrected(*state, DIGEST_LISTS_KEPT_MS + 1000, 200, &came));
	assert_int_equal(came, 2); /* what there is is compared once more */
	assert_int_equal(asked(*state, 0, 'a'), 2);
}

static void until_then_it_is_not_asked_for_again(void **state)
{
	unsigned came = 0;

	assert_false(is_corrected(*state, DIGEST_LISTS_KEPT_MS - 10000, 200, &came));
	assert_int_equal(asked(*state, 0, 'a'), 1);
}

static void while_its_hub_is_ill_it_stays_as_it_was(void **state)
{
	unsigned came = 0;

	assert_false(is_corrected(*state, DIGEST_LISTS_KEPT_MS + 1000, 503, &came));
	assert_int_equal(asked(*state, 0, 'a'), 2);
	assert_int_equal(came, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_list_is_asked_for_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_hub_that_knows_no_lists_is_asked_for_no_other,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_knows_them_is_asked_for_each, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_second_hub_is_asked_when_the_first_has_none,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_hub_that_is_ill_is_no_stranger, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(it_is_asked_for_again_when_the_hub_said, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(nobody_waits_long_for_a_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_was_stopped_has_not_found_that_there_is_none,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_was_not_stopped_has, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_who_want_it_at_once_ask_once, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			two_members_that_contradict_one_chunk_make_a_list_doubtful, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_list_that_is_refuted_is_forgotten_and_forgives,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_hub_may_have_a_right_one, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			what_a_hub_says_when_it_is_refuted_takes_nothing_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nor_is_a_list_believed_that_comes_then, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_hub_that_nobody_has_refuted_is_asked_on, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			a_list_that_its_hub_has_corrected_is_known_after_a_while, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(until_then_it_is_not_asked_for_again, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(while_its_hub_is_ill_it_stays_as_it_was, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
