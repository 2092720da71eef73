/* SPDX-License-Identifier: Apache-2.0 */
/* The right answers are those of hf_xet 1.8.0, which was given these bytes. */
#include "daemon/xet/xet_hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "tests/xet_vectors.h"

static void assert_hash(const uint8_t hash[static XET_HASH], const char *want)
{
	char text[XET_HASH_HEX + 1];

	xet_hash_print(hash, text);
	assert_string_equal(text, want);
}

static void texts_have_four_numbers(UNUSED void **state)
{
	static const char text[] = "0706050403020100"
				   "0f0e0d0c0b0a0908"
				   "1716151413121110"
				   "1f1e1d1c1b1a1918";
	uint8_t hash[XET_HASH], back[XET_HASH];

	for (uint8_t i = 0; i < XET_HASH; i++)
		hash[i] = i;
	assert_hash(hash, text);
	assert_int_equal(xet_hash_parse(text, back), 0);
	assert_memory_equal(hash, back, XET_HASH);
}

static void what_is_no_text_of_a_hash_is_refused(UNUSED void **state)
{
	char text[XET_HASH_HEX + 2];
	uint8_t hash[XET_HASH];

	memset(text, 'a', sizeof(text));
	text[XET_HASH_HEX + 1] = '\0';
	assert_int_equal(xet_hash_parse(text, hash), -EINVAL);
	text[XET_HASH_HEX] = '\0';
	assert_int_equal(xet_hash_parse(text, hash), 0);
	text[3] = 'A';
	assert_int_equal(xet_hash_parse(text, hash), -EINVAL);
	text[3] = 'g';
	assert_int_equal(xet_hash_parse(text, hash), -EINVAL);
	text[3] = '\0';
	assert_int_equal(xet_hash_parse(text, hash), -EINVAL);
}

/* The bytes of the example, its chunks, and the trees over them. */
static void hashes_are_those_of_the_client(UNUSED void **state)
{
	CLEANUP(freep) uint8_t *data = xet_vectors_data();
	struct xet_tree xorb = { .bytes = 0 }, file = { .bytes = 0 };
	uint8_t hashes[XET_VECTORS_CHUNKS * XET_HASH], hash[XET_HASH];
	size_t at = 0;

	for (unsigned i = 0; i < XET_VECTORS_CHUNKS; i++) {
		uint8_t *one = hashes + (size_t)i * XET_HASH;
		size_t len = xet_vectors_lengths[i];

		xet_hash_chunk(data + at, len, one);
		xet_tree_add(&xorb, one, len);
		xet_tree_add(&file, one, len);
		at += len;
	}
	assert_int_equal(at, XET_VECTORS_BYTES);
	assert_hash(hashes, XET_VECTORS_FIRST);
	xet_tree_xorb(&xorb, hash);
	assert_hash(hash, XET_VECTORS_XORB);
	xet_tree_file(&file, hash);
	assert_hash(hash, XET_VECTORS_FILE);
	xet_hash_range(hashes, XET_VECTORS_CHUNKS, hash);
	assert_hash(hash, XET_VECTORS_RANGE);
}

/* As the rule reads, over all nodes of a level at once: what the other does as they come. */
static size_t one_level(struct xet_node *nodes, size_t count)
{
	size_t to = 0;

	for (size_t at = 0; at < count;) {
		size_t n = count - at, most = n < 9 ? n : 9;
		struct xet_tree group = { .bytes = 0 };
		struct xet_node node = { .bytes = 0 };

		for (size_t i = 2; n > 2 && i < most; i++)
			if (nodes[at + i].hash[24] % 4 == 0) {
				most = i + 1;
				break;
			}
		for (size_t i = 0; i < most; i++) {
			group.levels[0].open[i] = nodes[at + i];
			node.bytes += nodes[at + i].bytes;
		}
		group.levels[0].count = (unsigned)most;
		group.levels[0].all = 2; /* one node is a group, too */
		xet_tree_xorb(&group, node.hash);
		nodes[to++] = node;
		at += most;
	}
	return to;
}

static void trees_of_any_size_are_as_the_rule_says(UNUSED void **state)
{
	struct xet_node nodes[400];

	for (size_t count = 1; count <= ARRAY_LEN(nodes); count += count < 100 ? 1 : 37) {
		struct xet_tree tree = { .bytes = 0 };
		uint8_t root[XET_HASH];
		size_t left = count;

		for (size_t i = 0; i < count; i++) {
			uint32_t number = (uint32_t)(i * 7919 + count);

			xet_hash_chunk(&number, sizeof(number), nodes[i].hash);
			nodes[i].bytes = 1000 + i;
			xet_tree_add(&tree, nodes[i].hash, nodes[i].bytes);
		}
		xet_tree_xorb(&tree, root);
		while (left > 1)
			left = one_level(nodes, left);
		assert_memory_equal(root, nodes[0].hash, XET_HASH);
	}
}

static void nothing_has_zeros(UNUSED void **state)
{
	struct xet_tree tree = { .bytes = 0 };
	uint8_t hash[XET_HASH], zeros[XET_HASH] = { 0 };

	xet_tree_file(&tree, hash);
	assert_memory_equal(hash, zeros, XET_HASH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_have_four_numbers),
		cmocka_unit_test(what_is_no_text_of_a_hash_is_refused),
		cmocka_unit_test(hashes_are_those_of_the_client),
		cmocka_unit_test(trees_of_any_size_are_as_the_rule_says),
		cmocka_unit_test(nothing_has_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
