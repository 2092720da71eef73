/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual time: nobody waits. */
#include "daemon/peer/members.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define SELF "self:1"
#define HOUR MEMBER_CLEAN_MS

static int setup(void **state)
{
	const struct member_spec self = { SELF, "here", 2 };
	struct members *m;

	if (members_new(&self, &m) < 0)
		return -1;
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	members_free(*state);
	return 0;
}

static void set(struct members *m, const struct member_spec *list, size_t count)
{
	assert_int_equal(members_set(m, list, count), 0);
}

/* A member called "a:1", beside this node. It lives as long as the table. */
static struct member *one_member(struct members *m)
{
	const struct membership *ms;
	struct member *one;

	set(m, &(struct member_spec){ "a:1", "", 1 }, 1);
	ms = members_now(m);
	one = ms->members[membership_find(ms, "a:1")];
	membership_unref(ms);
	return one;
}

static void note(struct member *one, enum member_outcome outcome, int64_t now_ms)
{
	member_note(one, outcome, 0, -1, now_ms);
}

/* All names, with a space behind each and a star behind this node. */
static const char *names(struct members *m)
{
	static char text[1024];
	const struct membership *ms = members_now(m);
	size_t len = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < ms->count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s ",
					member_address(ms->members[i]), i == ms->self ? "*" : "");
	membership_unref(ms);
	return text;
}

struct seen {
	const char *address;
	struct member_status status;
	unsigned count;
};

static void see(void *arg, const struct member_status *s)
{
	struct seen *seen = arg;

	seen->count++;
	if (!strcmp(s->address, seen->address))
		seen->status = *s;
}

static struct member_status status_of(struct members *m, const char *address, int64_t now_ms)
{
	struct seen seen = { .address = address };

	members_each(m, now_ms, see, &seen);
	assert_non_null(seen.status.address);
	return seen.status;
}

/* --- who is a member */

static void alone_this_node_is_the_only_member(void **state)
{
	const struct membership *ms = members_now(*state);

	assert_int_equal(ms->count, 1);
	assert_int_equal(ms->self, 0);
	assert_int_equal(ms->nodes[0].weight, 2);
	assert_true(ms->nodes[0].key == placement_key(SELF));
	membership_unref(ms);
	assert_int_equal(status_of(*state, SELF, 0).state, MEMBER_IS_SELF);
	assert_string_equal(status_of(*state, SELF, 0).zone, "here");
}

static void a_list_is_ordered_and_has_each_once(void **state)
{
	const struct member_spec list[] = {
		{ "b:1", "", 3 }, { "z:1", "", 0 }, { "a:1", "", 1 },
		{ "b:1", "", 9 }, { "B:1", "", 1 }, { "z:1", "", 500 }
	};
	const struct membership *ms;

	set(*state, list, ARRAY_LEN(list));
	assert_string_equal(names(*state), "a:1 b:1 self:1* z:1 ");
	ms = members_now(*state);
	assert_int_equal(ms->nodes[1].weight, 3); /* the first of them */
	assert_int_equal(ms->nodes[3].weight, 1); /* what makes no sense is as near as it can be */
	for (uint32_t i = 0; i < ms->count; i++)
		assert_true(ms->nodes[i].key == placement_key(member_address(ms->members[i])));
	assert_int_equal(membership_find(ms, "b:1"), 1);
	assert_int_equal(membership_find(ms, "B:1"), 1);
	assert_int_equal(membership_find(ms, "c:1"), -ENOENT);
	membership_unref(ms);
}

static void what_the_list_says_of_this_node_counts(void **state)
{
	const struct member_spec list[] = { { SELF, "there", 7 }, { "a:1", "", 1 } };
	const struct membership *ms;

	set(*state, list, 2);
	assert_string_equal(names(*state), "a:1 self:1* ");
	ms = members_now(*state);
	assert_int_equal(ms->nodes[ms->self].weight, 7);
	assert_string_equal(member_zone(ms->members[ms->self]), "there");
	membership_unref(ms);
	set(*state, list + 1, 1); /* and of what it does not say, what this node was told */
	ms = members_now(*state);
	assert_int_equal(ms->nodes[ms->self].weight, 2);
	assert_string_equal(member_zone(ms->members[ms->self]), "here");
	membership_unref(ms);
}

static void a_membership_that_is_held_stays_as_it_was(void **state)
{
	const struct member_spec list[] = { { "a:1", "", 1 }, { "b:1", "", 1 } };
	const struct membership *old, *new;

	set(*state, list, 2);
	old = members_now(*state);
	set(*state, list + 1, 1);
	new = members_now(*state);
	assert_int_equal(old->count, 3);
	assert_string_equal(member_address(old->members[0]), "a:1");
	assert_true(member_may_ask(old->members[0], 0)); /* who holds it may ask still */
	assert_int_equal(new->count, 2);
	assert_true(new->version != old->version);
	membership_unref(new);
	membership_unref(old);
}

static void the_same_list_again_changes_nothing(void **state)
{
	const struct member_spec list[] = { { "a:1", "", 1 }, { "b:1", "", 1 } };
	const struct member_spec turned[] = { list[1], list[0], list[1] };
	const struct member_spec heavier[] = { { "a:1", "", 1 }, { "b:1", "", 2 } };
	const struct membership *ms;
	uint64_t version;

	set(*state, list, 2);
	ms = members_now(*state);
	version = ms->version;
	membership_unref(ms);
	set(*state, turned, 3);
	ms = members_now(*state);
	assert_true(ms->version == version);
	membership_unref(ms);
	set(*state, heavier, 2);
	ms = members_now(*state);
	assert_true(ms->version != version);
	membership_unref(ms);
}

static void who_stays_keeps_his_past(void **state)
{
	const struct member_spec list[] = { { "a:1", "", 1 }, { "b:1", "", 1 } };

	note(one_member(*state), MEMBER_LIED, 1000);
	set(*state, list, 2);
	assert_int_equal(status_of(*state, "a:1", 1000).state, MEMBER_IS_BANNED);
	assert_int_equal(status_of(*state, "b:1", 1000).state, MEMBER_IS_NEW);
}

static void a_ban_is_not_shaken_off_by_leaving(void **state)
{
	note(one_member(*state), MEMBER_LIED, 1000);
	set(*state, NULL, 0);
	assert_string_equal(names(*state), "self:1* ");
	assert_false(member_may_ask(one_member(*state), 2000));
}

/* The twin: the table does not grow for ever. */
static void who_went_long_ago_is_forgotten(void **state)
{
	struct member_spec other = { "", "", 1 };

	note(one_member(*state), MEMBER_LIED, 1000);
	for (int i = 0; i <= MEMBERS_GONE; i++) {
		snprintf(other.address, sizeof(other.address), "other-%d:1", i);
		set(*state, &other, 1);
	}
	set(*state, NULL, 0);
	assert_true(member_may_ask(one_member(*state), 2000));
}

static void who_comes_and_goes_takes_one_place_among_the_gone(void **state)
{
	const struct member_spec flapping = { "f:1", "", 1 };

	note(one_member(*state), MEMBER_LIED, 1000);
	for (int i = 0; i < MEMBERS_GONE / 2; i++) {
		set(*state, &flapping, 1);
		set(*state, NULL, 0);
	}
	assert_false(member_may_ask(one_member(*state), 2000));
}

/* --- this node under another name */

static void an_alias_is_not_asked(void **state)
{
	struct member *one = one_member(*state);

	assert_true(member_may_ask(one, 0));
	member_is_self(one, 0);
	assert_false(member_may_ask(one, 0));
	assert_int_equal(status_of(*state, "a:1", 0).state, MEMBER_IS_SELF);
}

static void an_alias_is_tried_again_by_one_request_at_a_time(void **state)
{
	struct member *one = one_member(*state);

	member_is_self(one, 0);
	assert_true(member_is_doubted(one)); /* so that no reader waits for it */
	assert_false(member_may_ask(one, MEMBER_ALIAS_MS - 1));
	assert_true(member_may_ask(one, MEMBER_ALIAS_MS));
	assert_false(member_may_ask(one, MEMBER_ALIAS_MS));
	member_is_self(one, MEMBER_ALIAS_MS + 10);
	assert_false(member_may_ask(one, 2 * MEMBER_ALIAS_MS));
	assert_true(member_may_ask(one, 2 * MEMBER_ALIAS_MS + 10));
	assert_int_equal(status_of(*state, "a:1", 0).state,
			 MEMBER_IS_SELF); /* it did not answer yet */
}

/* Its address has become another node's. */
static void an_alias_that_answers_as_another_is_another(void **state)
{
	const struct member_spec list[] = { { "a:1", "", 1 }, { "b:1", "", 1 } };
	const struct membership *ms;

	set(*state, list, 2);
	ms = members_now(*state);
	member_is_self(ms->members[1], 0);
	assert_string_equal(names(*state), "a:1 b:1* ");
	member_tell_clock(ms->members[1], 0, MEMBER_ALIAS_MS);
	assert_string_equal(names(*state), "a:1 b:1 self:1* ");
	assert_true(member_may_ask(ms->members[1], MEMBER_ALIAS_MS));
	assert_int_equal(status_of(*state, "b:1", 0).state, MEMBER_IS_NEW);
	membership_unref(ms);
}

/* Somebody on the way sends back what it is asked: that does not make it this node. */
static void who_was_another_lately_does_not_become_this_node(void **state)
{
	struct member *one = one_member(*state);

	member_tell_clock(one, 0, 1000);
	member_is_self(one, 1000 + MEMBER_ANOTHER_MS - 1);
	assert_true(member_is_another(one));
	assert_true(member_may_ask(one, 1000 + MEMBER_ANOTHER_MS - 1));
}

/* The twin: this node has got its address. */
static void who_was_another_long_ago_may_be_this_node_now(void **state)
{
	struct member *one = one_member(*state);

	member_tell_clock(one, 0, 1000);
	member_is_self(one, 1000 + MEMBER_ANOTHER_MS);
	assert_false(member_is_another(one));
	assert_false(member_may_ask(one, 1000 + MEMBER_ANOTHER_MS));
}

static void its_own_name_is_never_asked(void **state)
{
	const struct membership *ms = members_now(*state);
	struct member *own = ms->members[ms->self];

	assert_false(member_may_ask(own, 1000 * MEMBER_ALIAS_MS));
	member_tell_clock(own, 0, 0);
	assert_false(member_may_ask(own, 1000 * MEMBER_ALIAS_MS));
	membership_unref(ms);
}

/* The others know this node only by the name that the list has: it computes with that one, too. */
static void an_alias_in_the_list_is_this_node(void **state)
{
	const struct member_spec list[] = { { "a:1", "", 1 }, { "b:1", "", 1 } };
	const struct membership *ms;

	set(*state, list, 2);
	assert_string_equal(names(*state), "a:1 b:1 self:1* ");
	ms = members_now(*state);
	member_is_self(ms->members[1], 0);
	membership_unref(ms);
	assert_string_equal(names(*state), "a:1 b:1* ");
	set(*state, list, 2); /* it is remembered */
	assert_string_equal(names(*state), "a:1 b:1* ");
	set(*state, list, 1); /* until it goes */
	assert_string_equal(names(*state), "a:1 self:1* ");
}

static void a_list_with_both_names_has_both(void **state)
{
	const struct member_spec list[] = { { "a:1", "", 1 }, { SELF, "", 1 } };
	const struct membership *ms;

	set(*state, list, 2);
	ms = members_now(*state);
	member_is_self(ms->members[0], 0);
	membership_unref(ms);
	assert_string_equal(names(*state), "a:1 self:1* ");
}

/* --- zones and clocks */

static void a_zone_is_heard_where_the_list_is_silent(void **state)
{
	const struct member_spec list[] = { { "a:1", "", 1 }, { "b:1", "east", 1 } };
	const struct membership *ms;

	set(*state, list, 2);
	ms = members_now(*state);
	assert_string_equal(member_zone(ms->members[0]), "");
	member_tell_zone(ms->members[0], "west");
	member_tell_zone(ms->members[1], "west");
	assert_string_equal(member_zone(ms->members[0]), "west");
	assert_string_equal(member_zone(ms->members[1]), "east");
	member_tell_zone(ms->members[0], "no zone\n");
	assert_string_equal(member_zone(ms->members[0]), "");
	member_tell_zone(ms->members[0], "north");
	set(*state, list, 2); /* a list that is still silent takes nothing back */
	assert_string_equal(member_zone(ms->members[0]), "north");
	membership_unref(ms);
}

static void who_has_told_its_clock_is_another_node(void **state)
{
	struct member *one = one_member(*state);

	assert_false(member_is_another(one));
	member_tell_clock(one, 0, 0);
	assert_true(member_is_another(one));
}

static void a_clock_is_as_it_last_told(void **state)
{
	struct member *one = one_member(*state);

	assert_int_equal(member_clock_ahead_ms(one), 0);
	member_tell_clock(one, -90000, 0);
	assert_int_equal(member_clock_ahead_ms(one), -90000);
	assert_true(member_may_ask(one, 0));
}

/* --- silence */

static void the_first_silence_costs_a_moment(void **state)
{
	struct member *one = one_member(*state);

	note(one, MEMBER_SILENT, 1000);
	assert_false(member_may_ask(one, 1000 + MEMBER_HICCUP_MS - 1));
	assert_true(member_may_ask(one, 1000 + MEMBER_HICCUP_MS));
	assert_true(member_may_ask(one, 1000 + MEMBER_HICCUP_MS)); /* for all */
}

static void requests_that_break_together_are_one_silence(void **state)
{
	struct member *one = one_member(*state);

	for (int i = 0; i < 16; i++)
		note(one, MEMBER_SILENT, 1000 + i);
	assert_int_equal(status_of(*state, "a:1", 1020).failures, 1);
	assert_true(member_may_ask(one, 1000 + MEMBER_HICCUP_MS));
}

/* Fails at now_ms and tells how long it is left alone. */
static int64_t pause_after(struct members *m, struct member *one, enum member_outcome outcome,
			   int64_t now_ms)
{
	note(one, outcome, now_ms);
	return status_of(m, "a:1", now_ms).state_until_ms - now_ms;
}

static void silence_in_a_row_costs_twice_as_much_each_time(void **state)
{
	struct member *one = one_member(*state);
	int64_t now = 1000, pause = pause_after(*state, one, MEMBER_SILENT, now);

	for (int64_t nominal = MEMBER_SILENT_MS; nominal < 20 * MEMBER_AWAY_MAX_MS; nominal *= 2) {
		int64_t most = nominal < MEMBER_AWAY_MAX_MS ? nominal : MEMBER_AWAY_MAX_MS;

		now += pause;
		assert_true(member_may_ask(one, now));
		pause = pause_after(*state, one, MEMBER_SILENT, now);
		assert_in_range(pause, most * 3 / 4, most * 5 / 4);
		assert_int_equal(status_of(*state, "a:1", now).state, MEMBER_IS_SILENT);
	}
	note(one, MEMBER_ANSWERED, now + pause);
	assert_int_equal(status_of(*state, "a:1", now + pause).state, MEMBER_IS_UP);
	/* It begins anew. */
	assert_int_equal(pause_after(*state, one, MEMBER_SILENT, now + pause), MEMBER_HICCUP_MS);
}

/* Nobody has signed that it is: so it is left alone, but comes back soon. */
static void who_is_crowded_is_left_alone_briefly_however_often(void **state)
{
	struct member *one = one_member(*state);
	int64_t now = 1000, pause = pause_after(*state, one, MEMBER_CROWDED, now);

	assert_int_equal(pause, MEMBER_HICCUP_MS);
	for (int i = 0; i < 20; i++) {
		assert_false(member_may_ask(one, now + pause - 1));
		now += pause;
		assert_true(member_may_ask(one, now));
		pause = pause_after(*state, one, MEMBER_CROWDED, now);
		assert_in_range(pause, MEMBER_SILENT_MS * 3 / 4, MEMBER_SILENT_MS * 5 / 4);
	}
	note(one, MEMBER_ANSWERED, now + pause);
	assert_int_equal(status_of(*state, "a:1", now + pause).state, MEMBER_IS_UP);
}

/* Silent twice, until the time that is told. */
static int64_t make_silent(struct members *m, struct member *one)
{
	note(one, MEMBER_SILENT, 1000);
	note(one, MEMBER_SILENT, 2000);
	return status_of(m, "a:1", 2000).state_until_ms;
}

static void one_request_tries_who_was_silent(void **state)
{
	struct member *one = one_member(*state);
	int64_t at = make_silent(*state, one);

	assert_false(member_may_ask(one, at - 1));
	assert_true(member_may_ask(one, at));
	assert_false(member_may_ask(one, at));
	assert_false(member_may_ask(one, at + MEMBER_TURN_MS - 1));
	note(one, MEMBER_GAVE, at + 10);
	assert_true(member_may_ask(one, at + 10));
	assert_true(member_may_ask(one, at + 10));
}

static void a_try_that_fails_is_the_next_silence(void **state)
{
	struct member *one = one_member(*state);
	int64_t at = make_silent(*state, one);

	assert_true(member_may_ask(one, at));
	assert_in_range(pause_after(*state, one, MEMBER_SILENT, at + 10), MEMBER_SILENT_MS * 3 / 2,
			MEMBER_SILENT_MS * 5 / 2);
	assert_false(member_may_ask(one, at + 10));
}

static void a_try_that_was_given_up_leaves_the_turn_to_another(void **state)
{
	struct member *one = one_member(*state);
	int64_t at = make_silent(*state, one);

	assert_true(member_may_ask(one, at));
	note(one, MEMBER_LEFT, at + 1);
	assert_true(member_may_ask(one, at + 1));
	assert_false(member_may_ask(one, at + 1));
	assert_int_equal(status_of(*state, "a:1", at).failures, 2);
}

static void a_try_of_which_nothing_is_heard_is_followed_by_another(void **state)
{
	struct member *one = one_member(*state);
	int64_t at = make_silent(*state, one);

	assert_true(member_may_ask(one, at));
	assert_true(member_may_ask(one, at + MEMBER_TURN_MS));
	assert_false(member_may_ask(one, at + MEMBER_TURN_MS));
}

/* A link that works in one direction: that it asks us says nothing of whether it answers. */
static void bytes_that_go_out_prove_nothing(void **state)
{
	struct member *one = one_member(*state);
	int64_t at = make_silent(*state, one);

	member_note_sent(one, 1 << 20);
	assert_false(member_may_ask(one, at - 1));
	assert_int_equal(status_of(*state, "a:1", at).bytes_out, 1 << 20);
}

static void who_gives_while_it_is_left_alone_is_back(void **state)
{
	struct member *one = one_member(*state);
	int64_t at = make_silent(*state, one);

	note(one, MEMBER_GAVE, at - 100); /* a request that was under way */
	assert_true(member_may_ask(one, at - 100));
}

static void nodes_do_not_all_try_at_the_same_moment(void **state)
{
	const struct member_spec other_self = { "other:1", "", 1 };
	struct members *other;

	assert_int_equal(members_new(&other_self, &other), 0);
	assert_int_not_equal(make_silent(*state, one_member(*state)),
			     make_silent(other, one_member(other)));
	members_free(other);
}

/* --- refusals */

static void who_refuses_is_left_alone_for_longer(void **state)
{
	struct member *one = one_member(*state);
	int64_t now = 1000, pause = 0;

	for (int64_t nominal = MEMBER_REFUSED_MS; nominal < 20 * MEMBER_AWAY_MAX_MS; nominal *= 2) {
		int64_t most = nominal < MEMBER_AWAY_MAX_MS ? nominal : MEMBER_AWAY_MAX_MS;

		now += pause;
		assert_true(member_may_ask(one, now));
		pause = pause_after(*state, one, MEMBER_REFUSED, now);
		assert_in_range(pause, most * 3 / 4, most * 5 / 4);
		assert_false(member_may_ask(one, now + pause - 1));
	}
	assert_int_equal(status_of(*state, "a:1", now).state, MEMBER_IS_REFUSED);
	assert_true(member_may_ask(one, now + pause));
	assert_false(member_may_ask(one, now + pause)); /* one tries */
	note(one, MEMBER_ANSWERED, now + pause);
	assert_true(member_may_ask(one, now + pause));
}

/* --- wrong bytes */

static void who_lies_is_banned_and_that_heals(void **state)
{
	struct member *one = one_member(*state);

	member_note(one, MEMBER_LIED, 4096, 3, 1000);
	assert_false(member_may_ask(one, 1000 + MEMBER_BAN_MS - 1));
	assert_int_equal(status_of(*state, "a:1", 2000).bytes_wrong, 4096);
	assert_int_equal(status_of(*state, "a:1", 2000).bytes_in, 0);
	assert_true(member_may_ask(one, 1000 + MEMBER_BAN_MS));
	assert_false(member_may_ask(one, 1000 + MEMBER_BAN_MS)); /* one tries */
	note(one, MEMBER_GAVE, 1000 + MEMBER_BAN_MS);
	assert_true(member_may_ask(one, 1000 + MEMBER_BAN_MS));
}

static void right_bytes_do_not_lift_a_ban(void **state)
{
	struct member *one = one_member(*state);

	note(one, MEMBER_LIED, 1000);
	note(one, MEMBER_GAVE, 2000); /* of a request that was under way */
	note(one, MEMBER_SILENT, 3000);
	assert_false(member_may_ask(one, 1000 + MEMBER_BAN_MS - 1));
	assert_int_equal(status_of(*state, "a:1", 4000).state, MEMBER_IS_BANNED);
}

static void who_lies_again_is_banned_for_longer(void **state)
{
	struct member *one = one_member(*state);
	int64_t now = 1000;
	unsigned bans = 0;

	for (int64_t ban = MEMBER_BAN_MS; bans < 7; ban *= 2) {
		int64_t most = ban < MEMBER_BAN_MAX_MS ? ban : MEMBER_BAN_MAX_MS;

		assert_int_equal(pause_after(*state, one, MEMBER_LIED, now), most);
		assert_int_equal(status_of(*state, "a:1", now).bans, ++bans);
		note(one, MEMBER_LIED, now + 1); /* several at once: one ban */
		assert_int_equal(status_of(*state, "a:1", now).bans, bans);
		now += most;
	}
}

static void who_may_have_been_misled_is_banned_only_if_that_goes_on(void **state)
{
	struct member *one = one_member(*state);

	for (int64_t at = 1000; at <= 1000 + MEMBER_MISLED_MS; at += MEMBER_MISLED_MS / 10) {
		note(one, MEMBER_MISLED, at);
		assert_true(member_may_ask(one, at));
	}
	assert_int_equal(pause_after(*state, one, MEMBER_MISLED, 1001 + MEMBER_MISLED_MS),
			 MEMBER_BAN_MS);
	assert_int_equal(status_of(*state, "a:1", 1000).bans, 1);
}

static void who_was_misled_once_is_not_banned_for_another_time_long_after(void **state)
{
	struct member *one = one_member(*state);

	for (int i = 0; i < 5; i++) {
		note(one, MEMBER_MISLED, 1000 + i * (MEMBER_MISLED_MAX_MS + 1));
		assert_true(member_may_ask(one, 1000 + i * (MEMBER_MISLED_MAX_MS + 1)));
	}
}

static void a_clean_hour_is_one_ban_less(void **state)
{
	struct member *one = one_member(*state);
	int64_t end = 1000 + MEMBER_BAN_MS;

	note(one, MEMBER_LIED, 1000);
	assert_int_equal(pause_after(*state, one, MEMBER_LIED, end), 2 * MEMBER_BAN_MS);
	end += 2 * MEMBER_BAN_MS;
	assert_int_equal(status_of(*state, "a:1", end + HOUR - 1).bans, 2);
	assert_int_equal(status_of(*state, "a:1", end + HOUR).bans, 1);
	assert_int_equal(status_of(*state, "a:1", end + 2 * HOUR).bans, 0);
	/* Two bans were remembered, one is forgotten: this is the second again. */
	assert_int_equal(pause_after(*state, one, MEMBER_LIED, end + HOUR), 2 * MEMBER_BAN_MS);
}

static void a_ban_can_be_taken_back(void **state)
{
	struct member *one = one_member(*state);

	assert_false(members_forgive(*state, "a:1"));
	note(one, MEMBER_LIED, 1000);
	assert_false(members_forgive(*state, "nobody:1"));
	assert_false(members_forgive(*state, SELF));
	assert_false(member_may_ask(one, 2000));
	assert_true(members_forgive(*state, "A:1"));
	assert_true(member_may_ask(one, 2000));
	assert_int_equal(pause_after(*state, one, MEMBER_LIED, 3000), MEMBER_BAN_MS);
	assert_true(members_forgive(*state, NULL));
	assert_true(member_may_ask(one, 3000));
	note(one, MEMBER_REFUSED, 4000);
	assert_false(members_forgive(*state, NULL)); /* that is no ban */
	assert_false(member_may_ask(one, 4000));
}

/* --- patience */

static int64_t patience_of(struct member *m)
{
	int64_t connect_ms;

	return member_patience_ms(m, &connect_ms);
}

static void patience_is_learned(void **state)
{
	struct member *one = one_member(*state);

	assert_int_equal(patience_of(one), MEMBER_PATIENCE_NEW_MS);
	assert_int_equal(status_of(*state, "a:1", 0).first_ms, -1);
	for (int i = 0; i < 50; i++)
		member_note(one, MEMBER_GAVE, 1, 200, i);
	assert_in_range(patience_of(one), 800, 810); /* four times as long */
	assert_int_equal(status_of(*state, "a:1", 0).first_ms, 200);
	for (int i = 0; i < 100; i++)
		member_note(one, MEMBER_ANSWERED, 0, 1, i);
	assert_int_equal(patience_of(one), MEMBER_PATIENCE_MIN_MS);
	for (int i = 0; i < 100; i++)
		member_note(one, MEMBER_GAVE, 1, 60000, i);
	assert_int_equal(patience_of(one), MEMBER_PATIENCE_MAX_MS);
	note(one, MEMBER_GAVE, 1); /* of which the time is not known */
	assert_int_equal(patience_of(one), MEMBER_PATIENCE_MAX_MS);
}

static void who_is_uneven_gets_more_patience(void **state)
{
	struct member *one = one_member(*state);

	for (int i = 0; i < 100; i++)
		member_note(one, MEMBER_GAVE, 1, i % 2 ? 10 : 390, i);
	assert_in_range(patience_of(one), 850, 1100); /* 200, and four times 190 */
}

static void a_line_that_became_slow_is_waited_for(void **state)
{
	struct member *one = one_member(*state);

	for (int i = 0; i < 50; i++)
		member_note(one, MEMBER_GAVE, 1, 10, i);
	assert_int_equal(patience_of(one), MEMBER_PATIENCE_MIN_MS);
	note(one, MEMBER_SILENT, 1000);
	assert_int_equal(patience_of(one), MEMBER_PATIENCE_NEW_MS);
	note(one, MEMBER_SILENT, 2000);
	assert_int_equal(patience_of(one), MEMBER_PATIENCE_NEW_MS);
	member_note(one, MEMBER_GAVE, 1, 900, 9000);
	assert_in_range(patience_of(one), 450, 1300);
}

static int64_t connect_ms(struct member *m)
{
	int64_t ms;

	member_patience_ms(m, &ms);
	return ms;
}

static void who_is_out_of_reach_costs_little(void **state)
{
	struct member *one = one_member(*state);

	assert_int_equal(connect_ms(one), MEMBER_CONNECT_MS);
	note(one, MEMBER_GAVE, 1000);
	assert_int_equal(connect_ms(one), 0);
	note(one, MEMBER_SILENT, 2000);
	assert_int_equal(connect_ms(one), MEMBER_CONNECT_MS);
	note(one, MEMBER_ANSWERED, 4000);
	assert_int_equal(connect_ms(one), 0);
}

static void who_promises_in_vain_is_left_alone_for_longer(void **state)
{
	struct member *one = one_member(*state);
	int64_t pause = pause_after(*state, one, MEMBER_VAIN, 1000);

	assert_in_range(pause, MEMBER_VAIN_MS * 3 / 4, MEMBER_VAIN_MS * 5 / 4);
	assert_false(member_may_ask(one, 1000 + pause - 1));
	assert_true(member_may_ask(one, 1000 + pause));
	note(one, MEMBER_GAVE, 1000 + pause);
	assert_true(member_may_ask(one, 1000 + pause));
}

/* --- counts */

static void all_is_told_of_each(void **state)
{
	struct member *one = one_member(*state);
	struct seen seen = { .address = SELF };

	member_note(one, MEMBER_GAVE, 100, 5, 1000);
	member_note(one, MEMBER_SILENT, 11, -1, 1100); /* broke off behind those */
	member_note_sent(one, 7);
	members_each(*state, 1000, see, &seen);
	assert_int_equal(seen.count, 2);
	assert_true(seen.status.self);
	assert_int_equal(seen.status.weight, 2);
	assert_int_equal(status_of(*state, "a:1", 1000).bytes_in, 111);
	assert_int_equal(status_of(*state, "a:1", 1000).bytes_out, 7);
	assert_int_equal(status_of(*state, "a:1", 1000).requests, 2);
	assert_false(status_of(*state, "a:1", 1000).self);
}

/* --- many threads */

struct fanout {
	struct members *m;
	atomic_uint turns;
	int64_t at;
	struct member *one;
};

static void *try_it(void *arg)
{
	struct fanout *c = arg;

	if (member_may_ask(c->one, c->at))
		atomic_fetch_add(&c->turns, 1);
	for (int i = 0; i < 200; i++) {
		const struct membership *ms = members_now(c->m);

		assert_int_equal(membership_find(ms, SELF), ms->self);
		membership_unref(ms);
	}
	return NULL;
}

static void of_many_threads_one_tries(void **state)
{
	const struct member_spec list[] = { { "a:1", "", 1 }, { "b:1", "", 1 } };
	struct fanout c = { .m = *state, .one = one_member(*state) };
	pthread_t threads[8];

	c.at = make_silent(*state, c.one);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, try_it, &c), 0);
	for (int i = 0; i < 200; i++)
		set(*state, list, 1 + i % 2);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(c.turns, 1);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(alone_this_node_is_the_only_member),
		STORY(a_list_is_ordered_and_has_each_once),
		STORY(what_the_list_says_of_this_node_counts),
		STORY(a_membership_that_is_held_stays_as_it_was),
		STORY(the_same_list_again_changes_nothing),
		STORY(who_stays_keeps_his_past),
		STORY(a_ban_is_not_shaken_off_by_leaving),
		STORY(who_went_long_ago_is_forgotten),
		STORY(who_comes_and_goes_takes_one_place_among_the_gone),
		STORY(an_alias_is_not_asked),
		STORY(an_alias_is_tried_again_by_one_request_at_a_time),
		STORY(an_alias_that_answers_as_another_is_another),
		STORY(who_was_another_lately_does_not_become_this_node),
		STORY(who_was_another_long_ago_may_be_this_node_now),
		STORY(its_own_name_is_never_asked),
		STORY(an_alias_in_the_list_is_this_node),
		STORY(a_list_with_both_names_has_both),
		STORY(a_zone_is_heard_where_the_list_is_silent),
		STORY(who_has_told_its_clock_is_another_node),
		STORY(a_clock_is_as_it_last_told),
		STORY(the_first_silence_costs_a_moment),
		STORY(requests_that_break_together_are_one_silence),
		STORY(who_is_crowded_is_left_alone_briefly_however_often),
		STORY(silence_in_a_row_costs_twice_as_much_each_time),
		STORY(one_request_tries_who_was_silent),
		STORY(a_try_that_fails_is_the_next_silence),
		STORY(a_try_that_was_given_up_leaves_the_turn_to_another),
		STORY(a_try_of_which_nothing_is_heard_is_followed_by_another),
		STORY(bytes_that_go_out_prove_nothing),
		STORY(who_gives_while_it_is_left_alone_is_back),
		STORY(nodes_do_not_all_try_at_the_same_moment),
		STORY(who_refuses_is_left_alone_for_longer),
		STORY(who_lies_is_banned_and_that_heals),
		STORY(right_bytes_do_not_lift_a_ban),
		STORY(who_lies_again_is_banned_for_longer),
		STORY(who_may_have_been_misled_is_banned_only_if_that_goes_on),
		STORY(who_was_misled_once_is_not_banned_for_another_time_long_after),
		STORY(a_clean_hour_is_one_ban_less),
		STORY(a_ban_can_be_taken_back),
		STORY(patience_is_learned),
		STORY(who_is_uneven_gets_more_patience),
		STORY(a_line_that_became_slow_is_waited_for),
		STORY(who_is_out_of_reach_costs_little),
		STORY(who_promises_in_vain_is_left_alone_for_longer),
		STORY(all_is_told_of_each),
		STORY(of_many_threads_one_tries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
