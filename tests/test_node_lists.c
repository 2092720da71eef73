/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/node_lists.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/cache/chunk.h"
#include "tests/pair.h"

static int make(struct pair *p, uint64_t size, int (*rest)(void *arg))
{
	return node_make_chunk_list(p->node[0], p->big.etag, size, rest, NULL);
}

static int get(struct pair *p, uint64_t size, struct chunk_list **ret)
{
	return node_chunk_list(p->node[0], p->big.etag, size, ret);
}

static void of_what_is_not_here_there_is_no_list(void **state)
{
	struct pair *p = *state;
	struct chunk_list *l = NULL;

	assert_false(node_can_list(p->node[0], p->big.etag, PAIR_BIG_SIZE));
	assert_int_equal(get(p, PAIR_BIG_SIZE, &l), -ENOENT);
	assert_int_equal(make(p, PAIR_BIG_SIZE, NULL), -ENOENT);
}

/* The twin. */
static void what_is_here_has_one_when_it_was_made(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	struct pair *p = *state;
	uint8_t digest[DIGEST_BYTES_MAX];

	pair_pull(p, 0);
	assert_true(node_can_list(p->node[0], p->big.etag, PAIR_BIG_SIZE));
	assert_int_equal(get(p, PAIR_BIG_SIZE, &l), -ENOENT);
	assert_int_equal(make(p, PAIR_BIG_SIZE, NULL), 0);
	assert_int_equal(get(p, PAIR_BIG_SIZE, &l), 0);
	assert_int_equal(l->size, PAIR_BIG_SIZE);
	assert_int_equal(l->count, chunk_count(PAIR_BIG_SIZE));
	assert_int_equal(digest_of(DIGEST_SHA256, p->big_bytes, CHUNK_BYTES, digest), 0);
	assert_memory_equal(l->digests[0], digest, CHUNK_LIST_DIGEST);
	assert_int_equal(digest_of(DIGEST_SHA256, p->big_bytes + SEGMENT_BYTES, 777, digest), 0);
	assert_memory_equal(l->digests[l->count - 1], digest, CHUNK_LIST_DIGEST);
}

static void of_another_size_it_is_another_file(void **state)
{
	struct pair *p = *state;
	struct chunk_list *l = NULL;

	pair_pull(p, 0);
	assert_false(node_can_list(p->node[0], p->big.etag, PAIR_BIG_SIZE + 1));
	assert_int_equal(make(p, PAIR_BIG_SIZE + 1, NULL), -ENOENT);
	assert_int_equal(make(p, PAIR_BIG_SIZE, NULL), 0);
	assert_true(get(p, PAIR_BIG_SIZE + 1, &l) < 0);
	assert_null(l);
}

static int stop_at_once(void *arg UNUSED)
{
	return ERR_STOPPING;
}

static void who_makes_it_may_be_stopped(void **state)
{
	struct pair *p = *state;
	struct chunk_list *l = NULL;

	pair_pull(p, 0);
	assert_int_equal(make(p, PAIR_BIG_SIZE, stop_at_once), ERR_STOPPING);
	assert_int_equal(get(p, PAIR_BIG_SIZE, &l), -ENOENT);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, pair_setup_alone, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(of_what_is_not_here_there_is_no_list),
		STORY(what_is_here_has_one_when_it_was_made),
		STORY(of_another_size_it_is_another_file),
		STORY(who_makes_it_may_be_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
