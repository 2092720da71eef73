/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/placement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NODES_MAX 1001
#define PER_NODE 128
#define BLOBS 8
#define MOST 1.15
/* Who joins or leaves moves what he owns, and not more than this times that: where a share changed,
 * or was used up, segments move on from others too. */
#define MOVES_MOST 1.2

struct cluster {
	uint32_t count;
	struct placement_node nodes[NODES_MAX];
};

static struct cluster new_cluster(uint32_t count)
{
	struct cluster c = { .count = count };
	char name[32];

	for (uint32_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "10.0.%u.%u:9980", i / 250, i % 250);
		c.nodes[i] = (struct placement_node){ placement_key(name), 1 };
	}
	return c;
}

static void remove_node(struct cluster *c, uint32_t i)
{
	c->count--;
	memmove(&c->nodes[i], &c->nodes[i + 1], (c->count - i) * sizeof(*c->nodes));
}

static void reverse(struct cluster *c)
{
	for (uint32_t i = 0; i < c->count / 2; i++) {
		struct placement_node n = c->nodes[i];

		c->nodes[i] = c->nodes[c->count - 1 - i];
		c->nodes[c->count - 1 - i] = n;
	}
}

static uint64_t blob_key(unsigned number)
{
	char name[32];

	snprintf(name, sizeof(name), "blob-%u", number);
	return placement_key(name);
}

static struct placement *place(const struct cluster *c, unsigned blob, uint32_t segments)
{
	struct placement *p = NULL;

	assert_int_equal(placement_new(c->nodes, c->count, blob_key(blob), segments, &p), 0);
	return p;
}

/* Who owns it (0), or follows. */
static uint64_t key_of(const struct cluster *c, const struct placement *p, uint32_t segment,
		       unsigned at)
{
	uint32_t owners[PLACEMENT_OWNERS];

	assert_true(placement_owners(p, segment, owners) > at);
	return c->nodes[owners[at]].key;
}

static void count_owned(const struct placement *p, uint32_t segments, uint32_t load[NODES_MAX])
{
	uint32_t owners[PLACEMENT_OWNERS];

	memset(load, 0, NODES_MAX * sizeof(*load));
	for (uint32_t i = 0; i < segments; i++) {
		assert_true(placement_owners(p, i, owners) > 0);
		load[owners[0]]++;
	}
}

static uint32_t largest(const uint32_t load[NODES_MAX])
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < NODES_MAX; i++)
		most = load[i] > most ? load[i] : most;
	return most;
}

/* Where a segment goes if nobody's share counts. */
static uint32_t best_node(const struct cluster *c, unsigned blob, uint32_t segment)
{
	uint64_t best = 0, score;
	uint32_t at = 0;

	for (uint32_t i = 0; i < c->count; i++) {
		score = placement_score(&c->nodes[i], (struct segment){ blob_key(blob), segment });
		if (score > best) {
			best = score;
			at = i;
		}
	}
	return at;
}

static void segments_cover_a_file(UNUSED void **state)
{
	assert_int_equal(segment_count(0), 0);
	assert_int_equal(segment_count(1), 1);
	assert_int_equal(segment_count(SEGMENT_BYTES), 1);
	assert_int_equal(segment_count(SEGMENT_BYTES + 1), 2);
	assert_int_equal(segment_of(SEGMENT_BYTES - 1), 0);
	assert_int_equal(segment_of(SEGMENT_BYTES), 1);
	assert_int_equal(segment_start(3), 3 * SEGMENT_BYTES);
	assert_int_equal(segment_end(0, 5 * SEGMENT_BYTES), SEGMENT_BYTES);
	assert_int_equal(segment_end(1, SEGMENT_BYTES + 7), SEGMENT_BYTES + 7);
	/* 1 TiB and a byte: past what 32 bits count in bytes */
	assert_int_equal(segment_count((UINT64_C(1) << 40) + 1), 65537);
	assert_int_equal(segment_start(65536), UINT64_C(1) << 40);
}

/* Nodes of all versions must agree: what is here never changes, or two of them bring the same. The
 * numbers were computed by another program, from the description alone. */
static void it_is_the_same_for_ever(UNUSED void **state)
{
	static const struct placement_node nodes[] = {
		{ 1, 1 }, { 2, 3 }, { 3, 1 }, { 4, 2 }, { 5, 1 }
	};
	static const uint32_t expected[][PLACEMENT_OWNERS] = {
		{ 1, 4, 0 }, { 1, 4, 3 }, { 3, 2, 0 }, { 4, 0, 1 }, { 3, 1, 0 }, { 3, 4, 1 },
		{ 0, 3, 1 }, { 3, 4, 1 }, { 1, 3, 2 }, { 0, 1, 3 }, { 2, 1, 4 }, { 1, 3, 4 },
	};
	const struct segment one = { 42, 7 };
	uint32_t owners[PLACEMENT_OWNERS];
	struct placement *p = NULL;

	assert_true(placement_key("10.0.0.0:9980") == UINT64_C(0xa3c631846a046161));
	assert_true(placement_score(&nodes[0], one) == UINT64_C(0x2f616bc3c133727a));
	assert_true(placement_score(&nodes[1], one) == UINT64_C(0xd22b175b734904fd));
	assert_int_equal(placement_new(nodes, 5, 42, ARRAY_LEN(expected), &p), 0);
	for (uint32_t i = 0; i < ARRAY_LEN(expected); i++) {
		assert_int_equal(placement_owners(p, i, owners), PLACEMENT_OWNERS);
		assert_memory_equal(owners, expected[i], sizeof(owners));
	}
	placement_free(p);
}

static void the_order_of_nodes_does_not_matter(UNUSED void **state)
{
	struct cluster c = new_cluster(50), back;
	struct placement *p, *q;

	c.nodes[7].weight = 5;
	/* draws the same as the one before, later: where that is the best, they tie */
	c.nodes[8] = (struct placement_node){ c.nodes[7].key + UINT64_C(0x9e3779b97f4a7c15), 4 };
	back = c;
	reverse(&back);
	p = place(&c, 0, 2000);
	q = place(&back, 0, 2000);
	for (uint32_t i = 0; i < 2000; i++)
		for (unsigned at = 0; at < PLACEMENT_OWNERS; at++)
			assert_int_equal(key_of(&c, p, i, at), key_of(&back, q, i, at));
	placement_free(p);
	placement_free(q);
}

static void nobody_owns_much_more_than_others(UNUSED void **state)
{
	struct cluster c = new_cluster(100);
	uint32_t load[NODES_MAX];

	for (unsigned b = 0; b < BLOBS; b++) {
		struct placement *p = place(&c, b, 100 * PER_NODE);

		count_owned(p, 100 * PER_NODE, load);
		assert_int_equal(largest(load),
				 (uint32_t)(MOST * PER_NODE)); /* somebody has all he may */
		placement_free(p);
	}
}

/* The twin: it is the shares that do it. */
static void the_best_node_alone_would_own_too_much(UNUSED void **state)
{
	struct cluster c = new_cluster(100);
	uint32_t load[NODES_MAX] = { 0 };

	for (uint32_t i = 0; i < 100 * PER_NODE; i++)
		load[best_node(&c, 0, i)]++;
	assert_true(largest(load) > MOST * PER_NODE);
}

static void a_node_of_twice_the_weight_owns_twice_as_much(UNUSED void **state)
{
	enum { HEAVY = 20, LIGHT = 60, SEGMENTS = (2 * HEAVY + LIGHT) * PER_NODE };
	struct cluster c = new_cluster(HEAVY + LIGHT);
	uint32_t load[NODES_MAX];
	uint64_t heavy = 0;
	struct placement *p;

	for (uint32_t i = 0; i < HEAVY; i++)
		c.nodes[i].weight = 2;
	p = place(&c, 0, SEGMENTS);
	count_owned(p, SEGMENTS, load);
	for (uint32_t i = 0; i < c.count; i++) {
		assert_true(load[i] <= MOST * PER_NODE * c.nodes[i].weight);
		heavy += i < HEAVY ? load[i] : 0;
	}
	assert_true(heavy > 2 * HEAVY * PER_NODE * 0.97 && heavy < 2 * HEAVY * PER_NODE * 1.03);
	placement_free(p);
}

static void few_segments_never_pile_up(UNUSED void **state)
{
	struct cluster c = new_cluster(1000);
	uint32_t load[NODES_MAX];

	for (unsigned b = 0; b < BLOBS; b++) {
		struct placement *p = place(&c, b, 320); /* 5 GiB */

		count_owned(p, 320, load);
		assert_true(largest(load) <= 2);
		placement_free(p);
	}
}

/* The twin of few_segments_never_pile_up. */
static void without_shares_few_segments_would_pile_up(UNUSED void **state)
{
	struct cluster c = new_cluster(1000);
	uint32_t most = 0;

	for (unsigned b = 0; b < BLOBS; b++) {
		uint32_t load[NODES_MAX] = { 0 };

		for (uint32_t i = 0; i < 320; i++)
			load[best_node(&c, b, i)]++;
		most = largest(load) > most ? largest(load) : most;
	}
	assert_true(most > 2);
}

static void who_is_passed_over_follows(UNUSED void **state)
{
	struct cluster c = new_cluster(100);
	struct placement *p = place(&c, 0, 100 * PER_NODE);
	unsigned passed_over = 0;

	for (uint32_t i = 0; i < 100 * PER_NODE; i++) {
		uint32_t owners[PLACEMENT_OWNERS], best = best_node(&c, 0, i);

		assert_int_equal(placement_owners(p, i, owners), PLACEMENT_OWNERS);
		assert_true(owners[0] != owners[1] && owners[1] != owners[2]);
		assert_int_not_equal(owners[0], owners[2]);
		if (owners[0] == best)
			continue;
		assert_int_equal(owners[1], best);
		passed_over++;
	}
	assert_in_range(passed_over, 1, PER_NODE);
	placement_free(p);
}

/* Many nodes have their share when it is of few segments: whoever is best of the others is found,
 * also far down. The same, told the long way. */
static void when_the_best_have_their_share_the_next_one_owns_it(UNUSED void **state)
{
	enum { NODES = 20, SEGMENTS = 41 }; /* 1.95 for each: 3 at most, or 5 of 3.9 */
	struct cluster c = new_cluster(NODES);

	c.nodes[3].weight = 2;
	for (unsigned b = 0; b < 50; b++) {
		struct placement *p = place(&c, b, SEGMENTS);
		uint32_t load[NODES] = { 0 };

		for (uint32_t i = 0; i < SEGMENTS; i++) {
			uint64_t best = 0, score;
			uint32_t at = 0, owners[PLACEMENT_OWNERS];

			for (uint32_t n = 0; n < NODES; n++) {
				score = placement_score(&c.nodes[n],
							(struct segment){ blob_key(b), i });
				if (load[n] < (n == 3 ? 5 : 3) && score > best) {
					best = score;
					at = n;
				}
			}
			load[at]++;
			placement_owners(p, i, owners);
			assert_int_equal(owners[0], at);
		}
		placement_free(p);
	}
}

/* How many segments have another owner, and how many of them it was for the sake of `who`, who owns
 * them in `has` only. */
struct moves {
	uint32_t all, needed, to_follower;
};

static void count_moves(const struct cluster *has, const struct cluster *lacks, uint64_t who,
			unsigned blob, struct moves *ret)
{
	uint32_t segments = 100 * PER_NODE;
	struct placement *p = place(has, blob, segments), *q = place(lacks, blob, segments);

	for (uint32_t i = 0; i < segments; i++) {
		uint64_t with = key_of(has, p, i, 0), without = key_of(lacks, q, i, 0);

		ret->all += with != without;
		ret->needed += with == who;
		ret->to_follower += with == who && without == key_of(has, p, i, 1);
	}
	placement_free(p);
	placement_free(q);
}

static void who_joins_moves_little_and_nearly_only_to_himself(UNUSED void **state)
{
	struct cluster after = new_cluster(101), before = after;
	uint64_t who = after.nodes[100].key;
	struct moves m = { 0 };

	before.count = 100;
	for (unsigned b = 0; b < BLOBS; b++)
		count_moves(&after, &before, who, b, &m);
	assert_in_range(m.needed, BLOBS * 110, BLOBS * 145); /* a 101st is 126.7 of each */
	assert_true(m.all <= MOVES_MOST * m.needed);
}

static void who_leaves_moves_his_own_and_hardly_any_other(UNUSED void **state)
{
	struct cluster before = new_cluster(100), after = before;
	uint64_t who = before.nodes[42].key;
	struct moves m = { 0 };

	remove_node(&after, 42);
	for (unsigned b = 0; b < BLOBS; b++)
		count_moves(&before, &after, who, b, &m);
	assert_in_range(m.needed, BLOBS * 110, BLOBS * 147);
	assert_true(m.all <= MOVES_MOST * m.needed);
	/* Who took his place while he did not answer keeps it. */
	assert_true(m.to_follower > 0.85 * m.needed);
}

static void of_fewer_nodes_than_owners_each_is_one(UNUSED void **state)
{
	for (uint32_t count = 0; count <= PLACEMENT_OWNERS; count++) {
		struct cluster c = new_cluster(count);
		struct placement *p = place(&c, 0, 10);
		uint32_t owners[PLACEMENT_OWNERS], seen = 0;

		for (uint32_t i = 0; i < 10; i++) {
			assert_int_equal(placement_owners(p, i, owners), count);
			for (uint32_t at = 0; at < count; at++)
				seen |= 1U << owners[at];
		}
		assert_int_equal(seen, (1U << count) - 1);
		placement_free(p);
	}
}

static void an_empty_blob_has_no_segments_to_place(UNUSED void **state)
{
	struct cluster c = new_cluster(10);

	placement_free(place(&c, 0, segment_count(0)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_cover_a_file),
		cmocka_unit_test(it_is_the_same_for_ever),
		cmocka_unit_test(the_order_of_nodes_does_not_matter),
		cmocka_unit_test(nobody_owns_much_more_than_others),
		cmocka_unit_test(the_best_node_alone_would_own_too_much),
		cmocka_unit_test(a_node_of_twice_the_weight_owns_twice_as_much),
		cmocka_unit_test(few_segments_never_pile_up),
		cmocka_unit_test(without_shares_few_segments_would_pile_up),
		cmocka_unit_test(who_is_passed_over_follows),
		cmocka_unit_test(when_the_best_have_their_share_the_next_one_owns_it),
		cmocka_unit_test(who_joins_moves_little_and_nearly_only_to_himself),
		cmocka_unit_test(who_leaves_moves_his_own_and_hardly_any_other),
		cmocka_unit_test(of_fewer_nodes_than_owners_each_is_one),
		cmocka_unit_test(an_empty_blob_has_no_segments_to_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
