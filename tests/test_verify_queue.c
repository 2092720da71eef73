/* SPDX-License-Identifier: Apache-2.0 */
/* When segments that members gave are compared, and with how many questions. */
#include "daemon/peer/verify_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "tests/verifying.h"

#define REST_MS 1000 /* longer than it takes to be asked once more */

static void start(struct verifying *v)
{
	struct cell *c = &v->cell;
	const struct verify_queue_conf conf = { &v->conf, c->node.fetch, c->node.store,
						c->node.http };

	assert_int_equal(verify_queue_start(v->queue, &conf), 0);
}

/* A part of a file that is not whole: these chunks of it have come. */
static void come(struct verifying *v, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		cell_put(&v->cell, &v->what, i, v->seed, v->giver->address);
		verify_queue_came(v->queue, &v->what, i);
	}
}

static bool await(const atomic_uint *count, unsigned is)
{
	int64_t until_ms = clock_ms() + 5000;

	while (*count < is && clock_ms() < until_ms)
		clock_sleep_ms(10);
	clock_sleep_ms(REST_MS);
	return *count == is;
}

static void what_has_paused_is_compared_with_one_question(void **state)
{
	struct verifying *v = *state;

	start(v);
	verifying_say(v, v->owner, FAKE_VOUCHER, v->seed);
	come(v, 0, 2);
	clock_sleep_ms(REST_MS);
	assert_int_equal(v->owner->asked[FAKE_VOUCHER], 0); /* more may come */
	assert_true(await(&v->owner->asked[FAKE_VOUCHER], 1));
	verifying_assert_banned(v, NULL);
}

static void a_segment_that_is_there_is_not_waited_for(void **state)
{
	struct verifying *v = *state;
	int64_t began_ms = clock_ms();

	start(v);
	verifying_say(v, v->owner, FAKE_VOUCHER, v->seed);
	come(v, 0, 2);
	/* A hub is to bring the last: nothing more comes from members. */
	provenance_note(v->cell.provenance, v->what.etag, VERIFYING_SIZE, 2, VERIFYING_CHUNKS,
			NULL);
	while (!v->owner->asked[FAKE_VOUCHER] && clock_ms() < began_ms + 5000)
		clock_sleep_ms(10);
	assert_in_range(clock_ms() - began_ms, 0, 1500);
}

static void an_owner_that_is_busy_is_asked_three_times_at_most(void **state)
{
	struct verifying *v = *state;

	start(v);
	v->owner->full = 100;
	come(v, 0, 2);
	provenance_note(v->cell.provenance, v->what.etag, VERIFYING_SIZE, 2, VERIFYING_CHUNKS,
			NULL);
	clock_sleep_ms(6000);
	assert_int_equal(v->owner->asked[FAKE_VOUCHER], 3);
}

/* ---- one that takes its time ---- */

#define HIDDEN 12 /* segments, which is more than there are threads */

/* Another file with the same bytes and the same owner. */
static struct source_blob alike(struct verifying *v, unsigned i)
{
	const struct membership *members = members_now(v->members);
	struct source_blob what = v->what;
	uint32_t owners[PLACEMENT_OWNERS];
	unsigned k = 0;

	do {
		snprintf(what.etag, sizeof(what.etag), "%032x%032x", i, k++);
		(void)placement_cache_owners(&v->placement, members,
					     (struct segment){ placement_key(what.etag), 0 },
					     VERIFYING_SIZE, owners);
	} while (strcmp(member_address(members->members[owners[0]]), v->owner->address) != 0);
	membership_unref(members);
	return what;
}

/* What members are to bring of it comes from this one, with a wrong chunk. */
static void come_wrong(struct verifying *v, const struct source_blob *what,
		       const struct fake_member *giver)
{
	provenance_note(v->cell.provenance, what->etag, VERIFYING_SIZE, VERIFYING_WRONG + 1,
			VERIFYING_CHUNKS, NULL);
	for (uint32_t i = 0; i <= VERIFYING_WRONG; i++) {
		cell_put(&v->cell, what, i, i == VERIFYING_WRONG ? VERIFYING_OTHER : v->seed,
			 giver->address);
		verify_queue_came(v->queue, what, i);
	}
}

static void suspect(void *arg, const struct source_refused *r)
{
	struct verifying *v = arg;

	verify_givers_add(v->givers, r);
}

static bool has_gone(struct verifying *v, const struct source_blob *what)
{
	return provenance_dropped(v->cell.provenance, what->etag, VERIFYING_WRONG);
}

/* With a thread held up by each for as long as it may find out it is at least 9 s. */
#define NOT_HELD_UP_MS 6000

/* How long a wrong chunk stays that came after those of many segments, whose giver says for ever
 * that it is finding out what it holds, or says it. */
static int64_t wrong_ms(struct verifying *v, bool hides)
{
	struct source_blob hidden[HIDDEN], last = alike(v, HIDDEN);
	int64_t began_ms = clock_ms(), ms;

	v->conf.suspect = suspect;
	v->conf.arg = v;
	assert_int_equal(verify_givers_start(v->givers, &v->conf, v->cell.node.http), 0);
	start(v);
	v->giver->hides = hides;
	verifying_say(v, v->owner, FAKE_VOUCHER, v->seed);
	verifying_say(v, v->second, FAKE_HOLDER, v->seed); /* what it gave is another thing */
	verifying_say(v, v->giver, FAKE_HOLDER, v->seed);
	for (unsigned i = 0; i < HIDDEN; i++) {
		hidden[i] = alike(v, i);
		come_wrong(v, &hidden[i], v->giver);
	}
	come_wrong(v, &last, v->second);
	while (!has_gone(v, &last) && clock_ms() < began_ms + 15000)
		clock_sleep_ms(10);
	ms = clock_ms() - began_ms;
	/* That it says nothing is no reason to keep what it gave. */
	for (unsigned i = 0; i < HIDDEN; i++)
		while (!has_gone(v, &hidden[i]) && clock_ms() < began_ms + 15000)
			clock_sleep_ms(10);
	for (unsigned i = 0; i < HIDDEN; i++)
		assert_true(has_gone(v, &hidden[i]));
	return ms;
}

static void who_takes_its_time_holds_up_its_own_segments_alone(void **state)
{
	assert_in_range(wrong_ms(*state, true), 0, NOT_HELD_UP_MS);
}

static void who_answers_holds_up_nothing(void **state)
{
	struct verifying *v = *state;
	int64_t until_ms = clock_ms() + 15000;

	assert_in_range(wrong_ms(v, false), 0, NOT_HELD_UP_MS);
	while (!verifying_is_in_state(v, v->giver, "banned") && clock_ms() < until_ms)
		clock_sleep_ms(10);
	assert_true(verifying_is_in_state(v, v->giver, "banned"));
}

/* It owns what it gave, and says for ever that it is finding out what it had. */
static void an_owner_that_stalls_hides_what_it_gave_for_some_seconds_only(void **state)
{
	struct verifying *v = *state;
	struct verifying *c = v;
	int64_t until_ms = clock_ms() + 15000;
	char who[MEMBER_ADDRESS_MAX + 1];

	start(v);
	c->owner->stalls = true;
	verifying_say(c, c->witness, FAKE_WITNESS, c->seed);
	verifying_say(c, c->second, FAKE_WITNESS, c->seed);
	for (uint32_t i = 0; i < 2; i++) {
		cell_put(&c->cell, &c->what, i, i == VERIFYING_WRONG ? VERIFYING_OTHER : c->seed,
			 c->owner->address);
		verify_queue_came(v->queue, &c->what, i);
	}
	while (provenance_giver(c->cell.provenance, c->what.etag, VERIFYING_WRONG, who) !=
		       PROVENANCE_DROPPED &&
	       clock_ms() < until_ms)
		clock_sleep_ms(50);
	assert_in_range(clock_ms(), 0, until_ms - 1);
	assert_in_range(c->owner->asked[FAKE_VOUCHER], 5, 6); /* once more when it is blamed */
	assert_int_equal(provenance_giver(c->cell.provenance, c->what.etag, 0, who),
			 PROVENANCE_MEMBER);
}

/* How often an owner is asked that gave wrong bytes, or was silent. */
static unsigned asked_after(struct verifying *v, enum member_outcome outcome)
{
	start(v);
	verifying_say(v, v->owner, FAKE_VOUCHER, v->seed);
	verifying_note(v, v->owner, outcome);
	verifying_note(v, v->owner, outcome);
	come(v, 0, 2);
	clock_sleep_ms(2 * REST_MS + 1500);
	return v->owner->asked[FAKE_VOUCHER];
}

static void a_banned_owner_is_asked_what_it_had(void **state)
{
	assert_int_equal(asked_after(*state, MEMBER_LIED), 1);
}

/* The twin. */
static void one_that_is_silent_is_not(void **state)
{
	assert_int_equal(asked_after(*state, MEMBER_SILENT), 0);
}

static void nobody_is_asked_what_a_hub_has_published(void **state)
{
	struct verifying *v = *state;
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(VERIFYING_SIZE);

	start(v);
	for (uint32_t i = 0; i < VERIFYING_CHUNKS; i++)
		cell_digest(v->seed, VERIFYING_SIZE, i, l->digests[i]);
	provenance_learn(v->cell.provenance, v->what.etag, l, PROVENANCE_PUBLISHED);
	come(v, 0, 2);
	clock_sleep_ms(3000);
	assert_int_equal(v->owner->asked[FAKE_VOUCHER], 0);
}

/* A chunk of it is wrong, and has been there for longer than what comes is compared. True if it is
 * dropped when its list is there; whose segment it is does not matter. */
static bool goes_when_listed(struct verifying *v, bool listed)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(VERIFYING_SIZE);
	struct verifying *c = v;
	char who[MEMBER_ADDRESS_MAX + 1];

	for (uint32_t i = 0; i < VERIFYING_CHUNKS; i++)
		cell_digest(c->seed, VERIFYING_SIZE, i, l->digests[i]);
	start(v);
	cell_put(&c->cell, &c->what, 0, c->seed, c->giver->address);
	cell_put(&c->cell, &c->what, VERIFYING_WRONG, VERIFYING_OTHER, c->giver->address);
	provenance_learn(c->cell.provenance, c->what.etag, l, PROVENANCE_PUBLISHED);
	if (listed)
		verify_queue_listed(v->queue, &c->what);
	clock_sleep_ms(4000);
	assert_int_equal(c->owner->asked[FAKE_VOUCHER], 0);
	assert_int_equal(provenance_giver(c->cell.provenance, c->what.etag, 0, who),
			 PROVENANCE_MEMBER);
	return provenance_giver(c->cell.provenance, c->what.etag, VERIFYING_WRONG, who) ==
	       PROVENANCE_DROPPED;
}

static void what_came_before_its_list_is_compared_when_that_comes(void **state)
{
	assert_true(goes_when_listed(*state, true));
}

/* The twin. */
static void unless_none_comes(void **state)
{
	assert_false(goes_when_listed(*state, false));
}

static void what_is_forgotten_is_not_compared(void **state)
{
	struct verifying *v = *state;

	start(v);
	come(v, 0, 2);
	verify_queue_forget(v->queue, v->what.etag);
	clock_sleep_ms(3000);
	assert_int_equal(v->owner->asked[FAKE_VOUCHER], 0);
}

static void before_it_has_started_it_compares_nothing(void **state)
{
	struct verifying *v = *state;

	come(v, 0, 2);
	start(v);
	clock_sleep_ms(3000);
	assert_int_equal(v->owner->asked[FAKE_VOUCHER], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, verifying_set_up, verifying_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_has_paused_is_compared_with_one_question),
		TEST(a_segment_that_is_there_is_not_waited_for),
		TEST(an_owner_that_is_busy_is_asked_three_times_at_most),
		TEST(who_takes_its_time_holds_up_its_own_segments_alone),
		TEST(who_answers_holds_up_nothing),
		TEST(an_owner_that_stalls_hides_what_it_gave_for_some_seconds_only),
		TEST(a_banned_owner_is_asked_what_it_had),
		TEST(one_that_is_silent_is_not),
		TEST(nobody_is_asked_what_a_hub_has_published),
		TEST(what_came_before_its_list_is_compared_when_that_comes),
		TEST(unless_none_comes),
		TEST(what_is_forgotten_is_not_compared),
		TEST(before_it_has_started_it_compares_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
