/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/trip_race.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/peer/likely_holders.h"
#include "daemon/peer/waiting.h"

#define NODES 20
#define BLOB 7
#define SEGMENTS 200
#define SIZE (SEGMENTS * SEGMENT_BYTES)
#define CHUNK (UINT64_C(1) << 20)
#define LEN (4 * CHUNK)
#define GIVE_UP_MS 20000
#define NOW 100000

/* This node, others, and one range that it wants, whose segment it does not own or does. */
struct world {
	struct members *members;
	const struct membership *ms;
	struct placement_cache placement;
	struct segment_notes notes;
	struct trip_node node;
	unsigned races_max;
	struct trip_range range;
	uint32_t owners[PLACEMENT_OWNERS];
	struct trip trip;
};

static void find_segment(struct world *w, bool own)
{
	struct segment *s = &w->range.segment;

	for (*s = (struct segment){ BLOB, 0 };; s->index++) {
		bool is_own = false;

		assert_int_equal(placement_cache_owners(&w->placement, w->ms, *s, SIZE, w->owners),
				 PLACEMENT_OWNERS);
		for (unsigned i = 0; i < PLACEMENT_OWNERS; i++)
			is_own |= w->owners[i] == w->ms->self;
		if (own ? w->owners[0] == w->ms->self : !is_own)
			break;
	}
	w->range.size = SIZE;
	w->range.pos = segment_start(s->index);
	w->range.end = w->range.pos + LEN;
}

static void begin(struct world *w)
{
	trip_end(&w->trip);
	trip_begin(&w->trip, &w->node, w->ms, &w->range, NOW);
}

static struct world *new_world(bool own)
{
	static struct world w;
	struct member_spec list[NODES];

	w = (struct world){ .range.size = SIZE, .races_max = 2 };
	for (unsigned i = 0; i < NODES; i++) {
		list[i] = (struct member_spec){ .weight = 1 };
		snprintf(list[i].address, sizeof(list[i].address), "n%02u.example:9980", i);
	}
	assert_int_equal(members_new(&list[0], &w.members), 0);
	assert_int_equal(members_set(w.members, list, NODES), 0);
	w.ms = members_now(w.members);
	placement_cache_init(&w.placement);
	segment_notes_init(&w.notes);
	w.node.placement = &w.placement;
	w.node.notes = &w.notes;
	w.node.give_up_ms = GIVE_UP_MS;
	w.node.races_max = &w.races_max;
	find_segment(&w, own);
	begin(&w);
	return &w;
}

static void end(struct world *w)
{
	trip_end(&w->trip);
	segment_notes_fini(&w->notes);
	placement_cache_fini(&w->placement);
	membership_unref(w->ms);
	members_free(w->members);
}

/* Who is asked next, and is asked now. */
static uint32_t asked(struct world *w, int64_t now_ms, struct trip_ask *ret)
{
	struct trip_step step = trip_next(&w->trip, now_ms);

	assert_int_equal(step.kind, TRIP_ASK);
	*ret = trip_ask(&w->trip, now_ms);
	return step.member;
}

static uint32_t ask(struct world *w, int64_t now_ms)
{
	struct trip_ask words;

	return asked(w, now_ms, &words);
}

static enum route_answer hear(struct world *w, enum route_answer answer, int64_t now_ms)
{
	const struct trip_heard h = { .answer = answer, .quiet_ms = -1, .first_ms = -1 };

	return trip_heard(&w->trip, &h, now_ms);
}

/* It is told which others are to be asked, and its number then. */
static void hear_of(struct world *w, uint32_t other, uint32_t number)
{
	const struct trip_heard h = { ROUTE_ELSEWHERE, &other, 1, number, -1, 1, 0 };

	assert_int_equal(trip_heard(&w->trip, &h, NOW), ROUTE_ELSEWHERE);
}

static struct segment_note trail(struct world *w, int64_t now_ms)
{
	struct segment_note ret;

	segment_notes_find(&w->notes, w->range.segment, now_ms, &ret);
	return ret;
}

struct sought {
	const char *address, *state;
	uint64_t bytes;
};

static void note_state(void *arg, const struct member_status *s)
{
	struct sought *of = arg;

	if (!strcmp(s->address, of->address))
		*of = (struct sought){ of->address, member_state_name(s->state), s->bytes_in };
}

static const char *state_of(struct world *w, uint32_t member, int64_t now_ms)
{
	struct sought of = { member_address(w->ms->members[member]), NULL, 0 };

	members_each(w->members, now_ms, note_state, &of);
	return of.state;
}

static uint64_t bytes_of(struct world *w, uint32_t member)
{
	struct sought of = { member_address(w->ms->members[member]), NULL, 0 };

	members_each(w->members, NOW, note_state, &of);
	return of.bytes;
}

/* ---- where it goes ---- */

static void the_owner_is_asked_first_and_brings_it(UNUSED void **state)
{
	struct world *w = new_world(false);
	struct trip_ask words;

	assert_int_equal(asked(w, NOW, &words), w->owners[0]);
	assert_true(words.bring);
	assert_int_equal(words.number, 0);
	end(w);
}

static void who_gave_last_is_asked_first(UNUSED void **state)
{
	struct world *w = new_world(false);

	ask(w, NOW);
	trip_gave(&w->trip, CHUNK, NOW);
	hear(w, ROUTE_GAVE, NOW);
	assert_int_equal(trail(w, NOW).giver, w->ms->nodes[w->owners[0]].key);
	segment_notes_put(&w->notes, w->range.segment, w->ms->nodes[w->owners[2]].key, NOW);
	begin(w);
	assert_int_equal(ask(w, NOW), w->owners[2]);
	end(w);
}

static void who_is_sent_elsewhere_goes_there_with_the_number_it_was_told(UNUSED void **state)
{
	struct world *w = new_world(false);
	uint32_t other = w->owners[2];
	struct trip_ask words;

	ask(w, NOW);
	hear_of(w, other, 12);
	assert_int_equal(trail(w, NOW).giver, w->ms->nodes[other].key);
	assert_int_equal(asked(w, NOW, &words), other);
	assert_int_equal(words.number, 12);
	/* Who was sent there keeps his number; the twin is told one by the owner itself. */
	trip_gave(&w->trip, CHUNK, NOW);
	trip_heard(&w->trip, &(struct trip_heard){ ROUTE_GAVE, NULL, 0, 99, -1, 1, CHUNK }, NOW);
	assert_int_equal(trail(w, NOW).number, 12);
	end(w);
	w = new_world(false);
	ask(w, NOW);
	trip_gave(&w->trip, CHUNK, NOW);
	trip_heard(&w->trip, &(struct trip_heard){ ROUTE_GAVE, NULL, 0, 99, -1, 1, CHUNK }, NOW);
	assert_int_equal(trail(w, NOW).number, 99);
	end(w);
}

static void who_gives_is_asked_on_until_all_is_there(UNUSED void **state)
{
	struct world *w = new_world(false);
	struct trip_step step;

	ask(w, NOW);
	trip_gave(&w->trip, CHUNK, NOW);
	trip_heard(&w->trip, &(struct trip_heard){ ROUTE_GAVE, NULL, 0, 0, -1, 1, CHUNK }, NOW);
	step = trip_next(&w->trip, NOW);
	assert_int_equal(step.kind, TRIP_ASK);
	assert_int_equal(step.member, w->owners[0]);
	assert_true(step.goes_on);
	trip_gave(&w->trip, LEN - CHUNK, NOW);
	assert_int_equal(trip_next(&w->trip, NOW).kind, TRIP_THERE);
	assert_int_equal(w->node.in, LEN);
	end(w);
}

static void who_is_skipped_is_not_asked_and_nothing_is_noted_of_it(UNUSED void **state)
{
	struct world *w = new_world(false);
	struct trip_step step = trip_next(&w->trip, NOW);

	assert_int_equal(step.member, w->owners[0]);
	assert_false(step.goes_on);
	trip_skip(&w->trip);
	assert_int_equal(ask(w, NOW), w->owners[1]);
	assert_string_equal(state_of(w, w->owners[0], NOW), "new");
	end(w);
}

/* ---- when nobody else is to bring it ---- */

/* How many are asked for what they have before the source is left. */
static unsigned seeks(struct world *w)
{
	struct trip_ask words;
	unsigned count = 0;

	for (; trip_next(&w->trip, NOW).kind == TRIP_ASK; count++) {
		words = trip_ask(&w->trip, NOW);
		assert_false(words.bring);
		assert_int_not_equal(words.number, 0);
		hear(w, ROUTE_NOT_HERE, NOW);
	}
	assert_int_equal(trip_next(&w->trip, NOW).kind, TRIP_SOURCE);
	return count;
}

static void an_owner_asks_a_few_whether_they_have_it_and_more_in_vain(UNUSED void **state)
{
	struct world *w = new_world(true);

	assert_int_equal(seeks(w), LIKELY_HOLDERS_FIRST);
	begin(w);
	assert_int_equal(seeks(w), 2 * LIKELY_HOLDERS_FIRST);
	begin(w);
	assert_int_equal(seeks(w), 0); /* for a moment */
	end(w);
}

/* How often the owner is asked that answers first so, when nobody has it. */
static unsigned owner_is_asked(enum route_answer answer)
{
	struct world *w = new_world(false);
	uint32_t owner = w->owners[0];
	unsigned times = 1;

	assert_int_equal(ask(w, NOW), owner);
	hear(w, answer, NOW);
	while (trip_next(&w->trip, NOW).kind == TRIP_ASK) {
		times += ask(w, NOW) == owner;
		hear(w, ROUTE_NOT_HERE, NOW);
	}
	end(w);
	return times;
}

static void whose_bytes_were_wrong_is_not_asked_whether_it_has_them_by_chance(UNUSED void **state)
{
	assert_int_equal(owner_is_asked(ROUTE_MISLED), 1);
	assert_int_equal(owner_is_asked(ROUTE_NOT_HERE), 2); /* the twin */
}

static void who_asks_upstream_has_number_0(UNUSED void **state)
{
	struct world *w = new_world(true);

	segment_notes_number(&w->notes, w->range.segment, 7, NOW);
	seeks(w);
	assert_int_equal(trail(w, NOW).number, 0);
	end(w);
}

static void who_has_it_by_chance_gives_all_it_has(UNUSED void **state)
{
	struct world *w = new_world(true);
	uint32_t one = ask(w, NOW);

	trip_gave(&w->trip, CHUNK, NOW);
	hear(w, ROUTE_GAVE, NOW);
	assert_int_equal(ask(w, NOW), one);
	hear(w, ROUTE_NOT_HERE, NOW);
	assert_int_not_equal(ask(w, NOW), one);
	end(w);
}

/* ---- when a member says that upstream fails ---- */

#define ANSWER_MS 1000 /* after so long it says so */
#define SOON_MS 3000   /* another is asked then */

/* Who is asked, and says so; *now_ms goes on. */
static uint32_t denied(struct world *w, int64_t *now_ms)
{
	struct trip_step step = trip_next(&w->trip, *now_ms);

	for (; step.kind == TRIP_REST; step = trip_next(&w->trip, *now_ms))
		*now_ms += step.rest_ms;
	if (step.kind != TRIP_ASK || !trip_ask(&w->trip, *now_ms).bring)
		return ROUTE_NOBODY;
	*now_ms += ANSWER_MS;
	hear(w, ROUTE_FAILED, *now_ms);
	return step.member;
}

/* For how long the first is asked, and nobody else. */
static int64_t denied_by_one(struct world *w)
{
	int64_t now_ms = NOW;
	uint32_t one = denied(w, &now_ms), other = one;

	assert_int_equal(one, w->owners[0]);
	while (other == one)
		other = denied(w, &now_ms);
	return now_ms - NOW;
}

/* He tries it again, and is not to blame; those who wait here hear of it, too. */
static void who_says_that_upstream_fails_is_asked_again_and_then_another(UNUSED void **state)
{
	struct world *w = new_world(false);

	trip_demand(&w->trip, true, NOW);
	assert_in_range(denied_by_one(w), SOON_MS, SOON_MS + 4 * ANSWER_MS);
	assert_int_equal(w->trip.member, w->owners[1]);
	assert_int_not_equal(trail(w, NOW).failed_ms, 0);
	assert_string_equal(state_of(w, w->owners[0], NOW), "up");
	end(w);
}

/* Two are believed, and so is one by who knows it himself: he leaves it to him until the end. */
static void who_knows_that_upstream_fails_leaves_it_to_the_owner(UNUSED void **state)
{
	struct world *w = new_world(false);
	int64_t two_ms, now_ms = NOW;

	trip_demand(&w->trip, true, NOW);
	trip_outlook(&w->trip, true, NOW + 2 * GIVE_UP_MS);
	assert_in_range(denied_by_one(w), 2 * GIVE_UP_MS, 2 * GIVE_UP_MS + 4 * ANSWER_MS);
	assert_int_equal(trip_next(&w->trip, NOW + 3 * GIVE_UP_MS).kind, TRIP_OVER);
	begin(w);
	trip_demand(&w->trip, true, NOW);
	denied_by_one(w);
	two_ms = NOW + GIVE_UP_MS / 2;
	for (now_ms = NOW; now_ms < two_ms;)
		assert_int_equal(denied(w, &now_ms), w->owners[1]);
	end(w);
}

/* But not all at the same time. */
static void who_knows_it_from_others_asks_upstream_when_half_of_his_time_is_over(
	UNUSED void **state)
{
	struct world *w = new_world(false);
	int64_t now_ms = NOW;

	trip_demand(&w->trip, true, NOW);
	while (denied(w, &now_ms) != ROUTE_NOBODY)
		;
	assert_in_range(now_ms, NOW + GIVE_UP_MS,
			NOW + GIVE_UP_MS + GIVE_UP_MS / 2 + 4 * ANSWER_MS);
	end(w);
}

/* However long it was: nobody is late, or all is dry, for that. */
static void who_has_it_again_is_waited_for_as_ever(UNUSED void **state)
{
	struct world *w = new_world(false);
	int64_t now_ms = NOW;

	trip_demand(&w->trip, true, NOW);
	trip_outlook(&w->trip, true, NOW + 4 * GIVE_UP_MS);
	while (now_ms < NOW + 2 * GIVE_UP_MS)
		assert_int_equal(denied(w, &now_ms), w->owners[0]);
	now_ms += 2 * ANSWER_MS;
	assert_int_equal(ask(w, now_ms), w->owners[0]);
	now_ms += 2 * ANSWER_MS;
	assert_int_not_equal(trail(w, now_ms).failed_ms, 0);
	assert_int_equal(hear(w, ROUTE_COMING, now_ms), ROUTE_COMING);
	assert_int_equal(trail(w, now_ms).failed_ms, 0);
	trip_outlook(&w->trip, false, NOW + 4 * GIVE_UP_MS);
	now_ms += 2 * ANSWER_MS;
	assert_int_equal(ask(w, now_ms), w->owners[0]);
	end(w);
}

static void when_nothing_comes_for_long_the_source_is_left(UNUSED void **state)
{
	struct world *w = new_world(false);
	struct trip_ask words;

	asked(w, NOW + 4 * GIVE_UP_MS, &words);
	assert_true(words.bring);
	hear(w, ROUTE_COMING, NOW + 4 * GIVE_UP_MS);
	asked(w, NOW + 4 * GIVE_UP_MS + 1, &words);
	assert_false(words.bring);
	end(w);
}

static enum route_answer hope_again(struct world *w, int64_t now_ms)
{
	const struct trip_heard h = { ROUTE_COMING, NULL, 0, 0, 0, -1, 0 };

	return trip_heard(&w->trip, &h, now_ms);
}

/* Whether it is still members who are to bring it. */
static bool is_believed(struct world *w, int64_t now_ms)
{
	struct trip_ask words;

	asked(w, now_ms, &words);
	hope_again(w, now_ms);
	return words.bring;
}

static void a_reader_is_left_time_for_the_source(UNUSED void **state)
{
	struct world *w = new_world(false);

	trip_demand(&w->trip, true, NOW);
	assert_true(is_believed(w, NOW + GIVE_UP_MS));
	assert_false(is_believed(w, NOW + 2 * GIVE_UP_MS));
	begin(w); /* nobody waits */
	assert_true(is_believed(w, NOW + GIVE_UP_MS));
	assert_true(is_believed(w, NOW + 2 * GIVE_UP_MS));
	end(w);
}

static void his_time_begins_when_he_comes_and_with_each_chunk(UNUSED void **state)
{
	int64_t came_ms = NOW + 2 * GIVE_UP_MS, chunk_ms = came_ms + GIVE_UP_MS;
	struct world *w = new_world(false);

	trip_demand(&w->trip, true, came_ms);
	assert_true(is_believed(w, chunk_ms));
	trip_gave(&w->trip, CHUNK, chunk_ms);
	assert_true(is_believed(w, chunk_ms + GIVE_UP_MS));
	assert_false(is_believed(w, chunk_ms + 2 * GIVE_UP_MS));
	end(w);
}

/* ---- what comes of a question ---- */

/* How a member is thought of that ended a question so. */
static const char *after(enum route_answer answer)
{
	struct world *w = new_world(false);
	uint32_t member = ask(w, NOW);
	const char *state;

	hear(w, answer, NOW);
	state = state_of(w, member, NOW);
	end(w);
	return state;
}

static void each_ending_says_something_of_the_member(UNUSED void **state)
{
	static const struct {
		enum route_answer answer;
		const char *state;
	} cases[] = {
		{ ROUTE_SCANT, "slow" },      { ROUTE_COMING, "up" },    { ROUTE_ELSEWHERE, "up" },
		{ ROUTE_BUSY, "up" },         { ROUTE_NOT_HERE, "up" },  { ROUTE_FAILED, "up" },
		{ ROUTE_NONSENSE, "slow" },   { ROUTE_CROWDED, "busy" }, { ROUTE_SILENT, "silent" },
		{ ROUTE_REFUSED, "refused" }, { ROUTE_LIED, "banned" },  { ROUTE_MISLED, "new" },
		{ ROUTE_SLOW, "slow" },       { ROUTE_LEFT, "new" },     { ROUTE_MISPLACED, "up" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(after(cases[i].answer), cases[i].state);
}

/* What was right before is counted as such. */
static void who_gives_a_wrong_chunk_after_right_ones_gave_those(UNUSED void **state)
{
	struct world *w = new_world(false);
	const struct trip_heard h = { ROUTE_LIED, NULL, 0, 0, -1, 1, CHUNK };

	ask(w, NOW);
	trip_gave(&w->trip, CHUNK, NOW);
	trip_gave(&w->trip, CHUNK, NOW);
	assert_int_equal(trip_heard(&w->trip, &h, NOW), ROUTE_LIED);
	assert_int_equal(bytes_of(w, w->owners[0]), 2 * CHUNK);
	assert_string_equal(state_of(w, w->owners[0], NOW), "banned");
	end(w);
}

static void who_is_silent_is_followed_by_the_next(UNUSED void **state)
{
	static const enum route_answer answers[] = { ROUTE_SILENT, ROUTE_REFUSED,  ROUTE_LIED,
						     ROUTE_MISLED, ROUTE_NONSENSE, ROUTE_SLOW };

	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct world *w = new_world(false);
		struct trip_ask words;

		ask(w, NOW);
		hear(w, answers[i], NOW);
		assert_int_equal(asked(w, NOW, &words), w->owners[1]);
		assert_int_equal(words.failed_count, 1);
		assert_int_equal(words.failed[0], w->owners[0]);
		end(w);
	}
}

/* For so long readers that wait for a busy owner rest. */
static int64_t rests(bool demand)
{
	struct world *w = new_world(false);
	int64_t ms = 0;

	trip_demand(&w->trip, demand, NOW);
	while (ask(w, NOW) == w->owners[0]) {
		struct trip_step step;

		hear(w, ROUTE_BUSY, NOW);
		step = trip_next(&w->trip, NOW);
		ms += step.rest_ms;
		if (step.kind != TRIP_REST)
			break;
	}
	end(w);
	return ms;
}

static void who_is_busy_is_asked_again_after_a_rest_and_a_reader_rests_less(UNUSED void **state)
{
	assert_in_range(rests(true), 1000, 2000);
	assert_in_range(rests(false), 4000, 6000);
}

/* Others of his ranges do not wait for it again. */
static void who_is_busy_for_too_long_is_left_alone_for_a_moment(UNUSED void **state)
{
	struct world *w = new_world(false);

	trip_demand(&w->trip, true, NOW);
	while (ask(w, NOW) == w->owners[0]) {
		assert_string_not_equal(state_of(w, w->owners[0], NOW), "silent");
		hear(w, ROUTE_BUSY, NOW);
		trip_next(&w->trip, NOW); /* a rest */
	}
	assert_string_equal(state_of(w, w->owners[0], NOW), "busy");
	begin(w);
	assert_int_equal(ask(w, NOW + MEMBER_BUSY_MS / 2), w->owners[1]);
	begin(w);
	assert_int_equal(ask(w, NOW + 2 * MEMBER_BUSY_MS), w->owners[0]);
	end(w);
}

/* Who is on the line may say so, as nobody signs it. */
static void who_has_no_connection_free_is_not_waited_for(UNUSED void **state)
{
	struct world *w = new_world(false);

	ask(w, NOW);
	hear(w, ROUTE_CROWDED, NOW);
	assert_int_equal(ask(w, NOW), w->owners[1]);
	begin(w);
	assert_int_equal(ask(w, NOW), w->owners[1]);
	begin(w);
	assert_int_equal(ask(w, NOW + MEMBER_HICCUP_MS), w->owners[0]);
	end(w);
}

/* A whole chunk is progress, however short the answer; less is none, and its giver is not asked
 * again and again for it. */
static void who_gives_less_than_a_chunk_is_left(UNUSED void **state)
{
	const struct trip_heard scrap = { ROUTE_GAVE, NULL, 0, 0, -1, 1, 1 };
	struct world *w = new_world(false);
	uint32_t one = ask(w, NOW);

	trip_gave(&w->trip, CHUNK, NOW);
	assert_int_equal(trip_heard(&w->trip, &scrap, NOW), ROUTE_GAVE);
	assert_string_equal(state_of(w, one, NOW), "up");
	assert_int_equal(ask(w, NOW), one);
	assert_int_equal(trip_heard(&w->trip, &scrap, NOW), ROUTE_SCANT);
	assert_string_equal(state_of(w, one, NOW), "slow");
	assert_int_not_equal(ask(w, NOW), one);
	assert_int_equal(w->node.twice, 0);
	begin(w); /* nor does the next way begin with him */
	assert_int_not_equal(ask(w, NOW + MEMBER_VAIN_MS / 2), one);
	end(w);
}

/* What hope means that has been given for so long. */
static enum route_answer hope(struct world *w, int64_t waited_ms, int64_t quiet_ms)
{
	const struct trip_heard h = { ROUTE_COMING, NULL, 0, 0, quiet_ms, -1, 0 };

	begin(w);
	ask(w, NOW);
	return trip_heard(&w->trip, &h, NOW + waited_ms);
}

static void hope_is_believed_for_a_while_and_longer_if_it_gets_on(UNUSED void **state)
{
	struct world *w = new_world(false);

	assert_int_equal(hope(w, 5000, -1), ROUTE_COMING);
	assert_int_equal(hope(w, 5001, 0), ROUTE_COMING);
	assert_int_equal(trail(w, NOW + 5001).moved_ms, NOW + 5001);
	assert_int_equal(hope(w, 5001, -1), ROUTE_SLOW);
	end(w);
}

static void who_shows_hope_is_asked_to_wait_longer(UNUSED void **state)
{
	struct world *w = new_world(false);
	struct trip_ask words;

	asked(w, NOW, &words);
	assert_int_equal(words.wait_ms, WAITING_POLL_MS);
	assert_true(words.patience_ms > words.wait_ms + WAITING_ANSWER_MS);
	hear(w, ROUTE_COMING, NOW + 3000);
	asked(w, NOW + 3000, &words);
	assert_int_equal(words.wait_ms, 3000);
	hope_again(w, NOW + 6000);
	trip_demand(&w->trip, true, NOW + 6000);
	asked(w, NOW + 6000, &words);
	assert_int_equal(words.wait_ms, WAITING_DEMAND_MS);
	end(w);
}

static void hope_that_comes_early_is_not_asked_for_again_at_once(UNUSED void **state)
{
	struct world *w = new_world(false);
	uint32_t one = ask(w, NOW);
	struct trip_step step;

	assert_int_equal(hope_again(w, NOW + 10), ROUTE_COMING);
	step = trip_next(&w->trip, NOW + 10);
	assert_int_equal(step.kind, TRIP_REST);
	assert_int_equal(step.rest_ms, WAITING_POLL_MS - 10);
	assert_int_equal(ask(w, NOW + WAITING_POLL_MS), one);
	hope_again(w, NOW + 2 * WAITING_POLL_MS); /* as late as it was asked to */
	assert_int_equal(ask(w, NOW + 2 * WAITING_POLL_MS), one);
	trip_gave(&w->trip, CHUNK, NOW + 2 * WAITING_POLL_MS);
	hear(w, ROUTE_GAVE, NOW + 2 * WAITING_POLL_MS);
	assert_int_equal(ask(w, NOW + 2 * WAITING_POLL_MS), one); /* bytes are, at once */
	hear(w, ROUTE_SILENT, NOW + 2 * WAITING_POLL_MS);
	assert_int_not_equal(ask(w, NOW + 2 * WAITING_POLL_MS), one); /* and others */
	end(w);
}

static void nobody_waits_for_itself_under_another_name(UNUSED void **state)
{
	struct world *w = new_world(false);
	uint32_t member = ask(w, NOW);

	member_is_self(w->ms->members[member], NOW);
	assert_int_equal(hear(w, ROUTE_COMING, NOW), ROUTE_NOT_HERE);
	assert_int_not_equal(ask(w, NOW), member);
	end(w);
}

static void a_trickle_is_left(UNUSED void **state)
{
	struct world *w = new_world(false);
	struct trip_ask words;

	asked(w, NOW, &words);
	assert_false(trip_is_trickle(&w->trip, NOW, 1, CHUNK, NOW + words.patience_ms + 1000));
	assert_true(trip_is_trickle(&w->trip, NOW, 1, CHUNK, NOW + words.patience_ms + 1001));
	assert_false(
		trip_is_trickle(&w->trip, NOW, CHUNK / 2, CHUNK, NOW + words.patience_ms + 1001));
	end(w);
}

/* ---- a race ---- */

#define LATE (NOW + 1001)
#define ENOUGH (51 * CHUNK) /* so much must have come before one chunk may come twice */

/* A reader waits for who was asked, and members gave this node so much. */
static struct world *wait_for_first(uint64_t in)
{
	struct world *w = new_world(false);

	metrics_add(&w->node.in, in);
	assert_int_equal(ask(w, NOW), w->owners[0]);
	trip_demand(&w->trip, true, NOW);
	return w;
}

static void race_hears(struct world *w, enum route_answer answer, int64_t now_ms)
{
	const struct trip_heard h = { .answer = answer, .quiet_ms = -1, .first_ms = -1 };

	trip_race_ask(&w->trip, now_ms);
	trip_race_heard(&w->trip, &h, now_ms);
}

static void a_reader_has_the_next_one_asked_besides(UNUSED void **state)
{
	struct world *w = wait_for_first(ENOUGH);
	struct trip_ask words;

	assert_int_equal(trip_race(&w->trip, LATE - 1), ROUTE_NOBODY);
	assert_int_equal(trip_race(&w->trip, LATE), w->owners[1]);
	words = trip_race_ask(&w->trip, LATE);
	assert_false(words.bring); /* or it would ask upstream for what the first one brings */
	assert_int_equal(words.failed_count, 1);
	assert_int_equal(words.failed[0], w->owners[0]);
	assert_int_equal(w->node.races, 1);
	/* And one that waits likewise has none, till the first is over: that would be too dear. */
	assert_int_equal(trip_race(&w->trip, LATE), ROUTE_NOBODY);
	trip_race_heard(&w->trip, &(struct trip_heard){ .answer = ROUTE_LEFT }, LATE);
	assert_int_equal(w->node.races, 0);
	end(w);
}

/* Who has been silent to a prefetch before has not let him wait. */
static void a_reader_who_comes_later_waits_as_long(UNUSED void **state)
{
	struct world *w = new_world(false);

	metrics_add(&w->node.in, ENOUGH);
	ask(w, NOW);
	trip_demand(&w->trip, true, NOW + 2000);
	assert_int_equal(trip_race(&w->trip, LATE + 1999), ROUTE_NOBODY);
	assert_int_equal(trip_race(&w->trip, LATE + 2000), w->owners[1]);
	end(w);
}

static void nobody_is_asked_besides_while_this_node_is_busy_itself(UNUSED void **state)
{
	struct world *w = wait_for_first(ENOUGH);

	trip_was_busy(&w->trip, 900);
	assert_int_equal(trip_race(&w->trip, LATE + 899), ROUTE_NOBODY);
	assert_int_equal(trip_race(&w->trip, LATE + 900), w->owners[1]);
	end(w);
}

/* The twins. */
static void nobody_is_if_none_waits_or_it_is_too_dear(UNUSED void **state)
{
	struct world *w = wait_for_first(ENOUGH);

	trip_demand(&w->trip, false, NOW);
	assert_int_equal(trip_race(&w->trip, LATE), ROUTE_NOBODY);
	end(w);
	w = wait_for_first(ENOUGH);
	metrics_add(&w->node.twice, CHUNK);
	assert_int_equal(trip_race(&w->trip, LATE), ROUTE_NOBODY);
	end(w);
	w = wait_for_first(50 * CHUNK);
	assert_int_equal(trip_race(&w->trip, LATE), ROUTE_NOBODY);
	end(w);
	w = wait_for_first(ENOUGH);
	hear(w, ROUTE_FAILED, NOW); /* nor while upstream fails whom it waits for */
	assert_int_equal(trip_race(&w->trip, LATE), ROUTE_NOBODY);
	end(w);
}

/* Of two ranges whose readers wait for the same member: both look before either asks. */
static unsigned races_of_two(uint64_t in, unsigned races_max)
{
	struct world *w = wait_for_first(in);
	struct trip other = w->trip;
	unsigned races;

	w->races_max = races_max;
	races = trip_race(&w->trip, LATE) != ROUTE_NOBODY;
	races += trip_race(&other, LATE) != ROUTE_NOBODY;
	assert_int_equal(w->node.races, races);
	if (w->trip.racer != ROUTE_NOBODY)
		trip_race_skip(&w->trip);
	assert_int_equal(w->node.races, races > 1);
	end(w);
	return races;
}

static void two_at_once_do_not_take_the_same_share(UNUSED void **state)
{
	assert_int_equal(races_of_two(ENOUGH, 2), 1);
	assert_int_equal(races_of_two(2 * ENOUGH, 2), 2); /* the twin */
}

static void no_more_races_are_on_than_there_is_memory_for(UNUSED void **state)
{
	assert_int_equal(races_of_two(2 * ENOUGH, 1), 1);
	assert_int_equal(races_of_two(2 * ENOUGH, 0), 0);
}

/* Nobody is left to be asked: no place is kept for that. */
static void a_race_with_nobody_takes_no_place(UNUSED void **state)
{
	struct world *w = wait_for_first(ENOUGH);

	for (int i = 0; trip_race(&w->trip, LATE) != ROUTE_NOBODY; i++) {
		assert_true(i < NODES);
		race_hears(w, ROUTE_NOT_HERE, LATE);
	}
	assert_int_equal(w->node.races, 0);
	end(w);
}

static void who_wins_is_asked_on_and_a_hiccup_is_forgiven(UNUSED void **state)
{
	struct world *w = wait_for_first(ENOUGH);
	uint32_t first = w->owners[0], racer = trip_race(&w->trip, LATE);

	trip_race_ask(&w->trip, LATE);
	trip_outrun(&w->trip, &(struct trip_heard){ .answer = ROUTE_LEFT }, LATE);
	trip_race_won(&w->trip);
	trip_gave(&w->trip, CHUNK, LATE);
	assert_int_equal(hear(w, ROUTE_GAVE, LATE), ROUTE_GAVE);
	assert_string_equal(state_of(w, first, LATE), "new");
	assert_int_equal(ask(w, LATE), racer);
	assert_int_equal(trail(w, LATE).giver, w->ms->nodes[racer].key);
	segment_notes_forget(&w->notes, BLOB); /* as of another segment */
	begin(w);
	assert_int_equal(ask(w, LATE), first);
	end(w);
}

/* Nobody else was left to be waited for. */
static void who_wins_when_only_the_source_was_left_gives_the_rest(UNUSED void **state)
{
	struct world *w = wait_for_first(ENOUGH);
	uint32_t racer = trip_race(&w->trip, LATE);
	int64_t dry_ms = NOW + GIVE_UP_MS + 1;
	struct trip_ask words;

	trip_race_ask(&w->trip, LATE);
	trip_next(&w->trip, dry_ms);
	assert_true(w->trip.seeks);
	trip_race_won(&w->trip);
	assert_null(w->trip.sought);
	trip_gave(&w->trip, CHUNK, dry_ms);
	assert_int_equal(hear(w, ROUTE_GAVE, dry_ms), ROUTE_GAVE);
	assert_int_equal(asked(w, dry_ms, &words), racer);
	assert_true(words.bring);
	end(w);
}

/* And not where it was when the race began. */
static void who_wins_against_another_than_it_began_with_is_put_on_that_way(UNUSED void **state)
{
	struct world *w = wait_for_first(ENOUGH);
	uint32_t racer = trip_race(&w->trip, LATE), other = w->owners[2];
	struct trip_ask words;

	trip_race_ask(&w->trip, LATE);
	hear_of(w, other, 12);
	assert_int_equal(ask(w, LATE), other);
	trip_race_won(&w->trip);
	trip_gave(&w->trip, CHUNK, LATE);
	hear(w, ROUTE_GAVE, LATE);
	assert_int_equal(ask(w, LATE), racer);
	hear(w, ROUTE_SILENT, LATE);
	assert_int_equal(asked(w, LATE, &words), w->owners[0]); /* which is told */
	assert_int_equal(words.failed_count, 2);
	assert_int_equal(words.failed[0], other);
	assert_int_equal(words.failed[1], racer);
	end(w);
}

/* Nor is it one of those who failed when the way had come to it by itself meanwhile. */
static void who_wins_when_the_way_has_come_to_it_has_not_failed(UNUSED void **state)
{
	struct world *w = wait_for_first(ENOUGH);
	uint32_t racer = trip_race(&w->trip, LATE);

	trip_race_ask(&w->trip, LATE);
	hear(w, ROUTE_NOT_HERE, LATE);
	assert_int_equal(trip_next(&w->trip, LATE).member, racer);
	trip_race_won(&w->trip);
	trip_gave(&w->trip, CHUNK, LATE);
	hear(w, ROUTE_GAVE, LATE);
	assert_int_equal(ask(w, LATE), racer);
	assert_int_equal(w->trip.route.failed_count, 1);
	assert_int_equal(w->trip.route.failed[0], w->owners[0]);
	end(w);
}

/* The twin: who it began with is left for the next one. */
static void who_wins_against_the_first_is_followed_by_the_next(UNUSED void **state)
{
	struct world *w = wait_for_first(ENOUGH);
	uint32_t racer = trip_race(&w->trip, LATE);

	trip_race_ask(&w->trip, LATE);
	trip_race_won(&w->trip);
	trip_gave(&w->trip, CHUNK, LATE);
	hear(w, ROUTE_GAVE, LATE);
	assert_int_equal(ask(w, LATE), racer);
	hear(w, ROUTE_SILENT, LATE);
	assert_int_equal(ask(w, LATE), w->owners[2]);
	end(w);
}

/* Twice within a minute: how the first one is then, if it had given so many chunks, and had said so
 * much, when it was outrun. */
static struct world *outrun_twice(unsigned gave, enum route_answer said)
{
	struct world *w = wait_for_first(ENOUGH);
	const struct trip_heard h = {
		.answer = said, .quiet_ms = -1, .first_ms = -1, .bytes = gave * CHUNK
	};

	for (int64_t now_ms = LATE; now_ms <= LATE + 5000; now_ms += 5000) {
		if (now_ms > LATE)
			assert_int_equal(ask(w, NOW), w->owners[0]);
		for (unsigned i = 0; i < gave; i++)
			trip_gave(&w->trip, CHUNK, NOW);
		assert_int_equal(trip_race(&w->trip, now_ms), w->owners[1]);
		trip_race_ask(&w->trip, now_ms);
		trip_outrun(&w->trip, &h, now_ms);
		trip_race_won(&w->trip);
		begin(w);
		segment_notes_forget(&w->notes, BLOB);
		begin(w);
		trip_demand(&w->trip, true, NOW);
	}
	return w;
}

static void who_is_outrun_again_and_gives_nothing_is_slow(UNUSED void **state)
{
	struct world *w = outrun_twice(0, ROUTE_LEFT);

	assert_string_equal(state_of(w, w->owners[0], LATE + 5000), "slow");
	end(w);
}

/* Whom an owner names: one who is slow, and so many more. Who is asked then. */
static uint32_t asked_of_named(struct world *w, uint32_t slow, unsigned more)
{
	uint32_t names[] = { slow, w->owners[1] };
	const struct trip_heard h = { ROUTE_ELSEWHERE, names, 1 + more, 7, -1, 1, 0 };

	for (int64_t ms = NOW - 2000; ms <= NOW; ms += 2000)
		member_note(w->ms->members[slow], MEMBER_OUTRUN, 0, -1, ms);
	assert_string_equal(state_of(w, slow, NOW), "slow");
	assert_int_equal(ask(w, NOW), w->owners[0]);
	trip_heard(&w->trip, &h, NOW);
	return ask(w, NOW);
}

static void others_are_asked_before_who_is_slow(UNUSED void **state)
{
	struct world *w = new_world(false);

	assert_int_equal(asked_of_named(w, w->owners[2], 1), w->owners[1]);
	end(w);
}

/* The twin: its owner would name it again and again, and be thought to fail. */
static void where_nobody_else_is_named_who_is_slow_is_asked(UNUSED void **state)
{
	struct world *w = new_world(false);

	assert_int_equal(asked_of_named(w, w->owners[2], 0), w->owners[2]);
	end(w);
}

/* That others have bytes is no reason to fetch them a second time from upstream. */
static void who_is_outrun_ever_so_often_brings_what_it_owns(UNUSED void **state)
{
	struct world *w = outrun_twice(0, ROUTE_LEFT);
	struct trip_ask words;

	assert_int_equal(asked(w, LATE + 5000, &words), w->owners[0]);
	assert_true(words.bring);
	end(w);
}

/* The twins. */
static void who_gave_before_it_was_outrun_is_not_slow(UNUSED void **state)
{
	struct world *w = outrun_twice(2, ROUTE_LEFT);

	assert_string_equal(state_of(w, w->owners[0], LATE + 5000), "up");
	assert_int_equal(bytes_of(w, w->owners[0]), 4 * CHUNK);
	end(w);
}

/* Nor is who is usually late with a word, behind a slow link. */
static void who_had_not_answered_yet_as_usual_is_not_silent(UNUSED void **state)
{
	for (int64_t ms = 0; ms <= 4000; ms += 4000) {
		struct world *w = wait_for_first(ENOUGH);
		struct member *first = w->ms->members[w->owners[0]];

		for (int i = 0; i < 20; i++)
			member_note(first, MEMBER_ANSWERED, 0, ms ? 4000 : 1, NOW - 2000);
		member_note(first, MEMBER_OUTRUN, 0, -1, NOW - 2000);
		begin(w);
		trip_demand(&w->trip, true, NOW);
		assert_int_equal(ask(w, NOW), w->owners[0]);
		trip_race(&w->trip, LATE);
		trip_race_ask(&w->trip, LATE);
		trip_outrun(&w->trip,
			    &(struct trip_heard){ .answer = ROUTE_SILENT, .first_ms = -1 }, LATE);
		trip_race_won(&w->trip);
		assert_string_equal(state_of(w, w->owners[0], LATE), ms ? "slow" : "silent");
		end(w);
	}
}

static void who_had_not_even_answered_is_silent(UNUSED void **state)
{
	struct world *w = outrun_twice(0, ROUTE_SILENT);

	assert_string_equal(state_of(w, w->owners[0], LATE + 5000), "silent");
	assert_int_not_equal(ask(w, LATE + 5000), w->owners[0]);
	end(w);
}

/* The twin: it waits itself, for upstream, say. */
static void who_says_that_it_comes_may_be_outrun_ever_so_often(UNUSED void **state)
{
	struct world *w = wait_for_first(ENOUGH);
	uint32_t first = w->owners[0];

	for (int64_t now_ms = LATE; now_ms <= LATE + 3000; now_ms += 1500) {
		assert_int_equal(hear(w, ROUTE_COMING, now_ms), ROUTE_COMING);
		assert_int_equal(trip_race(&w->trip, now_ms), w->owners[1]);
		trip_race_ask(&w->trip, now_ms);
		trip_outrun(&w->trip, &(struct trip_heard){ .answer = ROUTE_SILENT }, now_ms);
		trip_race_won(&w->trip);
		assert_string_equal(state_of(w, first, now_ms), "up");
		begin(w);
		trip_demand(&w->trip, true, NOW);
		assert_int_equal(ask(w, now_ms), first);
		w->trip.since_ms = NOW;
	}
	end(w);
}

static void who_has_nothing_is_followed_by_the_next(UNUSED void **state)
{
	struct world *w = wait_for_first(ENOUGH);

	assert_int_equal(trip_race(&w->trip, LATE), w->owners[1]);
	race_hears(w, ROUTE_NOT_HERE, LATE);
	assert_int_equal(trip_race(&w->trip, LATE), w->owners[2]);
	race_hears(w, ROUTE_SILENT, LATE);
	assert_string_equal(state_of(w, w->owners[1], LATE), "up");
	assert_string_equal(state_of(w, w->owners[2], LATE), "silent");
	/* The way itself is where it was. */
	assert_int_equal(ask(w, LATE), w->owners[0]);
	end(w);
}

/* The twin: not all are to try it. */
static void but_not_if_upstream_fails_it(UNUSED void **state)
{
	struct world *w = wait_for_first(ENOUGH);

	assert_int_equal(trip_race(&w->trip, LATE), w->owners[1]);
	race_hears(w, ROUTE_FAILED, LATE);
	assert_int_equal(trip_race(&w->trip, LATE + GIVE_UP_MS), ROUTE_NOBODY);
	end(w);
}

static void who_has_it_coming_is_asked_again_but_not_at_once(UNUSED void **state)
{
	struct world *w = wait_for_first(ENOUGH);

	assert_int_equal(trip_race(&w->trip, LATE), w->owners[1]);
	race_hears(w, ROUTE_COMING, LATE);
	assert_int_equal(trip_race(&w->trip, LATE + WAITING_POLL_MS - 1), ROUTE_NOBODY);
	assert_int_equal(trip_race(&w->trip, LATE + WAITING_POLL_MS), w->owners[1]);
	end(w);
}

/* The twin keeps the number that it has. */
static void who_is_sent_elsewhere_besides_goes_there_with_the_number_it_was_told(
	UNUSED void **state)
{
	static const enum route_answer answers[] = { ROUTE_ELSEWHERE, ROUTE_NOT_HERE };

	for (unsigned i = 0; i < 2; i++) {
		struct world *w = wait_for_first(ENOUGH);
		const uint32_t other = w->owners[2];
		const struct trip_heard h = { answers[i], &other, 1, 12, -1, 1, 0 };

		assert_int_equal(trip_race(&w->trip, LATE), w->owners[1]);
		trip_race_ask(&w->trip, LATE);
		trip_race_heard(&w->trip, &h, LATE);
		assert_int_equal(trail(w, LATE).number, i ? 0 : 12);
		assert_int_equal(trip_race(&w->trip, LATE), other);
		assert_int_equal(trip_race_ask(&w->trip, LATE).number, i ? 0 : 12);
		end(w);
	}
}

static void who_is_tried_by_others_is_skipped(UNUSED void **state)
{
	struct world *w = wait_for_first(ENOUGH);

	assert_int_equal(trip_race(&w->trip, LATE), w->owners[1]);
	trip_race_skip(&w->trip);
	assert_int_equal(trip_race(&w->trip, LATE), w->owners[2]);
	assert_string_equal(state_of(w, w->owners[1], LATE), "new");
	end(w);
}

static void no_race_is_with_upstream(UNUSED void **state)
{
	struct world *w = new_world(true);

	metrics_add(&w->node.in, ENOUGH);
	trip_demand(&w->trip, true, NOW);
	ask(w, NOW); /* whether it has it by chance */
	assert_int_equal(trip_race(&w->trip, LATE), ROUTE_NOBODY);
	end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_owner_is_asked_first_and_brings_it),
		cmocka_unit_test(who_gave_last_is_asked_first),
		cmocka_unit_test(who_is_sent_elsewhere_goes_there_with_the_number_it_was_told),
		cmocka_unit_test(who_gives_is_asked_on_until_all_is_there),
		cmocka_unit_test(who_is_skipped_is_not_asked_and_nothing_is_noted_of_it),
		cmocka_unit_test(an_owner_asks_a_few_whether_they_have_it_and_more_in_vain),
		cmocka_unit_test(whose_bytes_were_wrong_is_not_asked_whether_it_has_them_by_chance),
		cmocka_unit_test(who_asks_upstream_has_number_0),
		cmocka_unit_test(who_has_it_by_chance_gives_all_it_has),
		cmocka_unit_test(who_says_that_upstream_fails_is_asked_again_and_then_another),
		cmocka_unit_test(who_knows_that_upstream_fails_leaves_it_to_the_owner),
		cmocka_unit_test(
			who_knows_it_from_others_asks_upstream_when_half_of_his_time_is_over),
		cmocka_unit_test(who_has_it_again_is_waited_for_as_ever),
		cmocka_unit_test(when_nothing_comes_for_long_the_source_is_left),
		cmocka_unit_test(a_reader_is_left_time_for_the_source),
		cmocka_unit_test(his_time_begins_when_he_comes_and_with_each_chunk),
		cmocka_unit_test(each_ending_says_something_of_the_member),
		cmocka_unit_test(who_gives_a_wrong_chunk_after_right_ones_gave_those),
		cmocka_unit_test(who_is_silent_is_followed_by_the_next),
		cmocka_unit_test(who_is_busy_is_asked_again_after_a_rest_and_a_reader_rests_less),
		cmocka_unit_test(who_is_busy_for_too_long_is_left_alone_for_a_moment),
		cmocka_unit_test(who_has_no_connection_free_is_not_waited_for),
		cmocka_unit_test(who_gives_less_than_a_chunk_is_left),
		cmocka_unit_test(hope_is_believed_for_a_while_and_longer_if_it_gets_on),
		cmocka_unit_test(who_shows_hope_is_asked_to_wait_longer),
		cmocka_unit_test(hope_that_comes_early_is_not_asked_for_again_at_once),
		cmocka_unit_test(nobody_waits_for_itself_under_another_name),
		cmocka_unit_test(a_trickle_is_left),
		cmocka_unit_test(a_reader_has_the_next_one_asked_besides),
		cmocka_unit_test(a_reader_who_comes_later_waits_as_long),
		cmocka_unit_test(nobody_is_asked_besides_while_this_node_is_busy_itself),
		cmocka_unit_test(nobody_is_if_none_waits_or_it_is_too_dear),
		cmocka_unit_test(two_at_once_do_not_take_the_same_share),
		cmocka_unit_test(no_more_races_are_on_than_there_is_memory_for),
		cmocka_unit_test(a_race_with_nobody_takes_no_place),
		cmocka_unit_test(who_wins_is_asked_on_and_a_hiccup_is_forgiven),
		cmocka_unit_test(who_wins_when_only_the_source_was_left_gives_the_rest),
		cmocka_unit_test(who_wins_against_another_than_it_began_with_is_put_on_that_way),
		cmocka_unit_test(who_wins_when_the_way_has_come_to_it_has_not_failed),
		cmocka_unit_test(who_wins_against_the_first_is_followed_by_the_next),
		cmocka_unit_test(who_is_outrun_again_and_gives_nothing_is_slow),
		cmocka_unit_test(others_are_asked_before_who_is_slow),
		cmocka_unit_test(where_nobody_else_is_named_who_is_slow_is_asked),
		cmocka_unit_test(who_is_outrun_ever_so_often_brings_what_it_owns),
		cmocka_unit_test(who_gave_before_it_was_outrun_is_not_slow),
		cmocka_unit_test(who_had_not_even_answered_is_silent),
		cmocka_unit_test(who_had_not_answered_yet_as_usual_is_not_silent),
		cmocka_unit_test(who_says_that_it_comes_may_be_outrun_ever_so_often),
		cmocka_unit_test(who_has_nothing_is_followed_by_the_next),
		cmocka_unit_test(but_not_if_upstream_fails_it),
		cmocka_unit_test(who_has_it_coming_is_asked_again_but_not_at_once),
		cmocka_unit_test(
			who_is_sent_elsewhere_besides_goes_there_with_the_number_it_was_told),
		cmocka_unit_test(who_is_tried_by_others_is_skipped),
		cmocka_unit_test(no_race_is_with_upstream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
