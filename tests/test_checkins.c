/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual time: nobody waits. */
#include "admin/checkins.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/peer/member_checkin.h"
#include "tests/workdir.h"

#define KEY "0123456789abcdef0123456789abcdef\n"
#define NOW 1000000

static struct checkins *begin(const struct workdir *dir)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	char path[WORKDIR_PATH_MAX + 8];
	struct checkins *c;

	snprintf(path, sizeof(path), "%s/key", dir->path);
	assert_int_equal(file_replace(AT_FDCWD, path, KEY, strlen(KEY), 0600), 0);
	assert_int_equal(checkins_open(path, NOW, &c, &why), 0);
	return c;
}

static void note(struct checkins *c, const char *address, const char *zone, uint32_t weight,
		 int64_t now_ms)
{
	struct member_spec s = { .weight = weight };

	snprintf(s.address, sizeof(s.address), "%s", address);
	snprintf(s.zone, sizeof(s.zone), "%s", zone);
	assert_int_equal(checkins_note(c, &s, "", now_ms), 0);
}

/* What is told to who has the list with that digest. */
static const char *told(struct checkins *c, const char *known, int64_t now_ms)
{
	static struct buf text;
	char digest[DIGEST_HEX_MAX + 1], wanted[DIGEST_HEX_MAX + 1];

	buf_clear(&text);
	assert_int_equal(checkins_tell(c, known, now_ms, &text, digest), 0);
	assert_int_equal(member_checkin_digest(buf_str(&text), text.len, wanted), 0);
	if (text.len)
		assert_string_equal(digest, wanted);
	return buf_str(&text);
}

static void who_checks_in_is_told_in_order_and_once(void **state)
{
	struct checkins *c = begin(*state);

	assert_string_equal(told(c, "", NOW), "");
	note(c, "b:1", "", 1, NOW);
	note(c, "a:1", "east", 3, NOW);
	note(c, "b:1", "", 1, NOW + 1);
	assert_string_equal(told(c, "", NOW), "a:1 weight=3 zone=east\nb:1 weight=1\n");
	assert_int_equal(checkins_count(c, NOW), 2);
	checkins_free(c);
}

static void what_a_node_says_last_counts(void **state)
{
	struct checkins *c = begin(*state);

	note(c, "a:1", "east", 3, NOW);
	assert_string_equal(told(c, "", NOW), "a:1 weight=3 zone=east\n");
	note(c, "a:1", "west", 3, NOW + 1);
	assert_string_equal(told(c, "", NOW), "a:1 weight=3 zone=west\n");
	note(c, "a:1", "west", 4, NOW + 1);
	assert_string_equal(told(c, "", NOW), "a:1 weight=4 zone=west\n");
	checkins_free(c);
}

static void who_is_not_heard_of_is_forgotten(void **state)
{
	struct checkins *c = begin(*state);

	note(c, "a:1", "", 1, NOW);
	note(c, "b:1", "", 1, NOW);
	note(c, "a:1", "", 1, NOW + 5000);
	assert_int_equal(checkins_count(c, NOW + CHECKINS_TTL_MS - 1), 2);
	assert_string_equal(told(c, "", NOW + CHECKINS_TTL_MS), "a:1 weight=1\n");
	assert_int_equal(checkins_count(c, NOW + 5000 + CHECKINS_TTL_MS), 0);
	note(c, "b:1", "", 1, NOW + 2 * CHECKINS_TTL_MS); /* and may come again */
	assert_string_equal(told(c, "", NOW + 2 * CHECKINS_TTL_MS), "b:1 weight=1\n");
	checkins_free(c);
}

static void who_has_the_list_is_not_told_it_again(void **state)
{
	struct checkins *c = begin(*state);
	CLEANUP(buf_free) struct buf text = { 0 };
	char digest[DIGEST_HEX_MAX + 1];

	note(c, "a:1", "", 1, NOW);
	assert_int_equal(checkins_tell(c, "", NOW, &text, digest), 0);
	assert_string_equal(told(c, digest, NOW), "");
	note(c, "a:1", "", 1, NOW + 5000); /* it is there still: no news */
	assert_string_equal(told(c, digest, NOW + 5000), "");
	note(c, "b:1", "", 1, NOW + 5000);
	assert_string_equal(told(c, digest, NOW + 5000), "a:1 weight=1\nb:1 weight=1\n");
	assert_string_equal(told(c, digest, NOW + 5000 + CHECKINS_TTL_MS), "");
	checkins_free(c);
}

static void a_hub_that_has_just_begun_gathers(void **state)
{
	struct checkins *c = begin(*state);

	assert_true(checkins_gathers(c, NOW));
	assert_true(checkins_gathers(c, NOW + CHECKINS_GATHER_MS - 1));
	assert_false(checkins_gathers(c, NOW + CHECKINS_GATHER_MS));
	checkins_free(c);
}

static void a_list_goes_on_behind_any_address(void **state)
{
	struct checkins *c = begin(*state);
	struct member_spec s;
	int64_t age_ms;

	assert_false(checkins_next(c, NULL, NOW, &s, &age_ms));
	note(c, "a:1", "", 1, NOW);
	note(c, "c:1", "east", 2, NOW + 10);
	assert_true(checkins_next(c, NULL, NOW + 15, &s, &age_ms));
	assert_string_equal(s.address, "a:1");
	assert_int_equal(age_ms, 15);
	assert_true(checkins_next(c, s.address, NOW + 15, &s, &age_ms));
	assert_string_equal(s.address, "c:1");
	assert_string_equal(s.zone, "east");
	assert_int_equal(age_ms, 5);
	assert_false(checkins_next(c, s.address, NOW + 15, &s, &age_ms));
	assert_true(checkins_next(c, "b:1", NOW + 15, &s, &age_ms)); /* who has gone meanwhile */
	assert_string_equal(s.address, "c:1");
	checkins_free(c);
}

static void there_is_an_end_to_nodes(void **state)
{
	struct checkins *c = begin(*state);
	struct member_spec one_more = { "one-more:1", "", 1 };
	char address[32];

	for (int i = 0; i < MEMBERS_MAX; i++) {
		snprintf(address, sizeof(address), "n%04d:1", i);
		note(c, address, "", 1, NOW + (i > 0));
	}
	assert_int_equal(checkins_note(c, &one_more, "", NOW + 1), -ENOSPC);
	note(c, "n0007:1", "east", 2, NOW + 1); /* who is there may speak still */
	assert_int_equal(checkins_note(c, &one_more, "", NOW + CHECKINS_TTL_MS), 0);
	assert_int_equal(checkins_count(c, NOW + CHECKINS_TTL_MS), MEMBERS_MAX);
	checkins_free(c);
}

/* How many of more than may be are taken from one address, which each comes to twice. */
static int taken_from(struct checkins *c, const char *source)
{
	struct member_spec s = { .weight = 1 };
	int taken = 0, r, again;

	for (int i = 0; i < CHECKINS_SOURCE_MAX + 10; i++) {
		snprintf(s.address, sizeof(s.address), "n%d-%s:1", i, source);
		r = checkins_note(c, &s, source, NOW);
		again = checkins_note(c, &s, source, NOW + 1);
		assert_int_equal(r, again);
		assert_true(r == 0 || r == -EDQUOT);
		taken += r == 0;
	}
	return taken;
}

static void so_many_come_from_one_address_and_no_more(void **state)
{
	struct checkins *c = begin(*state);
	struct member_spec moved = { "n0-10.0.0.1:1", "", 1 };

	assert_int_equal(taken_from(c, "10.0.0.1"), CHECKINS_SOURCE_MAX);
	assert_int_equal(taken_from(c, "10.0.0.2"), CHECKINS_SOURCE_MAX);
	assert_int_equal(taken_from(c, ""), CHECKINS_SOURCE_MAX + 10); /* not known */
	assert_int_equal(checkins_note(c, &moved, "10.0.0.2", NOW), -EDQUOT);
	assert_int_equal(checkins_note(c, &moved, "10.0.0.3", NOW), 0);
	checkins_free(c);
}

/* How many of as many as there can be are taken, each from an address of its own. */
static int taken_of_network(struct checkins *c, bool six)
{
	struct member_spec s = { .weight = 1 };
	char source[CLIENT_ADDRESS_MAX];
	int taken = 0;

	for (unsigned i = 1; i < CHECKINS_NETWORK_MAX + 10; i++) {
		snprintf(source, sizeof(source), six ? "2001:db8::%u:%u" : "10.0.%u.%u", i >> 8,
			 i & 255);
		snprintf(s.address, sizeof(s.address), "n-%s:1", source);
		taken += checkins_note(c, &s, source, NOW) == 0;
	}
	return taken;
}

/* Who has an address of IPv6 has all of its /64. */
static void so_many_come_from_one_network_of_ipv6(void **state)
{
	struct checkins *c = begin(*state);
	struct member_spec there = { "n-2001:db8::1:", "", 1 };

	assert_int_equal(taken_of_network(c, true), CHECKINS_NETWORK_MAX);
	assert_int_equal(checkins_note(c, &there, "2001:db8::ffff:1", NOW), -EDQUOT);
	assert_int_equal(checkins_note(c, &there, "2001:db8:0:1::1", NOW), 0);
	checkins_free(c);
}

/* The twin. */
static void addresses_of_ipv4_are_hosts_each(void **state)
{
	struct checkins *c = begin(*state);

	assert_int_equal(taken_of_network(c, false), CHECKINS_NETWORK_MAX + 9);
	checkins_free(c);
}

static void without_its_key_there_are_none(void **state)
{
	const struct workdir *dir = *state;
	CLEANUP(buf_free) struct buf why = { 0 };
	char path[WORKDIR_PATH_MAX + 8];
	struct checkins *c;

	snprintf(path, sizeof(path), "%s/key", dir->path);
	assert_int_equal(checkins_open(path, NOW, &c, &why), -ENOENT);
	assert_non_null(strstr(buf_str(&why), "/key"));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, workdir_setup, workdir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(who_checks_in_is_told_in_order_and_once),
		STORY(what_a_node_says_last_counts),
		STORY(who_is_not_heard_of_is_forgotten),
		STORY(who_has_the_list_is_not_told_it_again),
		STORY(a_hub_that_has_just_begun_gathers),
		STORY(a_list_goes_on_behind_any_address),
		STORY(there_is_an_end_to_nodes),
		STORY(so_many_come_from_one_address_and_no_more),
		STORY(so_many_come_from_one_network_of_ipv6),
		STORY(addresses_of_ipv4_are_hosts_each),
		STORY(without_its_key_there_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
