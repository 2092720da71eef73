/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "tests/pair.h"

static struct jdoc *members_of(struct pair *p, int node)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct jwrite w = { .to = &text };
	struct jdoc *d = NULL;

	peer_json_members(node_peers(p->node[node]), &w);
	assert_int_equal(jdoc_parse(buf_str(&text), text.len, &d), 0);
	return d;
}

static struct jdoc *segments_of(struct pair *p, int node, uint64_t size)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct jwrite w = { .to = &text };
	struct node *n = p->node[node];
	struct jdoc *d = NULL;

	assert_int_equal(peer_json_segments(n, node_peers(n), p->big.etag, size, &w), 0);
	assert_int_equal(jdoc_parse(buf_str(&text), text.len, &d), 0);
	return d;
}

static const struct jval *member(const struct jdoc *d, const char *address)
{
	const struct jval *all = jval_get(jdoc_root(d), "members");

	assert_int_equal(jval_count(all), PAIR);
	for (size_t i = 0; i < jval_count(all); i++)
		if (!strcmp(jval_get_str(jval_at(all, i), "address"), address))
			return jval_at(all, i);
	fail_msg("%s is missing", address);
	return NULL;
}

/* ---- who they are ---- */

static void who_was_not_asked_yet_is_new_and_nothing_went_to_and_fro(void **state)
{
	struct pair *p = *state;
	CLEANUP(jdoc_freep) struct jdoc *d = members_of(p, 0);
	const struct jval *other = member(d, p->address[1]);

	assert_string_equal(jval_get_str(jdoc_root(d), "address"), p->address[0]);
	assert_null(jval_get_str(jdoc_root(d), "zone"));
	assert_string_equal(jval_get_str(member(d, p->address[0]), "state"), "self");
	assert_string_equal(jval_get_str(other, "state"), "new");
	assert_int_equal(jval_get_size(other, "weight"), 1);
	assert_int_equal(jval_get_size(other, "requests"), 0);
	assert_int_equal(jval_get_size(other, "first_byte_ms"), -1); /* not known */
#define IS_ZERO(field, ...) assert_int_equal(jval_get_size(jdoc_root(d), #field), 0);
	PEER_COUNTS(IS_ZERO)
#undef IS_ZERO
}

/* What node i has of the other one: what that one has given, by the word of both. */
static uint64_t taken(struct pair *p, int i)
{
	CLEANUP(jdoc_freep) struct jdoc *taker = members_of(p, i), *giver = members_of(p, !i);
	int64_t bytes = jval_get_size(jdoc_root(taker), "bytes_in");
	const struct jval *other = member(taker, p->address[!i]);

	assert_int_equal(jval_get_size(jdoc_root(giver), "bytes_out"), bytes);
	assert_int_equal(jval_get_size(other, "bytes_in"), bytes);
	assert_int_equal(jval_get_size(member(giver, p->address[i]), "bytes_out"), bytes);
	if (bytes) {
		assert_true(jval_get_size(jdoc_root(taker), "asked") > 0);
		assert_string_equal(jval_get_str(other, "state"), "up");
	}
	return (uint64_t)bytes;
}

/* The twin: each brought what it owns, and gave that to the other. */
static void what_went_to_and_fro_is_told_by_both(void **state)
{
	struct pair *p = *state;

	pair_pull(p, 0);
	pair_pull(p, 1);
	assert_int_equal(taken(p, 0) + taken(p, 1), PAIR_SIZE);
}

/* ---- where a blob lies ---- */

static void each_segment_has_an_owner_and_who_follows(void **state)
{
	struct pair *p = *state;
	CLEANUP(jdoc_freep) struct jdoc *d = segments_of(p, 0, PAIR_BIG_SIZE);
	const struct jval *all = jval_get(jdoc_root(d), "segments");

	assert_string_equal(jval_get_str(jdoc_root(d), "etag"), p->big.etag);
	assert_int_equal(jval_count(all), 2);
	for (size_t i = 0; i < 2; i++) {
		const struct jval *s = jval_at(all, i), *followers = jval_get(s, "followers");
		const char *owner = jval_get_str(s, "owner");
		bool first = !strcmp(owner, p->address[0]);

		assert_true(first || !strcmp(owner, p->address[1]));
		assert_int_equal(jval_count(followers), 1);
		assert_string_equal(jval_str(jval_at(followers, 0)), p->address[first]);
		assert_int_equal(jval_get_size(s, "from"), i * SEGMENT_BYTES);
		assert_int_equal(jval_get_size(s, "bytes"), i ? 777 : SEGMENT_BYTES);
		assert_int_equal(jval_get_size(s, "present"), 0);
	}
}

static void what_is_here_is_told_by_who_has_it_alone(void **state)
{
	struct pair *p = *state;
	CLEANUP(jdoc_freep) struct jdoc *here = NULL, *there = NULL, *other = NULL;

	pair_pull(p, 0);
	here = segments_of(p, 0, PAIR_BIG_SIZE);
	there = segments_of(p, 1, PAIR_BIG_SIZE);
	other = segments_of(p, 0, PAIR_BIG_SIZE + 1); /* another repository's word for its size */
	assert_int_equal(jval_get_size(jdoc_root(here), "present"), PAIR_BIG_SIZE);
	assert_int_equal(
		jval_get_size(jval_at(jval_get(jdoc_root(here), "segments"), 1), "present"), 777);
	/* What it was asked for meanwhile it brought. */
	assert_int_equal(jval_get_size(jdoc_root(there), "present"), pair_has(p, 1, &p->big));
	assert_int_equal(jval_get_size(jdoc_root(other), "present"), 0);
}

/* Of the members that node i hears, how many have all of segment k; `first` (or NULL) is one. */
static int64_t holders(struct pair *p, int i, size_t k, const char *first)
{
	CLEANUP(jdoc_freep) struct jdoc *d = segments_of(p, i, PAIR_BIG_SIZE);
	const struct jval *s = jval_at(jval_get(jdoc_root(d), "segments"), k);
	const struct jval *named = jval_get(s, "held_by");
	bool found = !first;

	assert_int_equal(jval_get_size(jdoc_root(d), "members"), PAIR);
	assert_int_equal(jval_get_size(jdoc_root(d), "answered"), PAIR);
	assert_int_equal(jval_count(named), jval_get_size(s, "holders"));
	for (size_t n = 0; n < jval_count(named); n++)
		found |= first && !strcmp(jval_str(jval_at(named, n)), first);
	assert_true(found);
	return jval_get_size(s, "holders");
}

/* The twin: before anybody has it nobody says so. */
static void who_has_it_now_is_told_by_all_who_have_it(void **state)
{
	struct pair *p = *state;

	assert_int_equal(holders(p, 1, 0, NULL) + holders(p, 1, 1, NULL), 0);
	pair_pull(p, 0);
	for (size_t k = 0; k < 2; k++)
		assert_in_range(holders(p, 1, k, p->address[0]), 1, PAIR);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(who_was_not_asked_yet_is_new_and_nothing_went_to_and_fro),
		STORY(what_went_to_and_fro_is_told_by_both),
		STORY(each_segment_has_an_owner_and_who_follows),
		STORY(what_is_here_is_told_by_who_has_it_alone),
		STORY(who_has_it_now_is_told_by_all_who_have_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
