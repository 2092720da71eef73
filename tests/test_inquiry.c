/* SPDX-License-Identifier: Apache-2.0 */
/* Who is believed of what is wrong in a segment, and who is banned for it. */
#include "daemon/peer/inquiry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/cache/chunk.h"
#include "tests/cell.h"
#include "tests/fake_member.h"

#define CHUNKS 3
#define SIZE (CHUNKS * CHUNK_BYTES)
#define WRONG 1   /* the chunk that may be */
#define OTHER 999 /* seed of wrong bytes */
#define SELF "127.0.0.1:1"
#define MEMBERS 4

struct fixture {
	struct cell cell;
	struct source_blob what;
	uint64_t seed;
	struct cluster_key *key;
	struct httpc *http;
	struct members *members;
	struct places places;
	struct trails trails;
	struct published *published;
	struct peer_counts counts;
	struct asker asker;
	struct inquiry_conf conf;
	struct fake_member fakes[MEMBERS];
	/* By their places for the segment. */
	struct fake_member *owner, *witness, *second, *giver;
	struct wire_digests told;
};

static struct fake_member *fake_at(struct fixture *f, const char *address)
{
	for (int i = 0; i < MEMBERS; i++)
		if (strcmp(f->fakes[i].address, address) == 0)
			return &f->fakes[i];
	return NULL;
}

/* A file of which this node is neither owner nor witness. */
static void find_file(struct fixture *f)
{
	const struct membership *members = members_now(f->members);
	struct fake_member *of[PLACEMENT_OWNERS] = { NULL };
	uint32_t owners[PLACEMENT_OWNERS];
	struct segment segment = { 0 };

	while (!of[0] || !of[1] || !of[2]) {
		f->seed++;
		fake_blob(f->seed, SIZE, DIGEST_SHA256, &f->what);
		segment.blob = placement_key(f->what.etag);
		assert_int_equal(places_owners(&f->places, members, segment, SIZE, owners),
				 PLACEMENT_OWNERS);
		for (int i = 0; i < PLACEMENT_OWNERS; i++)
			of[i] = fake_at(f, member_address(members->members[owners[i]]));
	}
	membership_unref(members);
	f->owner = of[0];
	f->witness = of[1];
	f->second = of[2];
	for (int i = 0; i < MEMBERS; i++)
		if (&f->fakes[i] != of[0] && &f->fakes[i] != of[1] && &f->fakes[i] != of[2])
			f->giver = &f->fakes[i];
}

static void open_key(struct fixture *f)
{
	static const char text[] = "the first key of 16 bytes or more\n";
	CLEANUP(buf_free) struct buf path = { 0 }, why = { 0 };

	buf_printf(&path, "%s/key", f->cell.dir.path);
	assert_int_equal(file_replace(AT_FDCWD, buf_str(&path), text, strlen(text), 0600), 0);
	assert_int_equal(cluster_key_open(buf_str(&path), clock_wall_ms(), &f->key, &why), 0);
}

static void begin_members(struct fixture *f)
{
	struct member_spec list[MEMBERS + 1] = { { SELF, "", 1 } };

	for (int i = 0; i < MEMBERS; i++) {
		fake_member_start(&f->fakes[i], f->key);
		list[i + 1].weight = 1;
		snprintf(list[i + 1].address, sizeof(list[0].address), "%s", f->fakes[i].address);
	}
	assert_int_equal(members_new(&list[0], &f->members), 0);
	assert_int_equal(members_set(f->members, list, MEMBERS + 1), 0);
}

static int set_up(void **state)
{
	const struct httpc_conf http = { .connect_ms = 1000, .stall_ms = 5000 };
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	cell_init(&f->cell, 0);
	open_key(f);
	begin_members(f);
	places_init(&f->places);
	trails_init(&f->trails);
	assert_int_equal(httpc_new(&http, &f->http), 0);
	assert_int_equal(published_new(NULL, 0, f->cell.evidence, &f->published), 0);
	f->asker = (struct asker){ f->key, f->http, false, SELF, "", "66" };
	f->conf = (struct inquiry_conf){
		.members = f->members,
		.places = &f->places,
		.trails = &f->trails,
		.evidence = f->cell.evidence,
		.published = f->published,
		.testimony = f->cell.testimony,
		.asker = &f->asker,
		.counts = &f->counts,
		.give_up_ms = 3000,
	};
	find_file(f);
	f->cell.hub.seed = f->seed;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < MEMBERS; i++)
		fake_member_stop(&f->fakes[i]);
	published_free(f->published);
	httpc_free(f->http);
	members_free(f->members);
	cluster_key_free(f->key);
	trails_fini(&f->trails);
	places_fini(&f->places);
	cell_fini(&f->cell);
	free(f);
	return 0;
}

/* ---- what there is to say ---- */

/* All chunks, with those bytes in chunk WRONG. */
static void say(struct fixture *f, struct fake_member *m, enum fake_role role, uint64_t seed)
{
	for (uint32_t i = 0; i < CHUNKS; i++)
		cell_digest(i == WRONG ? seed : f->seed, SIZE, i, m->says[role].of[i]);
}

/* The giver gave all of it, with those bytes in chunk WRONG. */
static void bring(struct fixture *f, uint64_t seed)
{
	for (uint32_t i = 0; i < CHUNKS; i++)
		cell_put(&f->cell, &f->what, i, i == WRONG ? seed : f->seed, f->giver->address);
}

static void moved(UNUSED void *arg)
{
}

/* What inquiry_compare says; or (early false) how many inquiry_look drops. */
static int look(struct fixture *f, bool early, struct inquiry_compared *ret)
{
	struct httpc_cancel cancel = { 0 };
	struct doubt d = { .what = &f->what, .cancel = &cancel, .moved = moved };
	int r;

	/* No handle: with that the digest of all that is there would tell. */
	assert_int_equal(store_blob(f->cell.store, f->what.etag, SIZE, false, &d.blob), 0);
	ret->told = f->told;
	r = early ? inquiry_compare(&f->conf, &d, 0, f->owner->address, ret)
		  : inquiry_look(&f->conf, &d);
	f->told = ret->told;
	assert_true(blob_may_have(d.blob, 0));
	blob_unref(d.blob);
	return r;
}

static unsigned dropped_early(struct fixture *f)
{
	struct inquiry_compared c;

	assert_int_equal(look(f, true, &c), 0);
	return c.dropped;
}

struct finding {
	const char *address;
	char state[20];
};

static void find_state(void *arg, const struct member_status *s)
{
	struct finding *finding = arg;

	if (strcmp(s->address, finding->address) == 0)
		snprintf(finding->state, sizeof(finding->state), "%s",
			 member_state_name(s->state));
}

static bool is_in_state(struct fixture *f, const struct fake_member *m, const char *state)
{
	struct finding finding = { .address = m->address };

	members_each(f->members, clock_ms(), find_state, &finding);
	return strcmp(finding.state, state) == 0;
}

/* Nobody but this one (or NULL) is banned. */
static void assert_banned(struct fixture *f, const struct fake_member *m)
{
	for (int i = 0; i < MEMBERS; i++)
		assert_int_equal(is_in_state(f, &f->fakes[i], "banned"), &f->fakes[i] == m);
}

/* ---- one segment, while others come ---- */

static void what_is_as_its_owner_had_it_costs_one_question(void **state)
{
	struct fixture *f = *state;

	bring(f, f->seed);
	say(f, f->owner, FAKE_VOUCHER, f->seed);
	assert_int_equal(dropped_early(f), 0);
	assert_int_equal(dropped_early(f), 0); /* it has told */
	assert_int_equal(f->owner->asked[FAKE_VOUCHER], 1);
	assert_int_equal(f->witness->asked[FAKE_WITNESS], 0);
	assert_banned(f, NULL);
}

static void who_changed_a_chunk_on_its_way_is_banned_and_it_alone_goes(void **state)
{
	struct fixture *f = *state;

	bring(f, OTHER);
	say(f, f->owner, FAKE_VOUCHER, f->seed);
	say(f, f->giver, FAKE_HOLDER, f->seed);
	assert_int_equal(dropped_early(f), 1 << WRONG);
	assert_banned(f, f->giver);
	assert_int_equal(f->witness->asked[FAKE_WITNESS], 0);
}

static void who_holds_what_it_gave_may_have_been_misled(void **state)
{
	struct fixture *f = *state;

	bring(f, OTHER);
	say(f, f->owner, FAKE_VOUCHER, f->seed);
	say(f, f->witness, FAKE_WITNESS, f->seed);
	say(f, f->giver, FAKE_HOLDER, OTHER);
	assert_int_equal(dropped_early(f), 1 << WRONG);
	assert_int_equal(f->second->asked[FAKE_WITNESS], 0);
	assert_banned(f, NULL);
}

static void unless_it_vouches_for_it(void **state)
{
	struct fixture *f = *state;

	bring(f, OTHER);
	say(f, f->owner, FAKE_VOUCHER, f->seed);
	say(f, f->witness, FAKE_WITNESS, f->seed);
	say(f, f->giver, FAKE_HOLDER, OTHER);
	say(f, f->giver, FAKE_VOUCHER, OTHER);
	assert_int_equal(dropped_early(f), 1 << WRONG);
	assert_banned(f, f->giver);
}

static void who_says_nothing_of_it_may_have_been_misled_too(void **state)
{
	struct fixture *f = *state;

	bring(f, OTHER);
	say(f, f->owner, FAKE_VOUCHER, f->seed);
	assert_int_equal(dropped_early(f), 1 << WRONG);
	assert_int_equal(f->witness->asked[FAKE_WITNESS], 0);
	assert_banned(f, NULL);
}

/* Else an owner that lies could have it dropped for ever. */
static void but_only_once_is_it_dropped_without_a_witness(void **state)
{
	struct fixture *f = *state;
	struct inquiry_compared c;

	evidence_drop(f->cell.evidence, f->what.etag, WRONG);
	bring(f, f->seed);
	say(f, f->owner, FAKE_VOUCHER, OTHER);
	say(f, f->witness, FAKE_WITNESS, f->seed);
	assert_int_equal(look(f, true, &c), 0);
	assert_int_equal(c.dropped, 0);
	assert_false(c.open);
	assert_true(c.refuted);
}

static void an_owner_that_gave_otherwise_than_it_vouches_is_banned(void **state)
{
	struct fixture *f = *state;

	f->giver = f->owner;
	bring(f, OTHER);
	say(f, f->owner, FAKE_VOUCHER, f->seed);
	assert_int_equal(dropped_early(f), 1 << WRONG);
	assert_int_equal(f->witness->asked[FAKE_WITNESS], 0);
	assert_banned(f, f->owner);
}

static void an_owner_that_lies_makes_nothing_go_that_is_right(void **state)
{
	struct fixture *f = *state;
	struct inquiry_compared c;

	bring(f, f->seed);
	say(f, f->owner, FAKE_VOUCHER, OTHER);
	say(f, f->giver, FAKE_HOLDER, f->seed);
	say(f, f->witness, FAKE_WITNESS, f->seed);
	assert_int_equal(look(f, true, &c), 0);
	assert_int_equal(c.dropped, 0);
	assert_true(c.refuted);
	assert_banned(f, NULL);
}

static void where_owner_witness_and_giver_differ_another_witness_tells(void **state)
{
	struct fixture *f = *state;

	bring(f, OTHER);
	say(f, f->owner, FAKE_VOUCHER, f->seed);
	say(f, f->giver, FAKE_HOLDER, OTHER);
	say(f, f->witness, FAKE_WITNESS, OTHER + 1);
	say(f, f->second, FAKE_WITNESS, f->seed);
	assert_int_equal(dropped_early(f), 1 << WRONG);
	assert_int_equal(f->second->asked[FAKE_WITNESS], 1);
	assert_banned(f, NULL);
}

static void who_knows_nothing_leaves_it_to_the_digest_of_the_whole(void **state)
{
	struct fixture *f = *state;
	struct inquiry_compared c;

	bring(f, OTHER);
	assert_int_equal(look(f, true, &c), -ENOENT);
	assert_int_equal(c.dropped, 0);
	assert_int_equal(f->owner->asked[FAKE_VOUCHER], 1);
	assert_int_equal(f->witness->asked[FAKE_WITNESS], 0);
}

static void what_has_rotted_here_is_nobodys_lie(void **state)
{
	struct fixture *f = *state;
	struct blob *b;

	bring(f, f->seed);
	assert_int_equal(store_blob(f->cell.store, f->what.etag, SIZE, false, &b), 0);
	assert_int_equal(blob_write(b, "rot", 3, chunk_start(WRONG)), 0);
	blob_unref(b);
	say(f, f->owner, FAKE_VOUCHER, f->seed);
	assert_int_equal(dropped_early(f), 0);
	assert_int_equal(f->witness->asked[FAKE_WITNESS], 0);
	assert_banned(f, NULL);
}

/* ---- who is busy ---- */

static void an_owner_that_is_busy_is_asked_later_and_is_not_silent(void **state)
{
	struct fixture *f = *state;
	struct inquiry_compared c;

	bring(f, f->seed);
	say(f, f->owner, FAKE_VOUCHER, f->seed);
	f->owner->full = 1;
	assert_int_equal(look(f, true, &c), -EAGAIN);
	assert_false(is_in_state(f, f->owner, "silent"));
	assert_int_equal(look(f, true, &c), 0);
}

static void a_witness_that_is_busy_is_asked_again(void **state)
{
	struct fixture *f = *state;

	bring(f, OTHER);
	say(f, f->owner, FAKE_VOUCHER, f->seed);
	say(f, f->giver, FAKE_HOLDER, OTHER);
	say(f, f->witness, FAKE_WITNESS, f->seed);
	f->witness->full = 2;
	assert_int_equal(dropped_early(f), 1 << WRONG);
	assert_int_equal(f->witness->asked[FAKE_WITNESS], 3);
	assert_int_equal(f->second->asked[FAKE_WITNESS], 0);
}

/* ---- all of it, when the digest of the whole was wrong ---- */

static void of_the_whole_owners_tell_which_chunk_it_is(void **state)
{
	struct fixture *f = *state;
	struct inquiry_compared c;

	bring(f, OTHER);
	say(f, f->owner, FAKE_VOUCHER, f->seed);
	say(f, f->witness, FAKE_WITNESS, f->seed);
	say(f, f->giver, FAKE_HOLDER, f->seed);
	assert_int_equal(look(f, false, &c), 1);
	assert_banned(f, f->giver);
}

static void where_owners_know_nothing_witnesses_do(void **state)
{
	struct fixture *f = *state;
	struct inquiry_compared c;

	bring(f, OTHER);
	say(f, f->witness, FAKE_WITNESS, f->seed);
	say(f, f->second, FAKE_WITNESS, f->seed);
	assert_int_equal(look(f, false, &c), 1);
	assert_int_equal(f->second->asked[FAKE_WITNESS], 1);
	assert_banned(f, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_as_its_owner_had_it_costs_one_question),
		TEST(who_changed_a_chunk_on_its_way_is_banned_and_it_alone_goes),
		TEST(who_holds_what_it_gave_may_have_been_misled),
		TEST(unless_it_vouches_for_it),
		TEST(who_says_nothing_of_it_may_have_been_misled_too),
		TEST(but_only_once_is_it_dropped_without_a_witness),
		TEST(an_owner_that_gave_otherwise_than_it_vouches_is_banned),
		TEST(an_owner_that_lies_makes_nothing_go_that_is_right),
		TEST(where_owner_witness_and_giver_differ_another_witness_tells),
		TEST(who_knows_nothing_leaves_it_to_the_digest_of_the_whole),
		TEST(what_has_rotted_here_is_nobodys_lie),
		TEST(an_owner_that_is_busy_is_asked_later_and_is_not_silent),
		TEST(a_witness_that_is_busy_is_asked_again),
		TEST(of_the_whole_owners_tell_which_chunk_it_is),
		TEST(where_owners_know_nothing_witnesses_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
